"""Some of the record's entries, and how they are written for other programs. Pure.

An extract proves nothing by itself: only the whole record hangs together.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from artifactd.clock import rfc3339
from artifactd.decisions.layout import EXPERIMENT
from artifactd.ledger.record import Entry, Value

COLUMNS: Final = (
    "seq",
    "time",
    "action",
    "outcome",
    "principal",
    "user",
    "experiment_id",
    "kind",
    "source",
    "size",
    "sha256",
    "store",
    "key",
    "rule",
    "attempt",
    "reason",
    "evidence",
    "proof",
    "uri",
    "version",
    "config_digest",
    "host",
    "service_account",
    "other",
)
"""Of the CSV: fields of an entry, and all the others as one JSON object in the last."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which entries are wanted: those for which everything holds that is given."""

    user: str | None = None
    experiment: str | None = None
    """its id, or its folder's name"""
    actions: tuple[str, ...] = ()
    """any of them"""
    rule: str | None = None
    principal: str | None = None
    since: float | None = None
    """seconds since the epoch, inclusive"""
    until: float | None = None
    """exclusive"""

    def of(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Those of `entries` that are wanted, in their order. It holds one at a time."""
        experiment = None if self.experiment is None else self.experiment.removeprefix(_FOLDER)
        wanted = {
            "user": self.user,
            "experiment_id": experiment,
            "rule": self.rule,
            "principal": self.principal,
        }
        says = [_says(field, value) for field, value in wanted.items() if value is not None]
        actions = [_says("action", action) for action in self.actions]
        since, until = (None if at is None else rfc3339(at) for at in (self.since, self.until))
        for entry in entries:
            line = entry.line
            if any(one not in line for one in says) or (actions and not any(one in line for one in actions)):
                continue
            if (since or until) and not _between(_time(line), since, until):
                continue
            yield entry


_FOLDER: Final = EXPERIMENT.decode()
_TIME: Final = '"time":"'


def _says(field: str, value: str) -> str:
    """The part of a line that says so. The line is canonical; inside a text its quotes would be escaped."""
    return f"{json.dumps(field)}:{json.dumps(value)}"


def _time(line: str) -> str:
    """When the entry was made, as RFC 3339 in UTC: all of one length, so that texts compare as times do."""
    return line.partition(_TIME)[2].partition('"')[0]


def _between(time: str, since: str | None, until: str | None) -> bool:
    return bool(time) and (since is None or since <= time) and (until is None or time < until)


def cells(fields: Mapping[str, Value]) -> list[str]:
    """The entry's cells below `COLUMNS`. What a spreadsheet would take for a formula begins with a quote."""
    rest = {name: value for name, value in fields.items() if name not in COLUMNS and value is not None}
    texts = [_text(fields.get(name)) for name in COLUMNS[:-1]]
    return [*texts, _text(json.dumps(rest, sort_keys=True))]


def _text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
