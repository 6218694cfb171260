"""Looking at the tree in slices of some milliseconds, each user's part of it in turn.

Three things make a user's files be looked at: something happened to them, somebody pointed at their folder, a
scan of the whole tree. Each user has a queue of each, and one slice a turn, so nobody's tree, events or hints
keep the others from being seen. Where a user has too many files waiting already, his part of a scan pauses.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, assert_never

from artifactd.artifact import Sighting
from artifactd.clock import Clock
from artifactd.discovery import scan
from artifactd.discovery.scan import Folder, Unobservable

_PATHS: Final = 64
"""Files that are looked at one by one in a slice."""

_TOUCHED: Final = 5_000
_FOLDERS: Final = 1_000
"""Of one user, as many wait to be looked at. What is too much is left to the next scan."""

_SCANS_AT_ONCE: Final = 64
"""Users whose part of a scan is under way: each may hold two descriptors open."""

BLIND: Final = 1_000
"""Places that could not be looked at whose names are kept."""

_COSTS: Final = 1_000
"""Folders whose cost is kept."""

_TOP: Final = ""
"""Takes turns for the data directory itself."""

Skip = frozenset[tuple[int, int]]
Done = Callable[[int], None]
"""Takes how many files of a folder are waited for, once all of it was looked at."""


@dataclass(slots=True)
class Scan:
    """A scan of the whole tree under way, or the last one."""

    reason: str
    since: float
    seconds: float | None = None
    """how long it took; None while it is under way"""
    spent: float = 0.0
    """seconds that went into looking: what is left of `seconds` went to others, or was a pause"""
    refreshing: float = 0.0
    """seconds that went into the last look at what is new meanwhile"""
    files: int = 0
    wanted: int = 0
    new: int = 0
    done: int = 0
    """wanted copies that are proven already"""
    stuck: int = 0
    """wanted copies that wait for their next try or for a person"""
    missed: int = 0
    """new files that the watcher should have told of"""
    left_alone: int = 0
    unobservable: int = 0
    """how many directories could not be looked at"""
    blind: set[tuple[bytes, str]] = field(default_factory=set)
    """which, and why"""
    by_user: dict[str, int] = field(default_factory=dict)
    """wanted files"""


class Visitor(Protocol):
    """Who is shown what is found."""

    def sight(self, sightings: Sequence[Sighting], under: Scan | None, *, hinted: bool = False) -> int:
        """These files are there. Returns how many of them are waited for."""

    def look_at(self, paths: Mapping[bytes, bool]) -> None:
        """Something happened to these files; true: closed after writing, or moved into place."""

    def blind(self, found: Unobservable, under: Scan) -> None:
        """This cannot be looked at."""

    def scanned(self, under: Scan) -> None:
        """The scan has come to its end."""

    def room(self, user: str, *, reserve: bool = False) -> bool:
        """Whether more of this user's files can be looked at."""


@dataclass(slots=True)
class _Wish:
    """Somebody pointed at a folder."""

    hinted: bool
    refreshes: bool
    done: list[Done] = field(default_factory=list)


@dataclass(slots=True)
class _Work:
    """What is to be looked at of one user's."""

    touched: dict[bytes, bool] = field(default_factory=dict)
    wishes: dict[bytes, _Wish] = field(default_factory=dict)
    visit: Iterator[None] | None = None
    """the one under way"""
    visited: tuple[bytes, _Wish] | None = None
    """what it is for"""
    sweeps: deque[Iterator[None]] = field(default_factory=deque)
    """his part of a scan"""
    started: bool = False
    turn: int = 0

    def __bool__(self) -> bool:
        return bool(self.touched or self.wishes or self.visit or self.sweeps)


