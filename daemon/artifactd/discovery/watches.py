"""inotify watches on the directories that matter: within bounds, and added by a thread of their own.

Of watchdog this takes what reads the kernel's events. Its own recursion has no bound: a chain of directories
ended its thread, a million of them took every watch that there is, and its caller waited for all of it.

Each user's new directories are added in turns with everybody else's, the widest level first. A directory is
opened beneath the data directory before it is watched: what is watched is what was looked at, never a link.

Who makes more events than can be told loses his watches for a while, and is looked at instead: `flooding`.
"""

import errno
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import assert_never

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from artifactd.clock import SYSTEM
from artifactd.decisions.flooding import TOO_FAST, Flooding
from artifactd.decisions.watched import TOP, Beyond, Bounds, Needless, Watched, judge
from artifactd.linux.open_beneath import directory

_NAMES = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVE | InotifyConstants.IN_ONLYDIR)
_FILES = Mask(_NAMES | InotifyConstants.IN_CLOSE_WRITE)
"""The kernel is asked for no more. Opening and reading are not among them: a scan makes no events."""

_SLICE = 1_000
"""Names of one directory that are read before it is somebody else's turn."""

_NONE = WatchDescriptor(-1)


@dataclass(slots=True, eq=False)
class _Directory:
    """A directory that has a watch, or is about to get one and counts already."""

    path: bytes
    """relative to the data directory"""
    verdict: Watched
    descriptor: WatchDescriptor = _NONE
    below: dict[bytes, "_Directory"] = field(default_factory=dict)
    forgotten: bool = False

    @property
    def owner(self) -> bytes:
        return self.path.partition(b"/")[0]

    def path_of(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name


_Walk = Iterator[bool]
"""A walk under way: each step is one turn, and true as there is more to do."""


class Watches(WatchCallback):
    """The watches on the data directory at `root`. Threads: the one in `run` adds, watchdog's tells.

    Args:
        root: the data directory.
        bounds: how many watches there may be.
        ignored: directories, relative to `root`, that get none.
        touched: told of a file that was created (False), or closed by a writer or renamed into place (True).
        appeared: told of a directory that was made or moved in, once all below it is watched within bounds;
            and of the folder of a user who is set aside: it is to be looked at.
        flooding: who is set aside. It may outlive these watches.
    """

    def __init__(
        self,
        root: Path,
        bounds: Bounds,
        ignored: frozenset[bytes],
        touched: Callable[[bytes, bool], None],
        appeared: Callable[[bytes], None],
        *,
        flooding: Flooding | None = None,
    ) -> None:
        self._flooding = flooding or Flooding()
        self._root = root
        self._bounds = bounds
        self._ignored = ignored
        self._touched = touched
        self._appeared = appeared
        self._kernel: InotifyFD | _Counting
        self._changed = threading.Condition()
        self._closed = False
        self._top = _Directory(TOP, Watched((), files=False))
        self._of: dict[WatchDescriptor, _Directory] = {}
        self._watched: Counter[bytes] = Counter()
        self._beyond: dict[bytes, str] = {}
        self._walks: dict[bytes, dict[_Directory, _Walk]] = {}
        self._turns: deque[bytes] = deque()

    # --- what is asked of it, from any thread ---

    @property
    def beyond(self) -> dict[bytes, str]:
        """Folder → why not all of its directories are watched."""
        with self._changed:
            return self._beyond | dict.fromkeys(self._flooding.users, TOO_FAST)

    def __len__(self) -> int:
        """How many directories are watched."""
        return len(self._of)

    def hears(self, path: bytes) -> bool:
        """Whether the directory that the file at `path` lies in is watched, and can hold artifacts."""
        with self._changed:
            here = self._at(path.rpartition(b"/")[0])
            return here is not None and here.verdict.files and here.descriptor != _NONE

    def look_again(self) -> None:
        """See whether the folders that were beyond their bounds still are. It takes its time elsewhere."""
        with self._changed:
            for path in self._beyond:
                here = self._at(path)
                if here is not None and here not in self._walks.get(here.owner, {}):
                    self._begin(here, lambda: None)

    def tend(self, now: float) -> None:
        """Have those looked at who are set aside, and watch those anew whose time is over."""
        with self._changed:
            if self._top.descriptor == _NONE:
                return
            for user in self._flooding.freed(now):
                self._arrived(self._top, user)
            due = self._flooding.due(now)
        for user in due:
            self._appeared(user)

    def close(self) -> None:
        """`run` ends after the turn that it is at. It ends too when the data directory is gone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # --- the thread that adds ---

    def run(self, kernel: "InotifyFD | _Counting", complete: Callable[[], None]) -> None:
        """Add watches until `close`: all there are to add, then `complete()`, then what appears.

        Raises:
            OSError: the data directory itself cannot be watched.
        """
        self._kernel = kernel
        with self._open() as root:
            self._add(self._top, root)
        with self._changed:
            self._begin(self._top, complete)
        while (turn := self._turn()) is not None:
            owner, here, walk = turn
            more = next(walk, False)
            with self._changed:
                if not more:
                    self._walks[owner].pop(here, None)
                self._turns.append(owner)
        self._walks.clear()  # those under way hold directories open

    def _turn(self) -> tuple[bytes, _Directory, _Walk] | None:
        """The first walk of the owner whose turn it is, waited for; None: closed."""
        with self._changed:
            while self._changed.wait_for(lambda: self._closed or self._turns) and not self._closed:
                owner = self._turns.popleft()
                for here, walk in self._walks[owner].items():
                    return owner, here, walk
                del self._walks[owner]
            return None

    def _begin(self, here: _Directory, then: Callable[[], None]) -> None:
        """Walk it when its owner's turn comes."""
        self._queue(here, self._walk(here, then))

    def _queue(self, here: _Directory, walk: _Walk) -> None:
        if here.owner not in self._walks:
            self._turns.append(here.owner)
            self._changed.notify_all()
        self._walks.setdefault(here.owner, {})[here] = walk

    def _walk(self, start: _Directory, then: Callable[[], None]) -> _Walk:
        """Watch `start` and what is below it."""
        met: dict[bytes, str] = {}
        waiting = deque([start])
        with suppress(OSError), self._open() as root:
            while waiting:
                for below in self._watch(root, waiting.popleft(), met):
                    if below is None:
                        yield True
                    else:
                        waiting.append(below)
                yield True
            with self._changed:
                for folder in [f for f in self._beyond if (f + b"/").startswith(start.path_of(b""))]:
                    del self._beyond[folder]
                self._beyond.update(met)
        if start.descriptor == _NONE:
            with self._changed:
                self._forget(start)
        then()

    def _watch(self, root: int, here: _Directory, met: dict[bytes, str]) -> Iterator[_Directory | None]:
        """Watch `here`. The directories in it that get a watch too; None where a turn is over."""
        try:
            with directory(root, here.path) as opened:
                if not self._add(here, opened):
                    return
                with os.scandir(opened) as entries:
                    for number, entry in zip(count(1), entries, strict=False):
                        if number % _SLICE == 0:
                            yield None
                        if not entry.is_dir(follow_symlinks=False):
                            continue
                        below = self._claim(here, os.fsencode(entry.name))
                        if isinstance(below, Beyond):
                            met[below.folder] = below.reason
                            return
                        if below is not None:
                            yield below
        except OSError:  # gone, unreadable, or no watch can be had: a scan tells, or the next proof
            with self._changed:
                if here.descriptor == _NONE:
                    self._forget(here)

    def _add(self, here: _Directory, opened: int) -> bool:
        """Watch the open directory. Whether it is watched now; False: it was moved away meanwhile.

        Raises:
            OSError: no watch can be had.
        """
        with self._changed:
            if here.forgotten or self._closed:
                return False
            if here.descriptor != _NONE:
                return True
            mask = _FILES if here.verdict.files else _NAMES
            descriptor = self._kernel.add_callback(b"/proc/self/fd/%d" % opened, mask, self, _id(here))
            if descriptor == _NONE:  # what watchdog makes of EACCES
                raise PermissionError(here.path)
            before = self._of.get(descriptor)
            if before is not None and here.path.startswith(before.path_of(b"")):
                self._kernel.remove_callbacks([(descriptor, _id(here))])
                raise OSError(errno.ELOOP, "a mount of a directory in itself")
            if before is not None:
                self._forget(before)  # it was moved here, which is told later
            here.descriptor = descriptor
            self._of[descriptor] = here
            return True

    def _claim(self, parent: _Directory, name: bytes) -> _Directory | Beyond | None:
        """The directory `name`, counted from now on, or why it gets no watch; None: it is a neighbour."""
        with self._changed:
            path = parent.path_of(name)
            if parent.forgotten or path in self._ignored or self._flooding.aside(path):
                return None
            if name in parent.below:
                return parent.below[name]
            match judge(path, self._watched, self._bounds):
                case Needless():
                    return None
                case Beyond() as beyond:
                    return beyond
                case Watched() as verdict:
                    self._watched.update(verdict.counted)
                    if verdict == parent.verdict:
                        verdict = parent.verdict  # one for all in an experiment: there may be many
                    parent.below[name] = _Directory(path, verdict)
                    return parent.below[name]
                case other:
                    assert_never(other)

    def _forget(self, top: _Directory) -> None:
        """It is gone from its place, with all below it. Once: it is counted off then."""
        self._kernel.remove_callbacks(self._cut(top))

    def _cut(self, top: _Directory) -> list[tuple[WatchDescriptor, CallbackId]]:
        """Let it count no more, nor what is below it. What the kernel holds for them."""
        if top.forgotten:
            return []
        above, _, name = top.path.rpartition(b"/")
        parent = self._at(above)
        if parent is not None and parent.below.get(name) is top:
            del parent.below[name]
        held: list[tuple[WatchDescriptor, CallbackId]] = []
        waiting = [top]
        while waiting:
            here = waiting.pop()
            waiting += here.below.values()
            here.forgotten = True
            for folder in here.verdict.counted:
                self._watched[folder] -= 1
                if self._watched[folder] == 0:
                    del self._watched[folder]
            self._beyond.pop(here.path, None)
            if here.owner in self._walks:
                self._walks[here.owner].pop(here, None)
            if here.descriptor != _NONE:
                held.append((here.descriptor, _id(here)))
                del self._of[here.descriptor]
        return held

    def _set_aside(self, user: bytes, here: _Directory) -> None:
        """Hear nothing of what this user does, at once where it floods."""
        top = self._top.below.get(user)
        if top is not None:
            self._kernel.remove_callbacks([(here.descriptor, _id(here))])  # first: the rest may take 50 ms
            held = [one for one in self._cut(top) if one[0] != here.descriptor]
            self._queue(top, self._unwatch(held, user))

    def _unwatch(self, held: list[tuple[WatchDescriptor, CallbackId]], user: bytes) -> _Walk:
        """In slices: the kernel tells of the end of each watch, too. Then have him looked at."""
        while held:
            self._kernel.remove_callbacks(held[-_SLICE:])
            del held[-_SLICE:]
            yield True
        self._appeared(user)

    def _at(self, path: bytes) -> _Directory | None:
        """The directory at `path`, if it counts."""
        here: _Directory | None = self._top
        for part in path.split(b"/") if path else ():
            here = here and here.below.get(part)
        return here

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The data directory, no longer than needed: an open one could not be unmounted."""
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            os.close(root)

    # --- what watchdog calls, in its thread ---

    def on_event(self, event: InotifyEvent) -> None:
        """Something happened in a watched directory."""
        with self._changed:
            here = self._of.get(event.wd)
        if here is None:
            return
        if here is not self._top and self._floods(here):
            return
        if event.is_directory:
            self._directory_event(here, event)
        elif here.verdict.files and event.name and not event.is_moved_from:
            self._touched(here.path_of(event.name), not event.is_create)

    def _floods(self, here: _Directory) -> bool:
        """Whether its owner is set aside, since this event or before."""
        with self._changed:
            if self._closed or not self._flooding.happened(here.owner, SYSTEM.monotonic()):
                return False
            self._set_aside(here.owner, here)
            return True

    def _directory_event(self, parent: _Directory, event: InotifyEvent) -> None:
        with self._changed:
            before = parent.below.get(event.name)
            if before is not None:
                self._forget(before)
        if not event.is_moved_from:
            self._arrived(parent, event.name)

    def _arrived(self, parent: _Directory, name: bytes) -> None:
        """A directory is there, and is to be watched."""
        path = parent.path_of(name)
        with self._changed:
            here = self._claim(parent, name)
            if isinstance(here, _Directory):
                self._begin(here, lambda: self._appeared(path))
            elif here is not None:
                self._beyond[here.folder] = here.reason
        if isinstance(here, Beyond):
            self._appeared(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The directory was deleted, or its file system unmounted."""
        with self._changed:
            here = self._of.get(wd)
            if here is not None and not self._closed:
                self._forget(here)
            if here is self._top:
                self.close()

    def on_queue_overflow(self) -> None:
        """Watchdog warns of it once, and the owner of these watches hears that."""


class _Counting:
    """In the kernel's place, where watches are only counted."""

    def __init__(self) -> None:
        self._numbers = count()

    def add_callback(self, *_arguments: object) -> WatchDescriptor:
        return WatchDescriptor(next(self._numbers))

    def remove_callbacks(self, callbacks: list[tuple[WatchDescriptor, CallbackId]]) -> None:
        pass


def survey(root: Path, bounds: Bounds, ignored: frozenset[bytes]) -> tuple[int, dict[bytes, str]]:
    """How many directories of the data directory would be watched, and `Watches.beyond`. It watches nothing.

    Raises:
        OSError: the data directory cannot be read.
    """
    watches = Watches(root, bounds, ignored, lambda *_: None, lambda _: None)
    watches.run(_Counting(), watches.close)
    return len(watches), watches.beyond


def _id(here: _Directory) -> CallbackId:
    """One directory can be two for a moment: moved, and not yet heard of as moved."""
    return CallbackId(id(here))
