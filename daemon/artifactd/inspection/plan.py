"""What a sync would do, found out without doing it: nothing is hashed, written or sent."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from artifactd.artifact import Artifact, Sighting, printable
from artifactd.config import Config
from artifactd.decisions.lifecycle import Row
from artifactd.decisions.plan import Nothing, Read, Wait, family, outlook
from artifactd.decisions.policy import Decision, LeftAlone, Unnameable, Wanted
from artifactd.discovery import scan
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.by_hand import experiments
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


class NothingWanted(Exception):
    """Nothing of an experiment can be exported. The message says why."""


def wanted(config: Config, experiment_id: str) -> list[str]:
    """The files of this experiment, of whichever users, that the policy wants.

    Raises:
        NothingWanted: there is no such experiment, it cannot be looked into, or no rule wants any of it.
    """
    selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
    folders = experiments(config.data_directory, os.fsencode(experiment_id))
    if not folders:
        raise NothingWanted(f"no experiment {experiment_id} in {config.data_directory}")
    paths: list[str] = []
    for found in (found for folder in folders for found in scan.below(config.data_directory, folder)):
        if isinstance(found, scan.Unobservable):
            raise NothingWanted(f"{printable(found.path)}: {found.reason}")
        paths += [
            str(config.data_directory / os.fsdecode(sighting.path))
            for sighting in found.sightings
            if (artifact := selection.artifact(sighting.path)) is not None
            and isinstance(selection.decide(artifact, sighting.identity.size), Wanted)
        ]
    if not paths:
        raise NothingWanted(f"nothing of experiment {experiment_id} is wanted: artifactd plan --all says why")
    return paths
