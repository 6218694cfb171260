"""`artifactd list`: the copies on record, and the files that the running daemon waits for."""

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import partial
from itertools import chain, islice, takewhile
from typing import Annotated, Any, Final

import typer

from artifactd.artifact import Artifact, Kind, count_of, printable, size_of
from artifactd.cli.configuration import configuration
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.options.known import one_of
from artifactd.cli.options.loudness import remark
from artifactd.cli.options.moments import Since, Until
from artifactd.cli.output import heard
from artifactd.cli.state import reading, stepped
from artifactd.cli.terminal import NAME, AsJson, age_of, columns, lines, on_terminal, style, table
from artifactd.clock import SYSTEM, moment, rfc3339
from artifactd.config.effective import Config, named
from artifactd.decisions.lifecycle import DUE, Row, State
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.statements import Listing, Order
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
    KEPT = "kept"


class Sort(StrEnum):
    """What `list --sort` takes."""

    TIME = "time"
    NAME = "name"
    SIZE = "size"
    STATE = "state"


def list_copies(
    config: ConfigPath = None,
    *,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only this experiment's.")] = None,
    state: Annotated[
        list[Shown] | None, typer.Option(help="Only copies in this state; may be repeated.")
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only this kind; may be repeated.")] = None,
    store: Annotated[str | None, typer.Option(help="Only copies in this store.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only what this rule of the policy decided.")] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[
        Sort, typer.Option(help="By time the newest come first, by size the largest.")
    ] = Sort.TIME,
    limit: Annotated[int | None, typer.Option(min=0, help="So many at most.")] = None,
    details: Annotated[
        bool, typer.Option("--details", "-l", help="All that is known of each, on lines of its own.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the exported artifacts, and those that wait or were refused, with the reason: the newest first.

    On a terminal each has one line: its name in the store, its state, for how long it has been in it, whose
    it is, and its size or the reason. Files that are waited for come first; the running daemon knows them.
    """
    settings = configuration(config, touching=False)
    chosen = set(state or Shown)
    states = {State(one.value) for one in chosen if one is not Shown.WAITING}
    listing = Listing(user, experiment, store, rule, kind or None, states, since, until, limit, _ORDERS[sort])
    with reading(settings) as ledger:
        if store is not None:
            on_record = (name for name, _ in ledger.count_by_store())
            one_of([store], [*(name for name, _ in named(settings)), *on_record], "--store")
        answer = _asked(settings, listing) if chosen & {Shown.WAITING, Shown.RETRYING} else {}
        waiting = list(_waiting(settings, listing, ledger, answer)) if Shown.WAITING in chosen else []
        fields = partial(_fields, stepped=stepped(answer))
        for option, value, alone in (
            ("--user", user, Listing(user=user, limit=1)),
            ("--rule", rule, Listing(rule=rule, limit=1)),
        ):
            if value is not None and not waiting and next(ledger.listed(alone), None) is None:
                remark(f"nothing is on record with {option} {value}: is it misspelt?")
        shown = islice(chain(waiting, map(fields, ledger.listed(listing))), limit)
        if as_json:
            lines(shown)
        elif details:
            now = SYSTEM.now()
            for one in takewhile(lambda _one: heard(), shown):
                _details(one, now)
        elif on_terminal():
            _one_line_each(shown)
        else:
            table(_COLUMNS, map(_cells, shown))


_ORDERS: Final = {
    Sort.TIME: Order.TIME,
    Sort.NAME: Order.NAME,
    Sort.SIZE: Order.SIZE,
    Sort.STATE: Order.STATE,
}

_COLUMNS: Final = (
    "user",
    "experiment",
    "artifact",
    "kind",
    "size",
    "state",
    "sha256",
    "to",
    "when",
    "reason",
)

_COLOURS: Final = {
    "proven": "green",
    "refused": "red",
    "lost": "red",
    "kept": "yellow",
    "retrying": "yellow",
    "waiting": "cyan",
}

_ENDED_WELL: Final = ("proven", "uploading")

Fields = Mapping[str, Any]
"""What is told of one copy, or of one file that is waited for."""


def _one_line_each(found: Iterator[Fields]) -> None:
    if (first := next(found, None)) is None:
        typer.echo(
            "There is nothing to list: nothing was exported, skipped or refused, and nothing is waited for."
        )
        return
    now = SYSTEM.now()
    title = ("name", "state", "for", "whose", "size, or why")
    rows = chain([title, _row(first, now)], (_row(one, now) for one in found))
    columns(rows, (NAME, 9, 6, 16), lambda row: {1: _COLOURS.get(row[1])})


def _row(one: Fields, now: float) -> tuple[str, ...]:
    seconds = one["waited_seconds"] if "waited_seconds" in one else now - moment(one["time"], now)
    well = one["state"] in _ENDED_WELL
    why = size_of(one["size"]) if well else one["reason"].removeprefix(f"{one.get('key')} ")
    return _name(one), one["state"], age_of(seconds), f"{one['user']}/{one['experiment_id']}", why


def _name(one: Fields) -> str:
    """In the store; of what has none there, the file's own."""
    return str(one.get("key") or one["source"]).rsplit("/", 1)[-1]


def _details(one: Fields, now: float) -> None:
    """All of it, each thing under its name."""
    state = style(one["state"], fg=_COLOURS.get(one["state"]))
    typer.echo(f"{style(printable(_name(one)), bold=True)}  {state}")
    to = f"{one['store']}:{one['key']}" if one.get("key") else None
    waited = f"{one['waited_seconds']:.0f} s" if "waited_seconds" in one else None
    again = one.get("next_attempt")
    for title, value in (
        ("because", one["reason"]),
        ("source", one["source"]),
        ("to", to),
        ("bytes", one["size"]),
        ("kind", one["kind"]),
        ("rule", one.get("rule")),
        ("sha256", one.get("sha256")),
        ("proof", one.get("proof")),
        ("version", one.get("version")),
        ("since", one.get("time")),
        ("waited", waited),
        ("tries", one.get("attempts")),
        ("next try", DUE if again and moment(again, now) <= now else again),
    ):
        if value:
            typer.echo(f"  {title:<8}  {printable(str(value))}")


def _fields(row: Row, stepped: float) -> Fields:
    """`stepped`: see the function of that name."""
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
        "next_attempt": None if row.retry_at is None else rfc3339(row.retry_at + stepped),
        "reason": row.reason,
    }


def _cells(one: Fields) -> tuple[str, ...]:
    waited = f" ({one['waited_seconds']:.0f} s)" if "waited_seconds" in one else ""
    return (
        one["user"],
        one["experiment_id"],
        f"/{one['source']}".split("/h2oai_experiment_", 1)[-1].partition("/")[2],
        one["kind"],
        size_of(one["size"]),
        one["state"],
        (one.get("sha256") or "")[:12],
        f"{one['store']}:{one['key']}" if "store" in one else "",
        one.get("time", ""),
        f"{one['reason']}{waited}",
    )


def _asked(settings: Config, listing: Listing) -> Fields:
    """What the running daemon says of the files that it waits for; nothing where none does."""
    chosen: dict[str, Any] = {"user": listing.user, "experiment": listing.experiment_id}
    try:
        return next(control.ask(settings.state_directory, "waiting", **chosen))
    except Silent as error:
        remark(f"{error}, so what it waits for is not shown: artifactd status")
    except NoDaemon:
        pass
    return {}


def _waiting(settings: Config, listing: Listing, ledger: Ledger, answer: Fields) -> Iterator[Fields]:
    """The files that the running daemon waits for, as its `answer` tells.

    One with a copy that is under way or tried again is listed as that is, and not twice.
    """
    if more := answer.get("more", 0):
        left = count_of(more, "more file is", "more files are")
        remark(f"{left} waited for: ask for one --user or --experiment")
    now = SYSTEM.now()
    selection = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    for one in answer.get("waiting", []):
        found = selection.artifact(os.fsencode(one["path"]))
        if found is not None and _listed(listing, ledger, found.path):
            continue
        if found is None or not _chosen(listing, found, selection, now, one):
            continue
        yield {
            "user": found.user,
            "experiment_id": found.experiment_id,
            "source": one["source"],
            "kind": found.kind.value,
            "size": one["size"],
            "state": "waiting",
            "reason": one["reason"],
            "waited_seconds": one["waited_seconds"],
        }


def _listed(listing: Listing, ledger: Ledger, path: bytes) -> bool:
    """Whether an unfinished copy of the file is listed already."""
    rows = ledger.of_sources([path]).get(path, ())
    return any(row.unfinished and (listing.states is None or row.state in listing.states) for row in rows)


def _chosen(listing: Listing, found: Artifact, selection: Selection, now: float, one: Fields) -> bool:
    """Whether a file that is waited for is to be listed. It waits for every store."""
    decision, since = selection.decide(found, one["size"]), now - one["waited_seconds"]
    return (
        listing.user in (None, found.user)
        and listing.experiment_id in (None, found.experiment_id)
        and (not listing.kinds or found.kind in listing.kinds)
        and listing.rule in (None, decision.rule)
        and (listing.since is None or since >= listing.since)
        and (listing.until is None or since < listing.until)
    )
