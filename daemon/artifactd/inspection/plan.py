"""What a sync would do, found out without doing it: nothing is hashed, written or sent."""

import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, assert_never

from artifactd.artifact import Artifact, Sighting, printable
from artifactd.config.effective import Config, named
from artifactd.decisions.assessment import Assessment, Copy, assess
from artifactd.decisions.folders import Folders
from artifactd.decisions.lifecycle import Row
from artifactd.decisions.plan import Moment, Nothing, Read, SourceDamaged, Wait, family
from artifactd.decisions.policy import LeftAlone, Unnameable, Wanted
from artifactd.decisions.shares import Owner
from artifactd.discovery import scan
from artifactd.discovery.named import experiments
from artifactd.discovery.reading import OTHER_NAMES
from artifactd.ledger.ledger import Ledger
from artifactd.linux.files import account
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


_READ: Final = (Would.EXPORT, Would.COMPARE, Would.RETRY)
"""What takes a read of the file."""


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
    other: bytes | None = None
    """another file that has the key, or is to have it"""
    closed: bool = False
    """whether this account may not read the file"""


@dataclass(slots=True)
class Forecaster:
    """Foresees what would be done with files, `now` being seconds since the epoch."""

    selection: Selection
    stores: Sequence[str]
    ledger: Ledger
    now: float
    ignore_case: bool = False
    """whether two keys that differ only in case are one at the destination"""
    _folders: Folders = field(init=False)
    _owner: Owner | None = None
    _claims: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """store and key → the file that is to have them. A key names its user and experiment, so that no more is
    remembered than one experiment's"""

    def __post_init__(self) -> None:
        self._folders = Folders(self.ledger.users(), ignore_case=self.ignore_case)

    def of(self, sightings: Sequence[Sighting]) -> Iterator[Forecast]:
        """What would be done with these files; those of one experiment come one after the other."""
        rows = self.ledger.of_sources([sighting.path for sighting in sightings])
        moment = Moment(self.now, longest_wait=math.inf)
        assessed = [
            assess(subject, rows.get(sighting.path, []), self.stores, moment)
            for sighting in sightings
            if (subject := self.selection.subject(sighting)) is not None
        ]
        held = self._held(assessed)
        for one in assessed:
            if one.subject.owner != self._owner:
                self._owner = one.subject.owner
                self._claims.clear()
            for foreseen in _of_file(one):
                yield self._open(self._beside(foreseen, held))

    def _open(self, one: Forecast) -> Forecast:
        """The forecast, in view of who may read the file."""
        if one.would not in _READ:
            return one
        whole = os.path.join(self.selection.data_directory, one.artifact.path)  # noqa: PTH118 - of bytes
        # One that is gone meanwhile is told by the next look.
        if os.access(whole, os.R_OK, effective_ids=True) or not os.path.lexists(whole):
            return one
        return replace(one, would=Would.REFUSE, reason=f"{account()} may not read it", closed=True)

    def _held(self, assessed: Sequence[Assessment]) -> dict[tuple[str, str], list[bytes]]:
        """Store and key → the files on record that have them, or may yet get them."""
        held: dict[tuple[str, str], list[bytes]] = {}
        for row in self._neighbours([one for one in assessed if one.unread]):
            if row.claims:
                held.setdefault(self._name(row.store, row.key), []).append(row.artifact.path)
        return held

    def _neighbours(self, assessed: Sequence[Assessment]) -> Iterator[Row]:
        """The rows that may claim these files' keys: where case tells none apart, all of an experiment's."""
        if self.ignore_case:
            for owner in dict.fromkeys(one.subject.owner for one in assessed):
                yield from self.ledger.rows(user=owner.user, experiment_id=owner.experiment)
            return
        keys: dict[str, set[str]] = {}
        for copy in (copy for one in assessed for copy in one.unread):
            keys.setdefault(copy.store, set()).add(copy.wanted.key.text)
        for store, wanted in keys.items():
            for rows in self.ledger.of_keys(store, list(wanted)).values():
                yield from rows

    def _name(self, store: str, key: str) -> tuple[str, str]:
        """What tells a place in a store from every other."""
        return store, key.casefold() if self.ignore_case else key

    def _beside(self, one: Forecast, held: Mapping[tuple[str, str], Sequence[bytes]]) -> Forecast:
        """The forecast, in view of the other files that want its key, or have it."""
        path, name = one.artifact.path, self._name(one.store, one.key)
        if one.would not in (Would.EXPORT, Would.COMPARE):
            return one
        if one.would is Would.EXPORT and (denied := self._folders.denied(one.artifact.user)) is not None:
            return replace(one, would=Would.REFUSE, reason=denied)
        claims = (*held.get(name, ()), self._claims.setdefault(name, path))
        other = next((claim for claim in claims if claim != path), None)
        if other is None:
            return one
        reason = f"{printable(other)} has this key, or is to have it: change `as` of the rule"
        return replace(one, would=Would.REFUSE, reason=reason, other=other)


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
        case Nothing() if copy.proven:
            return Would.NOTHING, f"proven; {OTHER_NAMES}" if linked else "proven"
        case Wait(_, reason):
            return Would.RETRY, reason
        case SourceDamaged(reason) | Nothing(Row(reason=reason)):
            return Would.REFUSE, reason
        case Read() if linked:
            return Would.REFUSE, OTHER_NAMES
        case Read():
            known = family(assessment.rows, copy.store, copy.wanted.key.text)
            proven = any(row.proof for row in known)
            return (Would.COMPARE, "changed since it was exported") if proven else (Would.EXPORT, "new")
        case other:
            assert_never(other)


def whole_tree(config: Config, ledger: Ledger, now: float) -> Iterator[Forecast | scan.Unobservable]:
    """What would be done with every file of the data directory, and what could not be looked at.

    `now` is seconds since the epoch.
    """
    selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
    stores = [name for name, _ in named(config)]
    forecaster = Forecaster(selection, stores, ledger, now, config.ignore_case)
    for one in scan.scan(config.data_directory):
        match one:
            case scan.Seen(sightings):
                yield from forecaster.of(sightings)
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
