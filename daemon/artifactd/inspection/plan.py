"""What a sync would do, found out without doing it: nothing is hashed, written or sent."""

import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from artifactd.artifact import Artifact, Sighting, printable
from artifactd.config import Config
from artifactd.decisions.assessment import Assessment, Copy, assess
from artifactd.decisions.plan import Moment, Nothing, Read, Wait, family
from artifactd.decisions.policy import LeftAlone, Unnameable, Wanted
from artifactd.discovery import scan
from artifactd.discovery.reading import OTHER_NAMES
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
        if (subject := selection.subject(sighting)) is not None:
            moment = Moment(now, longest_wait=math.inf)
            yield from _of_file(assess(subject, rows.get(sighting.path, []), stores, moment))


def _of_file(assessment: Assessment) -> Iterator[Forecast]:
    subject, size = assessment.subject, assessment.subject.identity.size
    match subject.decision:
        case LeftAlone(reason, rule):
            yield Forecast(subject.artifact, size, "", "", Would.LEAVE, reason, rule)
        case Unnameable(reason, rule):
            yield Forecast(subject.artifact, size, "", "", Would.REFUSE, reason, rule)
        case Wanted():
            pass
        case _:
            assert_never(subject.decision)
    for copy in assessment.copies:
        would, reason = _would(copy, assessment)
        key, rule = copy.wanted.key.text, copy.wanted.rule
        yield Forecast(subject.artifact, size, copy.store, key, would, reason, rule)


def _would(copy: Copy, assessment: Assessment) -> tuple[Would, str]:
    if not stat.S_ISREG(assessment.subject.sighting.mode):
        return Would.REFUSE, "no regular file"
    linked = assessment.subject.sighting.names > 1
    match copy.outlook:
        case Nothing(row):
            if not copy.proven:
                return Would.REFUSE, row.reason
            return Would.NOTHING, f"proven; {OTHER_NAMES}" if linked else "proven"
        case Wait(_, reason):
            return Would.RETRY, reason
        case Read() if linked:
            return Would.REFUSE, OTHER_NAMES
        case Read():
            known = family(assessment.rows, copy.store, copy.wanted.key.text)
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


def wanted(config: Config, experiment_id: str) -> list[bytes]:
    """Files of this experiment, of whichever users, that the policy wants: relative to the data directory.

    Raises:
        NothingWanted: there is no such experiment, it cannot be looked into, or no rule wants any of it.
    """
    selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
    folders = experiments(config.data_directory, os.fsencode(experiment_id))
    if not folders:
        raise NothingWanted(f"no experiment {experiment_id} in {config.data_directory}")
    paths: list[bytes] = []
    for found in (found for folder in folders for found in scan.below(config.data_directory, folder)):
        if isinstance(found, scan.Unobservable):
            raise NothingWanted(f"{printable(found.path) or config.data_directory}: {found.reason}")
        paths += [
            sighting.path
            for sighting in found.sightings
            if (subject := selection.subject(sighting)) is not None and isinstance(subject.decision, Wanted)
        ]
    if not paths:
        raise NothingWanted(f"nothing of experiment {experiment_id} is wanted: artifactd plan --all says why")
    return paths
