"""`artifactd sync`: one pass over what is there, with its progress on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from artifactd.artifact import Sighting, printable, size_of
from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.exits import Exit, leave
from artifactd.cli.state import ends_well
from artifactd.cli.terminal import on_terminal, progress
from artifactd.decisions.lifecycle import Failed, Kept, Postponed, Proven, Refused, Unchanged
from artifactd.ledger.ledger import Recorded
from artifactd.mirror.answers import DISABLED
from artifactd.mirror.engine import Engine
from artifactd.service.process_log import log_of
from artifactd.service.sync import Watcher
from artifactd.service.sync import sync as one_pass

if TYPE_CHECKING:
    from rich.progress import Progress


def sync(
    config: ConfigPath = None,
    wait: Annotated[
        float, typer.Option(min=0.0, help="Seconds to wait for files that are still being written.")
    ] = 30.0,
) -> None:
    """Export everything that is there, once. It ends with 0 only if all that the policy wants is proven.

    On a terminal it shows progress, elsewhere JSON lines.
    It ends with 5 where something is not proven, and says what and why.
    """
    settings = configuration(config)
    if not settings.enabled:
        typer.echo(DISABLED, err=True)
        return
    log = log_of(settings, quiet=on_terminal())
    with ends_well(), _progress() as watcher:
        report = one_pass(settings, log, wait_seconds=wait, watcher=watcher)
    if on_terminal():
        typer.echo(
            f"{report.exported} copies proven now ({size_of(report.bytes)}), {report.unchanged} before,"
            f" in {report.seconds:.1f} s"
        )
    for (source, store), reason in sorted(report.left.items()):
        typer.echo(f"not proven: {source}{f' in {store}' if store else ''}: {reason}", err=True)
    if report.stuck:
        typer.echo(f"{report.stuck} copies need a person: artifactd list --state refused", err=True)
    if report.unobservable:
        typer.echo(f"{report.unobservable} directories could not be looked into: artifactd check", err=True)
    if report.in_flight:
        leave(Exit.INCOMPLETE)
    if not report.complete:
        raise typer.Exit(Exit.INCOMPLETE)


@contextmanager
def _progress() -> Iterator[Watcher]:
    """A bar of bytes and files on a terminal, with what is waited for; nothing elsewhere."""
    with progress("{task.fields[files]}/{task.fields[found]} files", "{task.fields[waiting]}") as bar:
        yield Watcher() if bar is None else _shown(bar)


def _shown(bar: "Progress") -> Watcher:
    task = bar.add_task("", total=0, files=0, found=0, waiting="")
    shown = bar.tasks[0]

    def found(sighting: Sighting) -> None:
        total = (shown.total or 0) + sighting.identity.size
        bar.update(task, total=total, found=shown.fields["found"] + 1)

    def recorded(item: Recorded) -> None:
        match item.event:
            case Proven() | Unchanged():
                bar.update(task, advance=item.row.size, files=shown.fields["files"] + 1)
            case Refused() | Kept() | Failed() | Postponed():
                source = printable(item.row.artifact.path)
                bar.console.print(f"{source}: {item.row.reason}", markup=False, highlight=False)
            case _:
                pass

    def turned(engine: Engine) -> None:
        waiting = engine.mirror.waiting_files
        bar.update(task, waiting=f"waiting for {waiting} to be complete" if waiting > 0 else "")

    return Watcher(found, recorded, turned)
