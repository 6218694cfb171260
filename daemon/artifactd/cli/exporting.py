"""Commands that export: run, sync, export, hint, retry."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final, NoReturn

import typer

from artifactd.artifact import Sighting, printable
from artifactd.cli.exits import Exit
from artifactd.cli.terminal import (
    DISABLED,
    AsJson,
    ConfigPath,
    configuration,
    ends_well,
    fail,
    lines,
    log_of,
    on_terminal,
    size_of,
    state_of,
)
from artifactd.config import Config, load_beside
from artifactd.decisions.lifecycle import (
    Change,
    Failed,
    Postponed,
    Proven,
    Refused,
    Replayed,
    State,
    Unchanged,
)
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.linux.files import account
from artifactd.mirror.by_hand import relative
from artifactd.mirror.engine import Engine, context
from artifactd.service import control
from artifactd.service.control import NoDaemon

EXPORTING = "Exporting"

_FIRST_ANSWER_SECONDS: Final = 5.0
"""For the daemon to say anything at all, however short a time its caller has."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (run, sync, export, hint, retry):
        app.command(rich_help_panel=EXPORTING)(command)


def run(config: ConfigPath = None) -> None:
    """Watch the data directory and export what is complete, until SIGTERM or SIGINT.

    What is in flight then is finished if that takes no longer than 20 seconds. The next run repeats the rest.
    SIGHUP takes a changed configuration, as `artifactd reload` does.
    """
    from artifactd.clock import SYSTEM  # noqa: PLC0415 - as below
    from artifactd.health.http import Unbound  # noqa: PLC0415 - as below
    from artifactd.service.service import Service, Sources  # noqa: PLC0415 - as above
    from artifactd.service.systemd_notify import ServiceManager  # noqa: PLC0415 - as below

    settings = configuration(config)
    sources = Sources(lambda: load_beside(config, os.environ), log_of)
    with ends_well():
        try:
            ended = Service(settings, sources, ServiceManager(os.environ, os.getpid(), SYSTEM), SYSTEM).run()
        except Unbound as error:
            fail(Exit.CONFIGURATION, f"artifactd: health.listen: {error}")
        except BrokenPipeError:
            # Whoever started us starts us again, with a log that is read. Going on unheard would be worse.
            fail(Exit.FAILED, "artifactd: nobody reads the log any more")
    if ended.in_flight:
        _leave(Exit.OK)


