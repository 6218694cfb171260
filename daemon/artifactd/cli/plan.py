"""`artifactd plan`: what a sync would do."""

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final

import typer

from artifactd.artifact import printable, size_of
from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.state import reading
from artifactd.cli.terminal import NAME, AsJson, columns, lines, on_terminal, table
from artifactd.clock import SYSTEM
from artifactd.discovery import scan
from artifactd.inspection.plan import Forecast, Would, whole_tree
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.answers import DISABLED
from artifactd.mirror.engine import named
from artifactd.mirror.wanted import Selection


def plan(
    config: ConfigPath = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is left alone or done already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a sync would do, and touch nothing.

    On a terminal each file has one line: its name in the store, what would be done, its size, whose it is,
    and why.
    """
    settings = configuration(config)
    if not settings.enabled:
        typer.echo(f"{DISABLED}. With it, a sync would do this:", err=True)
    selection = Selection(os.fsencode(settings.data_directory), settings.policy, settings.user)
    stores = [name for name, _ in named(settings)]
    with reading(settings, missing=Ledger.empty) as ledger:
        found = whole_tree(selection, stores, ledger, SYSTEM.now(), scan.scan(settings.data_directory))
        shown = _forecasts(found, everything=everything)
        if as_json:
            lines(shown)
            return
        if on_terminal():
            rows = chain([("name", "would", "size", "whose", "why")], map(_row, shown))
            columns(rows, (NAME, 12, 9, 16), lambda row: {1: _COLOURS.get(row[1])})
        else:
            table(_COLUMNS, map(_cells, shown))


_COLUMNS: Final = ("would", "source", "size", "kind", "to", "rule", "reason")

_COLOURS: Final = {
    "export": "green",
    "compare": "cyan",
    "retry": "yellow",
    "refuse": "red",
    "unobservable": "red",
}


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    name = (one["key"] or one["source"]).rsplit("/", 1)[-1]
    whose = "/".join(filter(None, (one["user"], one["experiment_id"])))
    why = one["reason"].removeprefix(f"{one['key']} ")
    return name, one["would"], size_of(one["size"]) if one["kind"] else "", whose, why


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["would"],
        one["source"],
        size_of(one["size"]),
        one["kind"],
        f"{one['store']}:{one['key']}" if one["key"] else "",
        one["rule"] or "",
        one["reason"],
    )


def _forecasts(
    found: Iterator[Forecast | scan.Unobservable], *, everything: bool
) -> Iterator[dict[str, Any]]:
    blank = {"user": "", "experiment_id": "", "size": 0, "kind": "", "store": "", "key": "", "rule": None}
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
                "user": one.artifact.user,
                "experiment_id": one.artifact.experiment_id,
                "size": one.size,
                "kind": one.artifact.kind.value,
                "store": one.store,
                "key": one.key,
                "rule": one.rule,
                "reason": one.reason,
            }
