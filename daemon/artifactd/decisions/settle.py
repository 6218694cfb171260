"""Sightings + evidence + time → complete, or still waiting and for what. Pure: time comes in as an argument.

Nobody tells a watcher that a file is finished, so the evidence is gathered in rungs: Driverless AI said so,
or the file was closed or moved into place, or nothing about it changed for the quiet period; and then, as it
is opened, no writer has it open, and a zip's directory reads. A file that fails is looked at again, never
dropped.

Each user has a share of what is waited for. What was looked into and is not complete is parked: it is looked
at again less and less often, and gives way to its owner's other files. The scan finds it again.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from artifactd.artifact import Identity, Sighting
from artifactd.decisions.assessment import Subject
from artifactd.decisions.shares import FairQueue, Owner, nobody

WITHOUT_LEASE: Final = 5.0
"""Quiet periods to wait where the kernel does not say who has a file open."""

_LONGEST_RECHECK: Final = 10.0
"""Quiet periods between two looks at a file that stays busy."""

_LONGEST_RECHECK_UNCHANGED: Final = 1800.0
"""Quiet periods between two looks at a file whose bytes say that it is not complete: they have to change."""

ROOM: Final = 10_000
"""Files that are waited for at once. Users share them alike: memory stays bounded."""

_RESERVE: Final = 1.25
"""Of its share, a user may have as much waited for. A scan leaves the rest to what has just happened."""

LARGE: Final = 16 << 20
"""Bytes above which a file is large. Large ones never stand in the way of small ones."""


_QUIET: Final = "within the quiet period"
"""why a file is waited for that was not looked into yet"""

_TURN: Final = "it waits for its turn"
"""why a file is waited for whose quiet period is over"""

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

    subject: Subject
    rung: str
    """`hinted`, `closed` or `quiet`"""
    unchanged_for: float
    """seconds for which this process has seen it as it is"""
    complete_at: float
    """monotonic seconds at which it was first seen so"""

    @property
    def sighting(self) -> Sighting:
        """Of the file, when it was last seen."""
        return self.subject.sighting


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
    by_its_bytes: bool = False
    """whether the bytes say so: as long as they stay, another look will find the same"""


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
    quiet: bool
    """whether, as far as is known, it only has to be seen unchanged for longer"""
    turn: bool
    """whether it only waits for its turn, or for a store"""


@dataclass(slots=True)
class Backlog:
    """The files that are waited for, in numbers. Times are monotonic seconds; None: there is none."""

    waiting: int = 0
    """not looked into yet, or being looked into"""
    incomplete: int = 0
    """looked into, and not complete then"""
    overdue: int = 0
    """waited for longer than `max_wait_seconds`"""
    parked: int = 0
    """looked into as they are now and not complete: they give way to their owner's other files"""
    waiting_since: float | None = None
    incomplete_since: float | None = None
    slowest_since: float | None = None
    """since when the one that is ripe for the longest waits for its turn"""
    crowd: bytes = b""
    """the experiment's folder, relative to the data directory, with the most incomplete files"""
    crowd_size: int = 0
    """how many it has"""

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
        return Incomplete(zip_problem, by_its_bytes=True)
    if writers is Writers.UNKNOWN and settled.unchanged_for < WITHOUT_LEASE * quiet_seconds:
        until = f"until it was seen unchanged for {WITHOUT_LEASE * quiet_seconds:g} s"
        return Incomplete(f"the kernel does not say who has it open: waiting {until}", WITHOUT_LEASE)
    return Complete(f"{settled.rung}+{writers}")


@dataclass(slots=True, eq=False)
class _Candidate:
    subject: Subject
    first_seen: float
    last_seen: float
    unchanged_since: float
    """as its own times and the wall clock have it"""
    seen_since: float
    """as this process has seen it, whatever any wall clock says"""
    due: float
    """when it is worth a look; while it is looked at: when it is worth another one"""
    reason: str = _QUIET
    quieting: bool = False
    """whether it only has to be seen unchanged for longer, as far as is known"""
    closed: bool = False
    hinted: bool = False
    probed: Identity | None = None
    """what is being looked at now; None: nothing is"""
    looks: int = 0
    told: bool = False
    not_before: float = -math.inf
    """when it may be looked at, whatever is said of it"""
    ripe_since: float = 0.0
    """since when it waits for its turn, where it does"""

    @property
    def path(self) -> bytes:
        return self.subject.path

    @property
    def identity(self) -> Identity:
        return self.subject.identity

    def change(self, subject: Subject, since: float, now: float) -> None:
        """It is another file than it was: what was said of the old one says nothing of it."""
        self.subject, self.unchanged_since, self.seen_since, self.due = subject, since, now, math.inf
        self.closed = self.hinted = False