def _leave(code: Exit) -> NoReturn:
    """End at once: threads that hang in a dead mount would keep the interpreter from it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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
    from artifactd.service.sync import Watcher  # noqa: PLC0415 - as in `run`
    from artifactd.service.sync import sync as sync_once  # noqa: PLC0415 - as in `run`

    settings = configuration(config)
    if not settings.enabled:
        typer.echo(DISABLED, err=True)
        return
    log = log_of(settings, quiet=on_terminal())
    with ends_well(), _progress() as watcher:
        report = sync_once(settings, log, wait_seconds=wait, watcher=watcher or Watcher())
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
        _leave(Exit.INCOMPLETE)
    if not report.complete:
        raise typer.Exit(Exit.INCOMPLETE)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar of bytes and files on a terminal, with what is waited for; None elsewhere."""
    if not on_terminal():
        yield None
        return
    from rich.progress import (  # noqa: PLC0415 - costs 50 ms, which only a terminal is worth
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    from artifactd.service.sync import Watcher  # noqa: PLC0415 - as in `run`

    with Progress(
        TextColumn("{task.fields[files]}/{task.fields[found]} files"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TextColumn("{task.fields[waiting]}"),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=0, files=0, found=0, waiting="")
        shown = progress.tasks[0]

        def found(sighting: Sighting) -> None:
            total = (shown.total or 0) + sighting.identity.size
            progress.update(task, total=total, found=shown.fields["found"] + 1)

        def recorded(item: Recorded) -> None:
            match item.event:
                case Proven() | Unchanged():
                    progress.update(task, advance=item.row.size, files=shown.fields["files"] + 1)
                case Refused() | Failed() | Postponed():
                    source = printable(item.row.artifact.path)
                    progress.console.print(f"{source}: {item.row.reason}", markup=False, highlight=False)
                case _:
                    pass

        def turned(engine: Engine) -> None:
            waiting = len(engine.mirror.settler) - engine.mirror.pipeline.in_flight
            progress.update(task, waiting=f"waiting for {waiting} to be complete" if waiting > 0 else "")

        yield Watcher(found, recorded, turned)


def export(
    path: Annotated[str | None, typer.Argument(help="The artifact, below the data directory.")] = None,
    *,
    config: ConfigPath = None,
    name: Annotated[
        str | None, typer.Option("--as", help="The name of the copy; default: by the policy.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Export everything wanted of this experiment.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the outcome.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Export one artifact by hand, or all of an experiment, through the same ledger as the daemon.

    The running daemon does it; where none runs, this command does.
    A rule that ignores the artifact still holds.
    """
    if (path is None) == (experiment is None) or (experiment is not None and name is not None):
        fail(Exit.USAGE, "name one artifact (with --as, if you like), or --experiment")
    settings = configuration(config)
    if not settings.enabled:
        fail(Exit.FAILED, DISABLED)
    paths = [path] if path is not None else _wanted_of(settings, str(experiment))
    outcomes = list(_outcomes(settings, paths, name, wait))
    if as_json:
        lines(outcomes)
    else:
        for outcome in outcomes:
            typer.echo(_sentence(outcome), err=not outcome["ok"])
    if not all(outcome["final"] for outcome in outcomes):
        _leave(Exit.INCOMPLETE)
    if not all(outcome["ok"] for outcome in outcomes):
        raise typer.Exit(Exit.INCOMPLETE)


def _sentence(outcome: Mapping[str, Any]) -> str:
    if outcome["ok"]:
        where = outcome.get("uri") or f"{outcome['store']}:{outcome['key']}"
        before = f", {outcome['reason']}" if outcome["reason"] else ""
        return f"{outcome['source']} → {where} (sha256 {outcome['sha256']}{before})"
    return f"{outcome['source']}: {outcome['reason']}"


def _wanted_of(settings: Config, experiment: str) -> list[str]:
    """The artifacts of the experiment that the policy wants."""
    from artifactd.decisions.policy import Wanted  # noqa: PLC0415 - as above
    from artifactd.discovery import scan  # noqa: PLC0415 - for this command only
    from artifactd.mirror.by_hand import experiments  # noqa: PLC0415 - as above
    from artifactd.mirror.wanted import Selection  # noqa: PLC0415 - as above

    intake = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    folders = experiments(settings.data_directory, os.fsencode(experiment))
    if not folders:
        fail(Exit.FAILED, f"no experiment {experiment} in {settings.data_directory}")
    sightings: list[Sighting] = []
    for found in (found for folder in folders for found in scan.below(settings.data_directory, folder)):
        if isinstance(found, scan.Unobservable):
            fail(Exit.FAILED, f"{printable(found.path)}: {found.reason}")
        sightings += found.sightings
    wanted = [
        str(settings.data_directory / os.fsdecode(sighting.path))
        for sighting in sightings
        if (artifact := intake.artifact(sighting.path)) is not None
        and isinstance(intake.decide(artifact, sighting.identity.size), Wanted)
    ]
    if not wanted:
        fail(Exit.FAILED, f"nothing of experiment {experiment} is wanted: artifactd plan --all says why")
    return wanted


def _outcomes(
    settings: Config, paths: list[str], name: str | None, wait: float
) -> Iterator[Mapping[str, Any]]:
    """What became of each artifact: asked of the daemon, or done here where none runs."""
    for number, path in enumerate(paths):
        try:
            yield _by_daemon(settings, path, name, wait)
        except NoDaemon:
            yield from _done_here(settings, paths[number:], name, wait)
            return


def _by_daemon(settings: Config, path: str, name: str | None, wait: float) -> Mapping[str, Any]:
    last: Mapping[str, Any] = {"final": False, "ok": False, "reason": "it is not complete"}
    until = time.monotonic() + wait
    seconds = max(wait, _FIRST_ANSWER_SECONDS)
    with suppress(TimeoutError):
        whole = os.path.abspath(path)  # noqa: PTH100 - of a link itself, not of what it leads to
        for answer in control.ask(settings.state_directory, "export", timeout=seconds, path=whole, name=name):
            last = answer
            if answer["final"] or time.monotonic() >= until:
                break
    reason = (
        last["reason"] if last["final"] else f"no outcome yet, the daemon goes on with it: {last['reason']}"
    )
    return {"source": path, **last, "reason": reason}


def _done_here(
    settings: Config, paths: list[str], name: str | None, wait: float
) -> Iterator[Mapping[str, Any]]:
    from artifactd.clock import SYSTEM  # noqa: PLC0415 - as below
    from artifactd.service.sync import by_hand  # noqa: PLC0415 - as in `run`

    with ends_well():
        sources = [(path, relative(settings.data_directory, path) or b"") for path in paths]
        answers = by_hand(
            settings, log_of(settings, quiet=True), sources, name, wait_seconds=wait, clock=SYSTEM
        )
    yield from answers


def hint(
    experiment: Annotated[str, typer.Argument(help="The experiment's id, as Driverless AI's hooks get it.")],
    config: ConfigPath = None,
) -> None:
    """Tell the daemon that an experiment's artifacts are done, so that it need not wait to see.

    Made for Driverless AI's listeners_*_done hooks, with the experiment's id as its argument.
    It ends with 0 even where no daemon runs or nobody knows the experiment: nothing depends on a hint.
    """
    try:
        answer = next(control.ask(state_of(config), "hint", experiment=experiment))
    except TimeoutError:
        typer.echo("the daemon is busy, and looks at it when it can", err=True)
        return
    except NoDaemon as error:
        typer.echo(f"{error}. Its scan at start will find the artifacts.", err=True)
        return
    if answer.get("artifacts") is None:
        typer.echo(f"unknown experiment {experiment}: nothing to do", err=True)
    else:
        typer.echo(f"{answer['artifacts']} artifacts are looked at now")


def retry(
    paths: Annotated[list[str] | None, typer.Argument(help="Artifacts below the data directory.")] = None,
    config: ConfigPath = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was refused, lost or waits.")] = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Try again what was refused, given up or found lost. The running daemon takes it up within a second."""
    if bool(paths) == everything:
        fail(Exit.USAGE, "name artifacts, or --all")
    settings = configuration(config)
    with ends_well():
        ledger = Ledger.open(settings.state_directory, context(settings))
        states = (State.REFUSED, State.RETRYING, State.LOST)
        chosen = {relative(settings.data_directory, path) for path in paths or ()}
        rows = [
            row
            for row in ledger.rows(states=states)
            if row.key and (everything or row.artifact.path in chosen)
        ]
        now = time.time()
        recorded = ledger.record([Change(row, Replayed(now, account())) for row in rows], now)
        ledger.close()
    was = {(row.artifact.path, row.store, row.key): f"it was {row.state}: {row.reason}" for row in rows}
    for row in (item.row for item in recorded):
        typer.echo(
            f"{printable(row.artifact.path)} in {row.store}: tried again"
            f" ({was[row.artifact.path, row.store, row.key]})"
        )
    if not recorded:
        typer.echo("nothing to try again", err=True)
        if not everything:
            raise typer.Exit(Exit.FAILED)
