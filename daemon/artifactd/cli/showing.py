"""Commands that show and change nothing: list, explain, plan, config show."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import typer

from artifactd.artifact import printable
from artifactd.cli.exits import Exit
from artifactd.cli.terminal import (
    DISABLED,
    AsJson,
    ConfigPath,
    configuration,
    fail,
    lines,
    on_terminal,
    reading,
    size_of,
    table,
)
from artifactd.clock import rfc3339
from artifactd.config import Config
from artifactd.decisions.lifecycle import Row, State
from artifactd.discovery import scan
from artifactd.inspection.plan import Forecast, Would, whole_tree
from artifactd.mirror.by_hand import relative
from artifactd.mirror.engine import named
from artifactd.mirror.wanted import Selection
from artifactd.service import control
from artifactd.service.control import NoDaemon

SHOWING = "Showing"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list", rich_help_panel=SHOWING)(list_copies)
    app.command(rich_help_panel=SHOWING)(explain)
    app.command(rich_help_panel=SHOWING)(plan)
    app.command(rich_help_panel=SHOWING)(demo)
    config_app = typer.Typer(no_args_is_help=True, help="The configuration.")
    config_app.command("show")(config_show)
    app.add_typer(config_app, name="config", rich_help_panel=SHOWING)


class Shown(StrEnum):
    """What `list --state` takes: the states on record, and the files that the running daemon waits for."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    PROVEN = "proven"
    RETRYING = "retrying"
    REFUSED = "refused"
    SKIPPED = "skipped"
    GONE = "gone"
    LOST = "lost"


