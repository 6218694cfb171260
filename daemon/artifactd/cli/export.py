"""`artifactd export`: artifacts that a person asks for, by the running daemon or without one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from artifactd.artifact import printable
from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit, leave
from artifactd.cli.options import paths
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.state import ends_well
from artifactd.cli.terminal import AsJson, fail, lines
from artifactd.clock import SYSTEM
from artifactd.config.effective import Config
from artifactd.discovery import named
from artifactd.inspection.plan import NothingWanted, wanted
from artifactd.linux.files import account
from artifactd.mirror.answers import DISABLED, Principal
from artifactd.service import control
from artifactd.service.control import NoDaemon
from artifactd.service.process_log import log_of
from artifactd.service.sync import by_hand

_FIRST_ANSWER_SECONDS: Final = 5.0
"""For the daemon to say anything at all, however short a time its caller has."""


def export(
    path: Annotated[str | None, typer.Argument(help=f"The artifact. {paths.HELP}")] = None,
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
    outcomes = list(_outcomes(settings, _chosen(settings, path, experiment), name, wait))
    if as_json:
        lines(outcomes)
    else:
        for outcome in outcomes:
            typer.echo(_sentence(outcome), err=not outcome["ok"])
    if not all(outcome["final"] for outcome in outcomes):
        leave(Exit.INCOMPLETE)
    if not all(outcome["ok"] for outcome in outcomes):
        raise typer.Exit(Exit.INCOMPLETE)


def _chosen(settings: Config, path: str | None, experiment: str | None) -> list[bytes]:
    """The artifacts that were named, relative to the data directory."""
    if path is None:
        try:
            return wanted(settings, str(experiment))
        except NothingWanted as error:
            fail(Exit.FAILED, str(error))
    found = paths.located(settings.data_directory, path)
    # Who asked for what lies elsewhere is on record, too.
    return [named.located(settings.data_directory, path) if found is None else found]


def _sentence(outcome: Mapping[str, Any]) -> str:
    if outcome["ok"]:
        where = outcome.get("uri") or f"{outcome['store']}:{outcome['key']}"
        before = f", {outcome['reason']}" if outcome["reason"] else ""
        return f"{outcome['source']} → {where} (sha256 {outcome['sha256']}{before})"
    return f"{outcome['source'] or 'an empty path'}: {outcome['reason']}"


def _outcomes(
    settings: Config, sources: list[bytes], name: str | None, wait: float
) -> Iterator[Mapping[str, Any]]:
    """What became of each artifact: asked of the daemon, or done here where none runs."""
    for number, source in enumerate(sources):
        try:
            yield _by_daemon(settings, source, name, wait)
        except NoDaemon:
            yield from _done_here(settings, sources[number:], name, wait)
            return


def _by_daemon(settings: Config, source: bytes, name: str | None, wait: float) -> Mapping[str, Any]:
    last: Mapping[str, Any] = {"final": False, "ok": False, "reason": "it is not complete"}
    until = SYSTEM.monotonic() + wait
    seconds = max(wait, _FIRST_ANSWER_SECONDS)
    with suppress(TimeoutError):
        whole = str(settings.data_directory / os.fsdecode(source)) if source else ""
        wish = {"path": whole, "name": name, "sudo_user": _sudo_user()}
        for answer in control.ask(settings.state_directory, "export", timeout=seconds, **wish):
            last = answer
            if answer["final"] or SYSTEM.monotonic() >= until:
                break
    reason = (
        last["reason"] if last["final"] else f"no outcome yet, the daemon goes on with it: {last['reason']}"
    )
    return {"source": printable(source), **last, "reason": reason}


def _done_here(
    settings: Config, sources: list[bytes], name: str | None, wait: float
) -> Iterator[Mapping[str, Any]]:
    with ends_well():
        principal = Principal(account(), os.geteuid(), _sudo_user())
        log = log_of(settings, quiet=True)
        answers = by_hand(settings, log, sources, name, principal, wait_seconds=wait, clock=SYSTEM)
    yield from answers


def _sudo_user() -> str:
    """Who called sudo, where it started this command (sudo(8))."""
    return os.environ.get("SUDO_USER", "")
