"""What a sync would do, found out without doing it: nothing is hashed, written or sent."""

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from artifactd.artifact import Artifact, Sighting
from artifactd.decisions.lifecycle import Row
from artifactd.decisions.plan import Nothing, Read, Wait, family, outlook
from artifactd.decisions.policy import Decision, LeftAlone, Unnameable, Wanted
from artifactd.discovery import scan
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.wanted import Selection


class Would(StrEnum):
    """What a sync would do with one file and one store."""

    EXPORT = "export"
    """new to the store"""
    COMPARE = "compare"
    """changed since it was last read: read, and put if its bytes are others"""
    NOTHING = "nothing"
    """proven there"""
    RETRY = "retry"
    """tried again, at once by a sync, at its time by the daemon"""
    REFUSE = "refuse"
    """needs a person"""
    LEAVE = "leave"
    """not wanted"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be done with one file."""

    artifact: Artifact
    size: int
    """bytes"""
    store: str
    key: str
    would: Would
    reason: str
    rule: str | None


def forecast(
    sightings: Sequence[Sighting], selection: Selection, stores: Sequence[str], ledger: Ledger, now: float
) -> Iterator[Forecast]:
    """What would be done with these files, `now` being seconds since the epoch."""
    rows = ledger.of_sources([sighting.path for sighting in sightings])
    for sighting in sightings:
        found = selection.artifact(sighting.path)
        if found is not None:
            decision = selection.decide(found, sighting.identity.size)
            yield from _of_file(sighting, found, decision, rows.get(sighting.path, []), stores, now)


def _of_file(  # noqa: PLR0917 - each of a type of its own
    sighting: Sighting,
    found: Artifact,
    decision: Decision,
    rows: Sequence[Row],
    stores: Sequence[str],
    now: float,
) -> Iterator[Forecast]:
    size = sighting.identity.size
    match decision:
        case LeftAlone(reason, rule):
            yield Forecast(found, size, "", "", Would.LEAVE, reason, rule)
        case Unnameable(reason, rule):
            yield Forecast(found, size, "", "", Would.REFUSE, reason, rule)
        case Wanted(key, rule):
            for store in stores:
                would, reason = _would(sighting, decision, rows, store, now)
                yield Forecast(found, size, store, key.text, would, reason, rule)
        case _:
            assert_never(decision)


def _would(
    sighting: Sighting, wanted: Wanted, rows: Sequence[Row], store: str, now: float
) -> tuple[Would, str]:
    if not stat.S_ISREG(sighting.mode):
        return Would.REFUSE, "no regular file"
    match outlook(rows, store, wanted, sighting.identity, now, float("inf")):
        case Nothing(row) as nothing:
            return (Would.NOTHING, "proven") if nothing.done else (Would.REFUSE, row.reason)
        case Wait(_, reason):
            return Would.RETRY, reason
        case Read():
            known = family(rows, store, wanted.key.text)
            proven = any(row.proof for row in known)
            return (Would.COMPARE, "changed since it was exported") if proven else (Would.EXPORT, "new")
        case other:
            assert_never(other)


def whole_tree(
    selection: Selection, stores: Sequence[str], ledger: Ledger, now: float, found: Iterator[scan.Found]
) -> Iterator[Forecast | scan.Unobservable]:
    """What would be done with every file that a scan finds, and what it could not look at."""
    for one in found:
        match one:
            case scan.Seen(sightings):
                yield from forecast(sightings, selection, stores, ledger, now)
            case scan.Unobservable():
                yield one
            case scan.Gone():
                pass  # a whole scan asks for no single path
            case _:
                assert_never(one)