def list_copies(
    config: ConfigPath = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only this experiment's.")] = None,
    state: Annotated[
        list[Shown] | None, typer.Option(help="Only copies in this state; may be repeated.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """List each experiment's exported artifacts, and those that wait or were refused, with the reason."""
    settings = configuration(config)
    chosen = set(state or Shown)
    with reading(settings) as ledger:
        states = [State(one.value) for one in chosen if one is not Shown.WAITING]
        rows = ledger.rows(user=user, experiment_id=experiment, states=states)
        waiting = _waiting(settings, user, experiment) if Shown.WAITING in chosen else []
        if as_json:
            lines(_fields(row) for row in rows)
            lines(waiting)
            return
        cells = (*map(_cells, rows), *map(_waiting_cells, waiting))
        if on_terminal():
            _by_experiment(cells)
        else:
            table(_COLUMNS, cells)


_COLUMNS = ("user", "experiment", "artifact", "kind", "size", "state", "sha256", "to", "when", "reason")


def _by_experiment(rows: Iterable[tuple[str, ...]]) -> None:
    """For a person: each experiment with its copies below, one thing to a line so that nothing is torn."""
    shown = sorted(rows, key=lambda row: row[:2])
    for (user, experiment), group in groupby(shown, key=lambda row: row[:2]):
        typer.secho(f"{_safe(user)}, experiment {_safe(experiment)}", bold=True)
        for _, _, artifact, kind, size, state, digest, to, when, reason in group:
            typer.echo(f"  {typer.style(f'{state:<9}', fg=_COLOURS.get(state))} {artifact}")
            said = (kind, size, digest and f"sha256 {digest}", when)
            typer.echo(f"            {', '.join(filter(None, said))}")
            for line in filter(None, (to and f"→ {_safe(to)}", reason and f"because: {_safe(reason)}")):
                typer.echo(f"            {line}")
        typer.echo()
    if not shown:
        typer.echo(
            "There is nothing to list: nothing was exported, skipped or refused, and nothing is waited for."
        )


_COLOURS = {"proven": "green", "refused": "red", "lost": "red", "retrying": "yellow", "waiting": "cyan"}


def _safe(name: str) -> str:
    """A name for a terminal: users choose theirs."""
    return printable(name.encode("utf-8", "surrogateescape"))


def _fields(row: Row) -> dict[str, Any]:
    return {
        "user": row.artifact.user,
        "experiment_id": row.artifact.experiment_id,
        "source": printable(row.artifact.path),
        "kind": row.artifact.kind.value,
        "size": row.size,
        "state": row.state.value,
        "sha256": row.digest,
        "store": row.store,
        "key": row.key,
        "proof": row.proof,
        "version": row.version,
        "time": rfc3339(row.changed_at),
        "rule": row.rule,
        "attempts": row.failures + (row.state is State.PROVEN),
        "next_attempt": None if row.retry_at is None else rfc3339(row.retry_at),
        "reason": row.reason,
    }


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.artifact.user,
        row.artifact.experiment_id,
        printable(row.artifact.inside),
        row.artifact.kind.value,
        size_of(row.size),
        row.state.value,
        (row.digest or "")[:12],
        f"{row.store}:{row.key}",
        rfc3339(row.changed_at),
        row.reason,
    )


def _waiting(settings: Config, user: str | None, experiment: str | None) -> list[Mapping[str, Any]]:
    """The files that the running daemon waits for; none where none runs."""
    try:
        answer = next(control.ask(settings.state_directory, "waiting"))
    except NoDaemon:
        return []
    intake = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    waiting: list[Mapping[str, Any]] = []
    for one in answer.get("waiting", []):
        found = intake.artifact(os.fsencode(one["path"]))
        if found and user in (None, found.user) and experiment in (None, found.experiment_id):
            waiting.append(
                {
                    "user": found.user,
                    "experiment_id": found.experiment_id,
                    "source": one["source"],
                    "kind": found.kind.value,
                    "size": one["size"],
                    "state": "waiting",
                    "reason": one["reason"],
                    "waited_seconds": one["waited_seconds"],
                }
            )
    return waiting


def _waiting_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    reason = f"{one['reason']} ({one['waited_seconds']:.0f} s)"
    inside = one["source"].split("/h2oai_experiment_", 1)[-1].partition("/")[2]
    head = (one["user"], one["experiment_id"], inside, one["kind"], size_of(one["size"]), "waiting")
    return (*head, "", "", "", reason)


def explain(
    path: Annotated[str, typer.Argument(help="A file below the data directory.")],
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Say what is known of one file: layout, rule, evidence that is missing, state, tries, last error."""
    from artifactd.inspection.explain import explanation  # noqa: PLC0415 - probes files, for this command only

    settings = configuration(config)
    inside = relative(settings.data_directory, path)
    if inside is None:
        fail(Exit.FAILED, f"{path} does not lie below the data directory {settings.data_directory}")
    with reading(settings) as ledger:
        said = explanation(settings, ledger, inside, time.time())
    if as_json:
        lines([said])
        return
    width = max(len(key) for key in said)
    for key, value in said.items():
        for number, line in enumerate(value if isinstance(value, list) else [value]):
            typer.echo(f"{key if number == 0 else '':<{width}}  {line}")


def plan(
    config: ConfigPath = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is left alone or done already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a sync would do, and touch nothing."""
    settings = configuration(config)
    if not settings.enabled:
        typer.echo(f"{DISABLED}. With it, a sync would do this:", err=True)
    intake = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    stores = [name for name, _ in named(settings)]
    with reading(settings) as ledger:
        found = whole_tree(intake, stores, ledger, time.time(), scan.scan(settings.data_directory))
        shown = _forecasts(found, everything=everything)
        if as_json:
            lines(shown)
            return
        columns = ("would", "source", "size", "kind", "to", "rule", "reason")
        cells = (
            (
                one["would"],
                one["source"],
                size_of(one["size"]),
                one["kind"],
                f"{one['store']}:{one['key']}" if one["key"] else "",
                one["rule"] or "",
                one["reason"],
            )
            for one in shown
        )
        table(columns, cells)


def _forecasts(
    found: Iterator[Forecast | scan.Unobservable], *, everything: bool
) -> Iterator[dict[str, Any]]:
    blank = {"size": 0, "kind": "", "store": "", "key": "", "rule": None}
    for one in found:
        if isinstance(one, scan.Unobservable):
            yield {
                "would": "unobservable",
                "source": printable(one.path) or ".",
                **blank,
                "reason": one.reason,
            }
        elif everything or one.would not in (Would.NOTHING, Would.LEAVE):
            yield {
                "would": one.would.value,
                "source": printable(one.artifact.path),
                "size": one.size,
                "kind": one.artifact.kind.value,
                "store": one.store,
                "key": one.key,
                "rule": one.rule,
                "reason": one.reason,
            }


def config_show(config: ConfigPath = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - as above
    """Print every effective value and where it came from. Secrets show as set or not set."""
    rows = configuration(config).effective()
    if as_json:
        lines({"key": row.key, "value": row.value, "source": row.source} for row in rows)
    else:
        table(("key", "value", "from"), rows)


def demo() -> None:
    """Show the daemon at work: it exports an experiment while that is written, in a temporary directory."""
    from artifactd.cli.story import DemoFailed  # noqa: PLC0415 - for this command only
    from artifactd.cli.story import demo as tell_story  # noqa: PLC0415 - as above
    from artifactd.clock import SYSTEM  # noqa: PLC0415 - as below

    try:
        tell_story(typer.echo, time.sleep, SYSTEM)
    except DemoFailed as error:
        fail(Exit.FAILED, f"the demo failed: {error}")
