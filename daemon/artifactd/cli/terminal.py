"""What commands share: the configuration, the ledger to read, tables, progress, and ending well."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, assert_never

import typer

from artifactd import __version__
from artifactd.artifact import printable
from artifactd.cli.exits import Exit
from artifactd.config import Config, ConfigError, Format, load_beside, state_directories
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import InUse
from artifactd.ledger.schema import LedgerError
from artifactd.log import journald
from artifactd.log.flood import Repeats
from artifactd.log.log import Form, Log, configure
from artifactd.service import control

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ARTIFACTD_CONFIG",
        help="The configuration file. Default: /etc/artifactd/config.toml",
        show_default=False,
    ),
]
DISABLED = "enable_artifacts_upload is false: nothing is exported"

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on each line, for machines.")]


def fail(code: Exit, message: str) -> NoReturn:
    """End with `code`, the message on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def configuration(path: Path | None) -> Config:
    """The configuration; where it is wrong the command ends with every problem listed."""
    try:
        return load_beside(path, os.environ)
    except ConfigError as error:
        fail(Exit.CONFIGURATION, str(error))


def state_of(path: Path | None) -> Path:
    """The state directory with a daemon, for what needs no more: the configuration may have problems.

    It may hold secrets that this account cannot read, or be changed badly while a daemon runs on it.
    """
    likely = state_directories(path, os.environ)
    return next((one for one in likely if (one / control.FILE).exists()), likely[0])


@contextmanager
def ends_well() -> Iterator[None]:
    """The ways in which the state can refuse to be used, as messages and exit codes."""
    try:
        yield
    except InUse as error:
        fail(Exit.IN_USE, f"artifactd: {error}")
    except LedgerError as error:
        fail(Exit.STATE, f"artifactd: {error}")
    except BrokenPipeError:
        # Whoever read our output has had enough, as in `artifactd audit | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None


@contextmanager
def reading(config: Config) -> Iterator[Ledger]:
    """The ledger, to read."""
    with ends_well():
        ledger = Ledger.look(config.state_directory)
        try:
            yield ledger
        finally:
            ledger.close()


def log_of(config: Config, *, quiet: bool = False) -> Log:
    """The log of this process. `quiet`: nothing, because a person sees progress instead."""
    form = _form(config.log.format)
    common = {"version": __version__, "host": socket.gethostname(), "pid": os.getpid()}
    level = "critical" if quiet else config.log.level.value
    repeats = Repeats(time.monotonic)
    log = configure(level, form, common=common, secrets=config.secrets(), repeats=repeats)
    if form is Form.CONSOLE:  # a person sees one process, and knows which
        log = log.try_unbind("schema", *common)
    for warning in config.warnings:
        log.warning("config.warning", reason=warning)
    return log


def _form(chosen: Format) -> Form:
    match chosen:
        case Format.JSON:
            return Form.JSON
        case Format.CONSOLE:
            return Form.CONSOLE
        case Format.AUTO if on_terminal():
            return Form.CONSOLE
        case Format.AUTO:
            return Form.JOURNAL if journald.listens(os.environ, sys.stdout) else Form.JSON
        case _:
            assert_never(chosen)


def on_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()


def lines(objects: Iterable[Mapping[str, Any]]) -> None:
    """Each as one line of JSON."""
    for one in objects:
        typer.echo(json.dumps(one))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Rows for a person: a table on a terminal, parted by tabs elsewhere. Nothing in a cell is markup."""
    if not on_terminal():
        for row in rows:
            typer.echo("\t".join(printable(cell.encode("utf-8", "surrogateescape")) for cell in row))
        return
    from rich.console import Console  # noqa: PLC0415 - costs 50 ms, which only a table is worth
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell.encode("utf-8", "surrogateescape"))) for cell in row))
    Console().print(shown)


def size_of(count: int) -> str:
    """Bytes for a person."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - the unit's own base
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextmanager
def byte_progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on a terminal, nothing elsewhere; the block tells it the bytes as they pass."""
    if not on_terminal():
        yield lambda _count: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415 - as in `table`

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.update(task, advance=count)
