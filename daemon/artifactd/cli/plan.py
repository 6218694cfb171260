"""`artifactd plan`: what a sync would do."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final

import typer

from artifactd.artifact import printable, size_of
from artifactd.cli.apart import apart
from artifactd.cli.configuration import Timeout, configuration
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.state import reading
from artifactd.cli.terminal import NAME, AsJson, columns, lines, on_terminal, table
from artifactd.clock import SYSTEM
from artifactd.discovery import scan
from artifactd.inspection.destinations import rooms
from artifactd.inspection.plan import Forecast, Would, whole_tree
from artifactd.inspection.totals import Totals
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.answers import DISABLED


def plan(
    config: ConfigPath = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is left alone or done already.")
    ] = False,
    timeout: Timeout = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show what a sync would do, and touch nothing.

    On a terminal each file has one line: its name in the store, what would be done, its size, whose it is,
    and why. It ends, on standard error, with the sum for each store and what is to be mended: files that want
    one key, rules that match nothing, missing room.
    """
    apart()
    settings = configuration(config, seconds=timeout, patient=True)
    if not settings.enabled:
        typer.echo(f"{DISABLED}. With it, a sync would do this:", err=True)
    totals = Totals(settings.policy)
    with reading(settings, missing=Ledger.empty) as ledger:
        found = _counted(whole_tree(settings, ledger, SYSTEM.now()), totals)
        _show(_forecasts(found, everything=everything), as_json=as_json)
    for line in totals.lines(rooms(settings, timeout)):
        typer.echo(line, err=True)


def _counted(
    found: Iterator[Forecast | scan.Unobservable], totals: Totals
) -> Iterator[Forecast | scan.Unobservable]:
    for one in found:
        if isinstance(one, Forecast):
            totals.hear(one)
        yield one


def _show(shown: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        lines(shown)
    elif on_terminal():
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
