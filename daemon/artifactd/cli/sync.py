"""`artifactd sync`: one pass over what is there, with its progress on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from artifactd.artifact import Sighting, count_of, printable, size_of
from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit, leave
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.options.loudness import Loudness, log_level, loudness
from artifactd.cli.state import ends_well
from artifactd.cli.terminal import on_terminal
from artifactd.cli.terminal.live import Line, line
from artifactd.cli.terminal.progress import Progress
from artifactd.clock import SYSTEM
from artifactd.decisions.lifecycle import Failed, Kept, Postponed, Proven, Refused, Unchanged, Vanished
from artifactd.ledger.ledger import Recorded
from artifactd.mirror.answers import DISABLED
from artifactd.mirror.engine import Engine
from artifactd.service.process_log import log_of
from artifactd.service.sync import Watcher
from artifactd.service.sync import sync as one_pass


def sync(
    config: ConfigPath = None,
    wait: Annotated[
        float, typer.Option(min=0.0, help="Seconds to wait for files that are still being written.")
    ] = 30.0,
) -> None:
    """Export everything that is there, once. It ends with 0 only if all that the policy wants is proven.

    On a terminal it shows progress, elsewhere JSON lines. The share that is done is shown once all was looked
    at; before, nobody knows how much there is.
    It ends with 5 where something is not proven, and says what and why.
    """
    settings = configuration(config)
    if not settings.enabled:
        typer.echo(DISABLED, err=True)
        return
    log = log_of(settings, quiet=on_terminal(), level=log_level())
    with ends_well(), _progress() as watcher:
        report = one_pass(settings, log, wait_seconds=wait, watcher=watcher)
    if on_terminal() and loudness() > Loudness.QUIET:
        typer.echo(
            f"{count_of(report.exported, 'copy')} proven now ({size_of(report.bytes)}),"
            f" {report.unchanged} before, in {report.seconds:.1f} s"
        )
    for (source, store), reason in sorted(report.left.items()):
        typer.echo(f"not proven: {source}{f' in {store}' if store else ''}: {reason}", err=True)
    if report.stuck:
        typer.echo(
            f"{count_of(report.stuck, 'copy needs', 'copies need')} a person:"
            " artifactd list --state refused --state kept --state lost",
            err=True,
        )
    if report.unobservable:
        typer.echo(
            f"{count_of(report.unobservable, 'directory')} could not be looked into: artifactd check",
            err=True,
        )
    if report.in_flight:
        leave(Exit.INCOMPLETE)
    if not report.complete:
        raise typer.Exit(Exit.INCOMPLETE)


@contextmanager
def _progress() -> Iterator[Watcher]:
    """A line of progress where standard error is a terminal; nothing elsewhere."""
    with line() as shown:
        yield Watcher() if shown is None else _Shown(shown).watcher()


class _Shown:
    """The progress of a sync in a line."""

    def __init__(self, shown: Line) -> None:
        self._line, self._progress = shown, Progress()
        self._open: dict[bytes, int] = {}  # path → bytes of what is to be done

    def watcher(self) -> Watcher:
        """Who is told of all that happens."""
        return Watcher(self._found, self._recorded, self._turned)

    def _found(self, sighting: Sighting) -> None:
        if sighting.path not in self._open:
            self._open[sighting.path] = sighting.identity.size
            self._progress = self._progress.more(sighting.identity.size)

    def _recorded(self, item: Recorded) -> None:
        path = item.row.artifact.path
        match item.event:
            case Proven() | Unchanged():
                if (size := self._open.pop(path, None)) is not None:
                    self._progress = self._progress.ended(size)
                if loudness() is Loudness.VERBOSE:
                    self._line.above(f"{printable(path)} → {item.row.store}:{item.row.key}")
            case Refused() | Kept() | Failed() | Postponed():
                self._withdraw(path)
                self._line.above(f"{printable(path)}: {item.row.reason}")
            case Vanished():
                self._withdraw(path)
            case _:
                pass

    def _withdraw(self, path: bytes) -> None:
        if (size := self._open.pop(path, None)) is not None:
            self._progress = self._progress.less(size)

    def _turned(self, engine: Engine) -> None:
        if not self._line.due():
            return
        mirror = engine.mirror
        idle, scan = not (mirror.in_flight or mirror.scanning), mirror.scan
        waiting = list(mirror.waiting()) if idle else []
        quiet = sum(one.quiet for one in waiting)
        self._progress = replace(
            self._progress,
            whole=scan is not None and scan.seconds is not None,
            looked_at=0 if scan is None else scan.files,
            quiet=quiet,
            unfinished=len(waiting) - quiet,
            idle=idle,
        ).at(SYSTEM.monotonic())
        self._line.show(self._progress.sentence())