@dataclass(slots=True)
class _Holding:
    """What of one user's is waited for."""

    files: int = 0
    parked: dict[bytes, None] = field(default_factory=dict)
    """what was looked into and is not complete, the longest ago first"""


class Settler:
    """The files that are waited for. All times are monotonic seconds."""

    def __init__(self, quiet_seconds: float, max_wait_seconds: float) -> None:
        self.quiet_seconds = quiet_seconds
        self.max_wait_seconds = max_wait_seconds
        self._candidates: dict[bytes, _Candidate] = {}
        self._users: dict[str, _Holding] = {}
        self._queue: list[tuple[float, bytes]] = []
        self._small: FairQueue[bytes] = FairQueue()
        self._large: FairQueue[bytes] = FairQueue()

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, path: bytes) -> bool:
        return path in self._candidates

    # --- whose files ---

    def room(self, user: str, *, reserve: bool = False) -> bool:
        """Whether more of this user's files can be waited for. `reserve`: that something happened to.

        Parked ones do not count: they give way.
        """
        holding = self._users.get(user)
        if holding is None:
            return True
        share = ROOM / len(self._users)
        return holding.files - len(holding.parked) < (share * _RESERVE if reserve else share)

    def _admitted(self, user: str) -> bool:
        """Whether another file of the user is taken; a parked one of his may give way to it."""
        if not self.room(user, reserve=True):
            return False
        holding = self._users.setdefault(user, _Holding())
        if holding.files >= _RESERVE * ROOM / len(self._users):
            self.forget(next(iter(holding.parked)))
            holding = self._users.setdefault(user, _Holding())
        holding.files += 1
        return True

    # --- what is said of them ---

    def feed(self, subject: Subject, now: float, age: float = 0.0) -> bool:
        """A file was seen that is not on record like this; `age` is the seconds since its ctime.

        They are worth a look at once, and prove nothing: the clocks of hosts and of file servers differ, and
        are set. False: its owner has too many that are waited for, and it is left to a later scan.
        """
        since = now - max(0.0, age)
        candidate = self._candidates.get(subject.path)
        if candidate is None:
            if not self._admitted(subject.owner.user):
                return False
            candidate = _Candidate(subject, now, now, since, now, since + self.quiet_seconds)
            self._candidates[subject.path] = candidate
            self._schedule(candidate)
        elif candidate.identity != subject.identity:
            # It changed after it was last seen, whatever the clock of its file system says.
            since = max(since, candidate.last_seen)
            self._changed(candidate, subject, since, now)
            self._hasten(candidate, since + self.quiet_seconds)
        else:
            candidate.subject = subject
        candidate.last_seen = now
        return True

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

    def hold(self, path: bytes, until: float) -> None:
        """The file is not worth a look before `until`, whatever is said of it."""
        if candidate := self._candidates.get(path):
            candidate.not_before = until
            if candidate.due < until:
                self._discard(candidate)
                candidate.due = until
                self._schedule(candidate)

    def done(self, path: bytes, identity: Identity) -> None:
        """The file with `identity` is done with. If it has changed since, it is waited for anew."""
        candidate = self._candidates.get(path)
        if candidate is None or candidate.identity == identity:
            self.forget(path)
            return
        candidate.first_seen, candidate.told = candidate.seen_since, False
        candidate.probed, candidate.looks = None, 0
        self._hasten(candidate, candidate.unchanged_since + self.quiet_seconds)

    def probing(self, path: bytes) -> bool:
        """Whether the file was given by `settled`, and what came of it was not told yet."""
        candidate = self._candidates.get(path)
        return candidate is not None and candidate.probed is not None

    def forget(self, path: bytes) -> None:
        """The file is gone, or not wanted any more."""
        if (candidate := self._candidates.pop(path, None)) is None:
            return
        self._discard(candidate)
        user = candidate.subject.owner.user
        holding = self._users[user]
        holding.files -= 1
        holding.parked.pop(path, None)
        if not holding.files:
            del self._users[user]

    def postpone(self, path: bytes, identity: Identity, incomplete: Incomplete, now: float) -> None:
        """A look found the file, with `identity`, not complete. The next looks come less and less often.

        What was said of the file during the look still counts: a close or a hint brings the next one at once.
        """
        candidate = self._candidates.get(path)
        if candidate is None:
            return
        if identity not in (candidate.probed, candidate.identity):
            sighting = replace(candidate.subject.sighting, identity=identity)
            self._changed(candidate, replace(candidate.subject, sighting=sighting), now, now)
            candidate.last_seen, candidate.looks = now, 0
        else:
            candidate.looks += 1
            self._users[candidate.subject.owner.user].parked[path] = None
        candidate.probed, candidate.reason = None, incomplete.reason
        candidate.quieting = incomplete.quiet_periods > 1.0
        if incomplete.by_its_bytes:
            periods = min(_LONGEST_RECHECK_UNCHANGED, 2.0 ** min(60, max(0, candidate.looks - 1)))
        else:
            periods = min(_LONGEST_RECHECK, max(1.0, candidate.looks))
        quiet = candidate.seen_since + incomplete.quiet_periods * self.quiet_seconds
        self._hasten(candidate, max(now + self.quiet_seconds * periods, quiet))

    # --- what is worth opening ---

    def settled(
        self, now: float, limit: int, *, large: bool = False, but: Callable[[str], bool] = nobody
    ) -> Iterator[Settled]:
        """At most `limit` small files, or `large` ones, that are worth opening, each user's in turn.

        None is given again until `done` or `postpone`. `but` tells of users that are passed over.
        """
        self._ripen(now)
        ripe = self._large if large else self._small
        while limit > 0 and (path := ripe.take(but)) is not None:
            limit -= 1
            yield self._given(self._candidates[path], now)

    def smallest(self, now: float, but: Callable[[str], bool] = nobody) -> Settled | None:
        """The smallest file that is worth opening; None: there is none. It counts as given by `settled`."""
        self._ripen(now)
        ripe = (self._candidates[path] for queue in (self._small, self._large) for path in queue)
        fit = (one for one in ripe if not but(one.subject.owner.user))
        candidate = min(fit, key=lambda one: one.identity.size, default=None)
        return None if candidate is None else self._given(candidate, now)

    def _given(self, candidate: _Candidate, now: float) -> Settled:
        self._discard(candidate)
        self._users[candidate.subject.owner.user].parked.pop(candidate.path, None)
        rung = "hinted" if candidate.hinted else "closed" if candidate.closed else "quiet"
        candidate.probed, candidate.due, candidate.hinted = candidate.identity, math.inf, False
        since = candidate.seen_since
        return Settled(candidate.subject, rung, now - since, since)

    def _ripen(self, now: float) -> None:
        """Let those whose time has come take turns."""
        while self._queue and self._queue[0][0] <= now:
            due, path = heapq.heappop(self._queue)
            if (candidate := self._standing(due, path)) is not None:
                size, candidate.ripe_since = candidate.identity.size, now
                (self._large if size > LARGE else self._small).put(candidate.subject.owner, path, size)

    def next_due(
        self, *, small: bool = True, large: bool = True, but: Callable[[str], bool] = nobody
    ) -> float | None:
        """When the next file is worth a look; None where none waits.

        Of those that wait for their turn, only the small or the large ones count, and only of users that are
        not passed over.
        """
        for wanted, ripe in ((small, self._small), (large, self._large)):
            if wanted and (path := ripe.peek(but)) is not None:
                return self._candidates[path].due
        while self._queue:
            due, path = self._queue[0]
            if self._standing(due, path) is not None:
                return due
            heapq.heappop(self._queue)
        return None

    def patience(self) -> float:
        """Seconds without a change that some file needs before more can be said of it; 0: none does.

        One quiet period more than it takes: so late may the look come at its end.
        """
        quieting = any(candidate.quieting for candidate in self._candidates.values())
        return (WITHOUT_LEASE + 1.0) * self.quiet_seconds if quieting else 0.0

    # --- what people are told ---

    def waiting(self, now: float, of: Callable[[Owner], bool] = lambda _owner: True) -> Iterator[Waiting]:
        """Every file that is waited for, and why; of these owners."""
        for path, candidate in self._candidates.items():
            if of(candidate.subject.owner):
                yield self._waiting(path, candidate, now)

    def count(self, of: Callable[[Owner], bool]) -> int:
        """How many files of these owners are waited for."""
        return sum(of(candidate.subject.owner) for candidate in self._candidates.values())

    def overdue(self, now: float) -> Iterator[Waiting]:
        """The files that have just been waited for longer than `max_wait_seconds`; each is told once."""
        for path, candidate in self._candidates.items():
            if not candidate.told and now - candidate.first_seen > self.max_wait_seconds:
                candidate.told = True
                yield self._waiting(path, candidate, now)

    def backlog(self, now: float, but: Callable[[str], bool] = nobody) -> Backlog:
        """What is waited for, in numbers. `but` tells of users who have to wait: since when says nothing."""
        held_back = {user for user in self._users if but(user)}
        found = Backlog(parked=sum(len(one.parked) for one in self._users.values()))
        crowds = Counter[Owner]()
        for candidate in self._candidates.values():
            since = now if candidate.subject.owner.user in held_back else candidate.first_seen
            found.add(since, incomplete=candidate.reason != _QUIET)
            found.overdue += now - candidate.first_seen > self.max_wait_seconds
            if candidate.reason != _QUIET:
                crowds[candidate.subject.owner] += 1
        for owner, size in crowds.most_common(1):
            crowd = next(one for one in self._candidates.values() if one.subject.owner == owner)
            found.crowd, found.crowd_size = crowd.subject.artifact.folder, size
        ripe = (self._candidates[path] for queue in (self._small, self._large) for path in queue)
        waiting = (one.ripe_since for one in ripe if one.subject.owner.user not in held_back)
        found.slowest_since = min(waiting, default=None)
        return found

    def _waiting(self, path: bytes, candidate: _Candidate, now: float) -> Waiting:
        seconds = now - candidate.first_seen
        overdue, reason = seconds > self.max_wait_seconds, candidate.reason
        new = reason == _QUIET
        turn = new and (candidate.probed is not None or candidate.due <= now)
        if turn:
            reason = _TURN
        elif overdue:
            reason = f"still changing: {reason}"
        return Waiting(
            path, candidate.identity.size, seconds, reason, overdue, candidate.quieting or new, turn
        )

    # --- the queue of those whose time has not come ---

    def _changed(self, candidate: _Candidate, subject: Subject, since: float, now: float) -> None:
        self._discard(candidate)
        self._users[candidate.subject.owner.user].parked.pop(candidate.path, None)
        candidate.change(subject, since, now)

    def _discard(self, candidate: _Candidate) -> None:
        """It takes no turns for now."""
        self._small.discard(candidate.path)
        self._large.discard(candidate.path)

    def _hasten(self, candidate: _Candidate, due: float) -> None:
        """It is worth a look at `due`, if not before."""
        candidate.due = max(candidate.not_before, min(candidate.due, due))
        self._schedule(candidate)

    def _schedule(self, candidate: _Candidate) -> None:
        if candidate.probed is not None:
            return
        heapq.heappush(self._queue, (candidate.due, candidate.path))
        if len(self._queue) > 2 * len(self._candidates) + _SPARE:
            waiting = self._candidates.values()
            self._queue = [(one.due, one.path) for one in waiting if one.probed is None]
            heapq.heapify(self._queue)

    def _standing(self, due: float, path: bytes) -> _Candidate | None:
        """The candidate that waits by this entry of the queue; None where the entry is outdated."""
        candidate = self._candidates.get(path)
        if candidate is None or candidate.probed is not None or candidate.due != due:
            return None
        return candidate
