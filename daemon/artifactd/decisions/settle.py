"""Sightings + evidence + time → complete, or still waiting and for what. Pure: time comes in as an argument.

Nobody tells a watcher that a file is finished, so the evidence is gathered in rungs: Driverless AI said so,
or the file was closed or moved into place, or nothing about it changed for the quiet period; and then, as it
is opened, no writer has it open, and a zip's directory reads. A file that fails is looked at again, never
dropped.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from artifactd.artifact import Identity, Sighting

WITHOUT_LEASE: Final = 5.0
"""Quiet periods to wait where the kernel does not say who has a file open."""

_LONGEST_RECHECK: Final = 10.0
"""Quiet periods between two looks at a file that stays busy."""


_QUIET: Final = "within the quiet period"
"""why a file is waited for that was not looked into yet"""

_SPARE: Final = 1000
"""Outdated entries of the queue that are not worth sweeping."""


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


@dataclass(slots=True)
class Backlog:
    """The files that are waited for, in numbers. Times are monotonic seconds; None: there is none."""

    waiting: int = 0
    """not looked into yet, or being looked into"""
    incomplete: int = 0
    """looked into, and not complete then"""
    overdue: int = 0
    """waited for longer than `max_wait_seconds`"""
    waiting_since: float | None = None
    incomplete_since: float | None = None

    def add(self, since: float, *, incomplete: bool) -> None:
        """One more, first seen at `since`."""
        if incomplete:
            self.incomplete += 1
            self.incomplete_since = earlier(self.incomplete_since, since)
        else:
            self.waiting += 1
            self.waiting_since = earlier(self.waiting_since, since)


def earlier(*times: float | None) -> float | None:
    """The earliest of these times; None where there is none."""
    return min((at for at in times if at is not None), default=None)


def verdict(
    settled: Settled, writers: Writers, zip_problem: str | None, quiet_seconds: float
) -> Complete | Incomplete:
    """Whether a file is complete, from what was known before it was opened and what was probed then.

    `zip_problem` says what is wrong with a zip's directory; None where nothing is, or where it is no zip.
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
    last_seen: float
    unchanged_since: float
    due: float
    """when it is worth a look; while it is looked at: when it is worth another one"""
    reason: str = _QUIET
    closed: bool = False
    hinted: bool = False
    probed: Identity | None = None
    """what is being looked at now; None: nothing is"""
    looks: int = 0
    told: bool = False

    @property
    def path(self) -> bytes:
        return self.sighting.path

    def change(self, sighting: Sighting, since: float, due: float) -> None:
        """It is another file than it was: what was said of the old one says nothing of it."""
        self.sighting, self.unchanged_since, self.due = sighting, since, due
        self.closed = self.hinted = False


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
        """A file was seen that is not on record like this; `age` is the seconds since its ctime."""
        since = now - max(0.0, age)
        candidate = self._candidates.get(sighting.path)
        if candidate is None:
            candidate = _Candidate(sighting, now, now, since, since + self.quiet_seconds)
            self._candidates[sighting.path] = candidate
            self._schedule(candidate)
        elif candidate.sighting.identity != sighting.identity:
            # It changed after it was last seen, whatever the clock of its file system says.
            since = max(since, candidate.last_seen)
            candidate.change(sighting, since, since + self.quiet_seconds)
            self._schedule(candidate)
        candidate.last_seen = now

    def closed(self, path: bytes, now: float) -> None:
        """The file was closed after writing, or moved into place: worth a look after the quiet period."""
        if candidate := self._candidates.get(path):
            candidate.closed = True
            self._hasten(candidate, max(now, candidate.unchanged_since + self.quiet_seconds))

    def hinted(self, path: bytes, now: float) -> None:
        """Driverless AI said that the file is complete: worth a look at once."""
        if candidate := self._candidates.get(path):
            candidate.hinted = True
            self._hasten(candidate, now)

    def done(self, path: bytes, identity: Identity) -> None:
        """The file with `identity` is done with. If it has changed since, it is waited for anew."""
        candidate = self._candidates.get(path)
        if candidate is None or candidate.sighting.identity == identity:
            self.forget(path)
            return
        candidate.first_seen, candidate.told = candidate.unchanged_since, False
        candidate.probed, candidate.looks = None, 0
        self._hasten(candidate, candidate.unchanged_since + self.quiet_seconds)

    def probing(self, path: bytes) -> bool:
        """Whether the file was given by `settled`, and what came of it was not told yet."""
        candidate = self._candidates.get(path)
        return candidate is not None and candidate.probed is not None

    def forget(self, path: bytes) -> None:
        """The file is gone, or not wanted any more."""
        self._candidates.pop(path, None)

    def postpone(self, path: bytes, identity: Identity, incomplete: Incomplete, now: float) -> None:
        """A look found the file, with `identity`, not complete. The next looks come less and less often.

        What was said of the file during the look still counts: a close or a hint brings the next one at once.
        """
        candidate = self._candidates.get(path)
        if candidate is None:
            return
        if identity not in (candidate.probed, candidate.sighting.identity):
            candidate.change(Sighting(path, identity, candidate.sighting.mode), now, math.inf)
            candidate.last_seen, candidate.looks = now, 0
        else:
            candidate.looks += 1
        candidate.probed, candidate.reason = None, incomplete.reason
        pause = self.quiet_seconds * min(_LONGEST_RECHECK, max(1.0, candidate.looks))
        quiet = candidate.unchanged_since + incomplete.quiet_periods * self.quiet_seconds
        self._hasten(candidate, max(now + pause, quiet))

    def settled(self, now: float, limit: int) -> Iterator[Settled]:
        """At most `limit` files that are worth opening. None is given again until `done` or `postpone`."""
        while limit > 0 and self._queue and self._queue[0][0] <= now:
            due, path = heapq.heappop(self._queue)
            candidate = self._candidates.get(path)
            if candidate is None or not _stands(candidate, due):
                continue
            limit -= 1
            rung = "hinted" if candidate.hinted else "closed" if candidate.closed else "quiet"
            candidate.probed, candidate.due, candidate.hinted = candidate.sighting.identity, math.inf, False
            since = candidate.unchanged_since
            yield Settled(candidate.sighting, rung, now - since, since)

    def next_due(self) -> float | None:
        """When the next file is worth a look; None where none waits."""
        while self._queue:
            due, path = self._queue[0]
            candidate = self._candidates.get(path)
            if candidate is not None and _stands(candidate, due):
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

    def backlog(self, now: float) -> Backlog:
        """What is waited for, in numbers."""
        found = Backlog()
        for candidate in self._candidates.values():
            found.add(candidate.first_seen, incomplete=candidate.reason != _QUIET)
            found.overdue += now - candidate.first_seen > self.max_wait_seconds
        return found

    def _waiting(self, path: bytes, candidate: _Candidate, now: float) -> Waiting:
        seconds = now - candidate.first_seen
        overdue = seconds > self.max_wait_seconds
        reason = f"still changing: {candidate.reason}" if overdue else candidate.reason
        return Waiting(path, candidate.sighting.identity.size, seconds, reason, overdue)

    def _hasten(self, candidate: _Candidate, due: float) -> None:
        """It is worth a look at `due`, if not before."""
        candidate.due = min(candidate.due, due)
        self._schedule(candidate)

    def _schedule(self, candidate: _Candidate) -> None:
        if candidate.probed is not None:
            return
        heapq.heappush(self._queue, (candidate.due, candidate.path))
        if len(self._queue) > 2 * len(self._candidates) + _SPARE:
            waiting = self._candidates.values()
            self._queue = [(one.due, one.path) for one in waiting if one.probed is None]
            heapq.heapify(self._queue)


def _stands(candidate: _Candidate, due: float) -> bool:
    """Whether an entry of the queue is the one by which the file waits, and not an outdated one."""
    return candidate.probed is None and candidate.due == due