class Scanning:
    """What is to be looked at, and whose turn it is. For one thread.

    `owner` tells whose the file at a path is.
    """

    def __init__(
        self, data_directory: Path, skip: Skip, owner: Callable[[bytes], str], visitor: Visitor, clock: Clock
    ) -> None:
        self._data_directory, self._skip, self._owner = data_directory, skip, owner
        self._visitor, self._clock = visitor, clock
        self.scan: Scan | None = None
        """the one under way, or the last one"""
        self.last: Scan | None = None
        """the last one that ended"""
        self.caught_up: float | None = None
        """monotonic seconds at which a scan last had nothing that could be looked at"""
        self.costs: dict[bytes, float] = {}
        """folder → seconds that were spent on it since the last scan began"""
        self._again: str | None = None
        self._top = -1
        self._open = 0  # parts of the scan under way
        self._started = 0  # ... that have begun
        self._work: dict[str, _Work] = {}
        self._order: deque[str] = deque()
        self._sweeping: dict[str, set[bytes]] = {}  # user → the experiments that his part of the scan covers
        self._refreshed = 0.0
        self._at, self._refreshes = b"", False  # what the present slice is for

    @property
    def scanning(self) -> bool:
        """Whether a scan is under way."""
        return self.scan is not None and self.scan.seconds is None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at."""
        return not self._order

    # --- what there is to look at ---

    def rescan(self, reason: str) -> None:
        """Look at the whole tree; once more afterwards if a scan is under way.

        That one may wait for a user for long: what is new meanwhile is looked at now.
        """
        if self.scanning:
            self._again = reason
            self.refresh(0.0)
            return
        self.scan = under = Scan(reason, self._clock.monotonic())
        self._refreshed = under.since
        self.costs.clear()
        try:
            self._top = os.open(self._data_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._visitor.blind(scan.unreadable(error), under)
            self._end(under)
            return
        self._add(_TOP, self._sweep_top(under))

    def touched(self, paths: Mapping[bytes, bool]) -> bool:
        """Something happened to these files: as `Visitor.look_at`. False: some are left to the next scan."""
        taken = True
        for path, closed in paths.items():
            work = self._of(self._owner(path))
            if path in work.touched or len(work.touched) < _TOUCHED:
                work.touched[path] = closed or work.touched.get(path, False)
            else:
                taken = False
        return taken

    def appeared(
        self, folder: bytes, *, hinted: bool = False, refreshes: bool = False, done: Done | None = None
    ) -> bool:
        """Look at everything in `folder`. `hinted`: Driverless AI said that it is complete.

        `refreshes`: it is a part of `refresh`. Wishes for one folder become one visit. False: there are too
        many, and this one is left to the next scan; `done` is not called.
        """
        work = self._of(self._owner(folder + b"/"))
        wish = work.wishes.get(folder)
        if wish is None:
            if len(work.wishes) >= _FOLDERS:
                return False
            wish = work.wishes[folder] = _Wish(hinted, refreshes)
        wish.hinted |= hinted
        if done is not None:
            wish.done.append(done)
        return True

    def hand_over(self) -> Iterator[tuple[bytes, Done]]:
        """The hinted folders that were not looked at to their end, with who waits for that."""
        for work in self._work.values():
            for folder, wish in (*([work.visited] if work.visited else []), *work.wishes.items()):
                if wish.hinted:
                    yield from ((folder, done) for done in wish.done)

    def refresh(self, every: float) -> None:
        """Find what is new while a scan takes longer than `every` seconds: it waits for whoever it waits for.

        Users that it is done with are looked at anew, of the others the experiments that it does not cover.
        """
        now = self._clock.monotonic()
        under_way = _TOP in self._work
        if self.scan is not None and self._open > 0 and not under_way and now - self._refreshed >= every:
            self._refreshed, self.scan.refreshing = now, 0.0
            self._of(_TOP).sweeps.append(self._refresh_top())

    # --- slices ---

    def step(self) -> bool:
        """Look at a slice of what the next user has. False: nobody has anything that can be looked at now."""
        for _ in range(len(self._order)):
            user = self._order.popleft()
            work = self._work[user]
            began = self._clock.monotonic()
            self._at, self._refreshes = b"", user == _TOP
            worked = self._slice(user, work)
            if work:
                self._order.append(user)
            else:
                del self._work[user]
            if worked:
                self._charge(self._clock.monotonic() - began)
                return True
        if self.scanning:
            self.caught_up = self._clock.monotonic()
        return False

    def _slice(self, user: str, work: _Work) -> bool:
        """One of the three things, the others at the next turns."""
        for _ in range(3):
            work.turn = (work.turn + 1) % 3
            match work.turn:
                case 0:
                    worked = bool(work.touched) and self._visitor.room(user, reserve=True)
                    if worked:
                        self._look_at(work)
                case 1:
                    worked = bool(work.visit or work.wishes) and self._visitor.room(user, reserve=True)
                    if worked:
                        self._visit(work)
                case _:
                    worked = bool(work.sweeps) and self._may_sweep(user, work)
                    if worked:
                        self._sweep(work)
            if worked:
                return True
        return False

    def _look_at(self, work: _Work) -> None:
        paths = dict(islice(work.touched.items(), _PATHS))
        for path in paths:
            del work.touched[path]
        self._visitor.look_at(paths)

    def _visit(self, work: _Work) -> None:
        if work.visit is None:
            folder, wish = work.visited = next(iter(work.wishes.items()))
            del work.wishes[folder]
            work.visit = self._wished(folder, wish)
        if next(work.visit, self) is self:
            work.visit = work.visited = None

    def _may_sweep(self, user: str, work: _Work) -> bool:
        if user == _TOP:
            return True
        return (work.started or self._started < _SCANS_AT_ONCE) and self._visitor.room(user)

    def _sweep(self, work: _Work) -> None:
        self._started += not work.started
        work.started = True
        if next(work.sweeps[0], self) is self:
            work.sweeps.popleft()
            work.started = False
            self._started -= 1

    def _charge(self, seconds: float) -> None:
        if self.scan is not None and self.scan.seconds is None:
            self.scan.spent += seconds
            self.scan.refreshing += seconds if self._refreshes else 0.0
        if self._at:
            self.costs[self._at] = self.costs.get(self._at, 0.0) + seconds
        if len(self.costs) > _COSTS:
            dearest = sorted(self.costs.items(), key=lambda item: item[1])[_COSTS // 2 :]
            self.costs = dict(dearest)

    # --- what is looked at, slice by slice ---

    def _wished(self, folder: bytes, wish: _Wish) -> Iterator[None]:
        waiting = 0
        for found in scan.below(self._data_directory, folder, self._skip):
            # A user whose part is not at its end makes as much that is new as he likes: it costs him alone.
            self._at = folder
            self._refreshes = wish.refreshes and self._owner(folder + b"/") not in self._sweeping
            if isinstance(found, scan.Seen):
                waiting += self._visitor.sight(found.sightings, None, hinted=wish.hinted)
            yield
        for done in wish.done:
            done(waiting)

    def _sweep_top(self, under: Scan) -> Iterator[None]:
        try:
            for number, found in enumerate(scan.folders(self._top), 1):
                match found:
                    case Folder(path, of_a_user=True):
                        self._add(os.fsdecode(path), self._sweep_user(under, os.fsdecode(path), path))
                    case Folder(path):
                        self._add(self._owner(path + b"/"), self._sweep_walks(under, [path]))
                    case Unobservable():
                        self._visitor.blind(found, under)
                    case None:
                        pass
                    case _:
                        assert_never(found)
                if number % _PATHS == 0:
                    yield
        except OSError as error:
            self._visitor.blind(scan.unreadable(error), under)
        self._part_ends(under)

    def _sweep_user(self, under: Scan, user: str, folder: bytes) -> Iterator[None]:
        experiments: list[bytes] = []
        for found in scan.experiments_of(self._top, folder, self._skip):
            if isinstance(found, Unobservable):
                self._visitor.blind(found, under)
            elif found is None:
                yield
            else:
                experiments.append(found)
        self._sweeping[user] = set(experiments)
        yield from self._sweep_walks(under, experiments)
        self._sweeping.pop(user, None)

    def _sweep_walks(self, under: Scan, experiments: Iterable[bytes]) -> Iterator[None]:
        for found in scan.walks(self._top, self._walking(experiments), self._skip):
            if isinstance(found, Unobservable):
                self._visitor.blind(found, under)
            else:
                self._visitor.sight(found.sightings, under)
            yield
        self._part_ends(under)

    def _walking(self, experiments: Iterable[bytes]) -> Iterator[bytes]:
        for folder in experiments:
            self._at = folder
            yield folder

    def _refresh_top(self) -> Iterator[None]:
        try:
            with scan.root(self._data_directory) as top:
                for found in scan.folders(top):
                    if isinstance(found, Folder) and found.of_a_user:
                        covered = self._sweeping.get(os.fsdecode(found.path), set())
                        for one in scan.experiments_of(top, found.path, self._skip):
                            if isinstance(one, bytes) and one not in covered:
                                self.appeared(one, refreshes=True)
                            yield
                    elif isinstance(found, Folder):
                        self.appeared(found.path, refreshes=True)
                    yield
        except OSError:
            pass  # the scan under way tells of it

    # --- whose turn ---

    def _of(self, user: str) -> _Work:
        work = self._work.get(user)
        if work is None:
            work = self._work[user] = _Work()
            self._order.append(user)
        return work

    def _add(self, user: str, part: Iterator[None]) -> None:
        self._open += 1
        self._of(user).sweeps.append(part)

    def _part_ends(self, under: Scan) -> None:
        self._open -= 1
        if self._open == 0:
            os.close(self._top)
            self._end(under)

    def _end(self, under: Scan) -> None:
        under.seconds = self._clock.monotonic() - under.since
        self.last = under
        self._visitor.scanned(under)
        if self._again is not None:
            reason, self._again = self._again, None
            self.rescan(reason)

    def close(self) -> None:
        """Let go of what is open."""
        self._work.clear()
        self._order.clear()
        if self._open:
            self._open = 0
            os.close(self._top)
