"""`artifactd list`: the copies on record, and the files that the running daemon waits for."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

import typer

from artifactd.artifact import printable, size_of
from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.state import reading
from artifactd.cli.terminal import AsJson, lines, on_terminal, table
from artifactd.clock import rfc3339
from artifactd.config import Config
from artifactd.decisions.lifecycle import Row, State
from artifactd.mirror.wanted import Selection
from artifactd.service import control
from artifactd.service.control import NoDaemon, Silent


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
    settings = configuration(config, touching=False)
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
        typer.secho(f"{printable(user)}, experiment {printable(experiment)}", bold=True)
        for _, _, artifact, kind, size, state, digest, to, when, reason in group:
            typer.echo(f"  {typer.style(f'{state:<9}', fg=_COLOURS.get(state))} {artifact}")
            said = (kind, size, digest and f"sha256 {digest}", when)
            typer.echo(f"            {', '.join(filter(None, said))}")
            for line in filter(
                None, (to and f"→ {printable(to)}", reason and f"because: {printable(reason)}")
            ):
                typer.echo(f"            {line}")
        typer.echo()
    if not shown:
        typer.echo(
            "There is nothing to list: nothing was exported, skipped or refused, and nothing is waited for."
        )


_COLOURS = {"proven": "green", "refused": "red", "lost": "red", "retrying": "yellow", "waiting": "cyan"}


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
    """The files that the running daemon waits for; none where none runs, or where it does not say."""
    chosen: dict[str, Any] = {"user": user, "experiment": experiment}
    try:
        answer = next(control.ask(settings.state_directory, "waiting", **chosen))
    except Silent as error:
        typer.echo(f"{error}, so what it waits for is not shown: artifactd status", err=True)
        return []
    except NoDaemon:
        return []
    if more := answer.get("more", 0):
        typer.echo(f"{more} more files are waited for: ask for one --user or --experiment", err=True)
    selection = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    waiting: list[Mapping[str, Any]] = []
    for one in answer.get("waiting", []):
        found = selection.artifact(os.fsencode(one["path"]))
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
