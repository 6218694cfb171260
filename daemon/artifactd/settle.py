"""Sightings + evidence + time → complete, or still waiting and for what. Pure: the time comes in as an argument.

Nobody tells a watcher that a file is finished, so the evidence is gathered in rungs: Driverless AI said so, or the
file was closed or moved into place, or nothing about it changed for the quiet period; and then, as it is opened, no
writer has it open, and a zip's directory reads. A file that fails is looked at again, never dropped.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from artifactd.artifact import Identity, Sighting

WITHOUT_LEASE: Final = 5.0
"""Quiet periods to wait where the kernel does not say who has a file open."""

_LONGEST_RECHECK: Final = 10.0
"""Quiet periods between two looks at a file that stays busy."""


class Writers(StrEnum):
    """Who has a file open for writing."""

    NONE = "no_writer"
    SOME = "writer"
    UNKNOWN = "writers_unknown"


@dataclass(frozen=True, slots=True)
class Settled:
    """Time and events say that the file may be complete; it is to be opened and probed."""

    sighting: Sighting
    rung: str
    """`hinted`, `closed` or `quiet`"""
    unchanged_for: float
    """seconds"""
    complete_at: float
    """monotonic seconds at which the file last changed"""


@dataclass(frozen=True, slots=True)
class Complete:
    """The file is complete, as `evidence` shows."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The file is not complete yet."""

    reason: str
    quiet_periods: float = 1.0
    """how long the file has to stay unchanged before it is worth another look"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that is waited for, as shown to people."""

    path: bytes
    size: int
    """bytes"""
    seconds: float
    """since it was first seen"""
    reason: str
    overdue: bool
    """whether it has been waited for longer than `max_wait_seconds`"""


def verdict(
    settled: Settled, writers: Writers, zip_problem: str | None, quiet_seconds: float
) -> Complete | Incomplete:
    """Whether a file is complete, from what was known before it was opened and what was probed then.

    `zip_problem` says what is wrong with a zip's directory; None where nothing is, or where the file is no zip.
    """
    if writers is Writers.SOME:
        return Incomplete("open for writing")
    if zip_problem is not None:
        return Incomplete(zip_problem)
    if writers is Writers.UNKNOWN and settled.unchanged_for < WITHOUT_LEASE * quiet_seconds:
        return Incomplete("the kernel does not say who has it open: waiting longer", WITHOUT_LEASE)
    return Complete(f"{settled.rung}+{writers}")


@dataclass(slots=True)
class _Candidate:
    sighting: Sighting
    first_seen: float
    unchanged_since: float
    due: float
    reason: str = "within the quiet period"
    closed: bool = False
    hinted: bool = False
    probing: bool = False
    looks: int = 0
    told: bool = False


@dataclass(slots=True)
class Settler:
    """The files that are waited for. All times are monotonic seconds."""

    quiet_seconds: float
    max_wait_seconds: float
    _candidates: dict[bytes, _Candidate] = field(default_factory=dict)
    _queue: list[tuple[float, bytes]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, path: bytes) -> bool:
        return path in self._candidates

    def feed(self, sighting: Sighting, now: float, age: float = 0.0) -> None:
        """A file was seen that is not on record like this. `age` is how long ago it last changed, by its own ctime."""
        since = now - max(0.0, age)
        candidate = self._candidates.get(sighting.path)
        if candidate is None:
            candidate = _Candidate(sighting, now, since, since + self.quiet_seconds)
            self._candidates[sighting.path] = candidate
        elif candidate.sighting.identity != sighting.identity:
            candidate.sighting, candidate.unchanged_since, candidate.closed = sighting, since, False
            candidate.due = since + self.quiet_seconds
            candidate.reason = "within the quiet period" if candidate.looks == 0 else candidate.reason
        else:
            return
        self._schedule(candidate)

    def closed(self, path: bytes, now: float) -> None:
        """The file was closed after writing, or moved into place: worth a look after the quiet period."""
        if candidate := self._candidates.get(path):
            candidate.closed = True
            candidate.due = min(candidate.due, max(now, candidate.unchanged_since + self.quiet_seconds))
            self._schedule(candidate)

    def hinted(self, path: bytes, now: float) -> None:
        """Driverless AI said that the file is complete: worth a look at once."""
        if candidate := self._candidates.get(path):
            candidate.hinted, candidate.due = True, now
            self._schedule(candidate)

    def done(self, path: bytes, identity: Identity) -> None:
        """The file with `identity` is done with. If it has changed since, it is waited for again."""
        candidate = self._candidates.get(path)
        if candidate is not None and candidate.sighting.identity != identity:
            candidate.probing, candidate.looks = False, 0
            self._schedule(candidate)
        else:
            self.forget(path)

    def forget(self, path: bytes) -> None:
        """The file is gone, or not wanted any more."""
        self._candidates.pop(path, None)

    def postpone(self, path: bytes, identity: Identity, incomplete: Incomplete, now: float) -> None:
        """A probe found the file, with `identity`, not complete. It is looked at again, less and less often."""
        candidate = self._candidates.get(path)
        if candidate is None:
            return
        candidate.probing, candidate.hinted, candidate.reason = False, False, incomplete.reason
        candidate.looks += 1
        if candidate.sighting.identity != identity:
            candidate.sighting = Sighting(path, identity, candidate.sighting.mode)
            candidate.unchanged_since, candidate.closed, candidate.looks = now, False, 0
        pause = self.quiet_seconds * min(_LONGEST_RECHECK, max(1.0, candidate.looks))
        candidate.due = max(
            now + pause, candidate.unchanged_since + incomplete.quiet_periods * self.quiet_seconds
        )
        self._schedule(candidate)

    def settled(self, now: float, limit: int) -> Iterator[Settled]:
        """At most `limit` files that are worth opening. Each is given once, until it is told `done` or `postpone`."""
        while limit > 0 and self._queue and self._queue[0][0] <= now:
            due, path = heapq.heappop(self._queue)
            candidate = self._candidates.get(path)
            if candidate is None or candidate.probing or candidate.due != due:
                continue  # an older entry of a file that was scheduled again
            candidate.probing = True
            limit -= 1
            rung = "hinted" if candidate.hinted else "closed" if candidate.closed else "quiet"
            since = candidate.unchanged_since
            yield Settled(candidate.sighting, rung, now - since, since)

    def next_due(self) -> float | None:
        """When the next file is worth a look; None where none waits."""
        while self._queue:
            due, path = self._queue[0]
            candidate = self._candidates.get(path)
            if candidate is not None and not candidate.probing and candidate.due == due:
                return due
            heapq.heappop(self._queue)
        return None

    def waiting(self, now: float) -> Iterator[Waiting]:
        """Every file that is waited for, and why."""
        for path, candidate in self._candidates.items():
            yield self._waiting(path, candidate, now)

    def overdue(self, now: float) -> Iterator[Waiting]:
        """The files that have just been waited for longer than `max_wait_seconds`; each is told once."""
        for path, candidate in self._candidates.items():
            if not candidate.told and now - candidate.first_seen > self.max_wait_seconds:
                candidate.told = True
                yield self._waiting(path, candidate, now)

    def _waiting(self, path: bytes, candidate: _Candidate, now: float) -> Waiting:
        seconds = now - candidate.first_seen
        overdue = seconds > self.max_wait_seconds
        reason = f"still changing: {candidate.reason}" if overdue else candidate.reason
        return Waiting(path, candidate.sighting.identity.size, seconds, reason, overdue)

    def _schedule(self, candidate: _Candidate) -> None:
        if not candidate.probing:
            heapq.heappush(self._queue, (candidate.due, candidate.sighting.path))
