"""One supervised watchdog observer → hints. It says when it doubts itself. Linux only.

watchdog 7.1 can go deaf while it looks alive. So what can be proven is proven again and again: its threads
live, its log is quiet, a private heartbeat is heard, the data directory is the one that was watched, one more
inotify watch can be had. On any doubt the observer is replaced and the caller is told to scan.

Left to the caller's scan, because nothing tells of it:
    - a subdirectory that could not be watched: it was unreadable, or the limit was reached only for a moment;
    - another file system mounted over a subdirectory;
    - what other hosts write to a network file system (see `inotify.remote_file_system`).
A directory that was moved out is still heard, under its old path, until the next rebuild: a hint is no proof.
"""

import logging
import os
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver
from watchdog.utils import BaseThread

from artifactd.linux.inotify import shortage

FIRST_PAUSE = 1.0
"""Seconds between the first two rebuilds; doubled each time."""

LONGEST_PAUSE = 600.0
"""Seconds; no pause between rebuilds is longer."""

STEADY = 60.0
"""Seconds without a doubt after which the pause is short again."""

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
"""The kernel is asked for no more. Opening and reading are not among them: a scan makes no events."""

_LOST = "filesystem events were lost"
"""In watchdog 7.1's warning of IN_Q_OVERFLOW. It logs this line once each time."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Something happened to a file."""

    path: bytes
    """relative to the data directory"""
    closed: bool
    """a writer closed it, or it was renamed into place; False: it was created or linked, no more is known"""


@dataclass(frozen=True, slots=True)
class Appeared:
    """A directory was created or moved in. Scan all below it: what is older than its watch may make no event.

    A file written into a directory while that is new may be `Touched` as created only, its closing not told.
    """

    path: bytes
    """relative to the data directory"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Events may have been missed: scan everything. A new observer, if one can be had, listens already."""

    reason: str


Hint = Touched | Appeared | Doubt
Sink = Callable[[Hint], None]


def _hint(event: FileSystemEvent, prefix: bytes) -> Touched | Appeared | None:
    """What `event` means, or None. Synthetic events are of what lies below a directory that appeared."""
    moved_out = isinstance(event, FileMovedEvent | DirMovedEvent) and not event.dest_path
    if event.is_synthetic or moved_out:
        return None
    path = os.fsencode(event.dest_path or event.src_path).removeprefix(prefix)
    match event:
        case FileClosedEvent() | FileMovedEvent():
            return Touched(path, closed=True)
        case FileCreatedEvent():
            return Touched(path, closed=False)
        case DirCreatedEvent() | DirMovedEvent():
            return Appeared(path)
        case _:
            return None


class _TreeHandler(FileSystemEventHandler):
    """Turns events of the data directory into hints. No I/O, and no exception leaves it."""

    def __init__(
        self, root: str, sink: Sink, ignored: frozenset[bytes], suspect: Callable[[str], None]
    ) -> None:
        self._prefix = os.fsencode(root).rstrip(b"/") + b"/"
        self._ignored = tuple(path.rstrip(b"/") + b"/" for path in ignored)
        self._sink = sink
        self._suspect = suspect
        self.muted = False

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in its thread, for each event."""
        if self.muted:
            return
        try:
            hint = _hint(event, self._prefix)
            if hint is not None and not (hint.path + b"/").startswith(self._ignored):
                self._sink(hint)
        except Exception as error:  # noqa: BLE001 - whatever it is, one hint is lost, and watchdog's thread must live
            self._suspect(f"a hint could not be delivered: {error!r}")


class _Heart(FileSystemEventHandler):
    """Closes a private file now and then and notes whether watchdog tells of it."""

    def __init__(self, every: float, patience: float) -> None:
        self._every = every
        self._patience = patience
        self._sent: float | None = None
        self._next = float("-inf")
        self._heard = threading.Event()
        self.beats = 0

    def dispatch(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - watchdog's signature
        """Called by watchdog, in its thread: the close was heard."""
        self._heard.set()

    def symptom(self, directory: Path, now: float) -> str | None:
        """What is wrong at `now` (monotonic seconds), or None. Beats where it is time to."""
        if self._sent is not None:
            if self._heard.is_set():
                self._sent = None
                self.beats += 1
            elif now - self._sent > self._patience:
                return f"the heartbeat was not heard for {self._patience:g} seconds"
        if self._sent is None and now >= self._next:
            self._sent, self._next = now, now + self._every
            self._heard.clear()
            return _beat(directory) or shortage(directory)
        return None


def _beat(directory: Path) -> str | None:
    """Raises IN_CLOSE_WRITE and writes nothing. Why it could not, or None."""
    try:
        os.close(os.open(directory / "heartbeat", os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"the heartbeat file cannot be opened: {error.strerror}"
    return None


Identity = tuple[int, int]
"""st_dev, st_ino"""


def _identity(root: Path) -> Identity:
    """Of the directory at `root`. It is opened, because watchdog takes an unreadable one without a word.

    Raises:
        OSError: there is no directory, or it cannot be read.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return status.st_dev, status.st_ino


class _Listener:
    """One observer from its start to its end.

    Raises:
        OSError, RuntimeError: no inotify instance, watch, temporary directory or thread can be had.
    """

    def __init__(
        self, identity: Identity, root: str, tree: _TreeHandler, heart: _Heart, private: Path | None
    ) -> None:
        self._identity = identity
        self._tree = tree
        self._heart = heart
        with ExitStack() as undo:
            scratch = tempfile.TemporaryDirectory(
                prefix="artifactd-", dir=private, ignore_cleanup_errors=True
            )
            self.directory = Path(undo.enter_context(scratch))
            (self.directory / "heartbeat").touch()
            before = set(threading.enumerate())
            observer = InotifyObserver(
                generate_full_events=True
            )  # else a file moved in looks like a created one
            undo.callback(_end, observer)
            observer.schedule(heart, str(self.directory), event_filter=[FileClosedEvent])
            observer.start()  # the heart has its watch before the tree can use up the limit
            observer.schedule(tree, root, recursive=True, event_filter=_EVENTS)
            started = {thread for thread in threading.enumerate() if isinstance(thread, BaseThread)} - before
            self._threads = {observer, *observer.emitters, *started}  # the reader is in no public attribute
            self._undo = undo.pop_all()

    def symptom(self, identity: Identity, now: float) -> str | None:
        """What is wrong at `now` (monotonic seconds), the data directory being `identity`; None: nothing."""
        if identity != self._identity:
            return "the data directory is another one than was watched"
        dead = sorted(type(thread).__name__ for thread in self._threads if not thread.is_alive())
        if dead:
            return f"watchdog's thread {dead[0]} has ended"
        return self._heart.symptom(self.directory, now)

    def close(self, patience: float) -> None:
        """Muted at once; stopped within `patience` seconds, or left behind: a sink may be blocking it."""
        self._tree.muted = True
        ending = threading.Thread(target=self._undo.close, name="watch-end", daemon=True)
        ending.start()
        ending.join(patience)


def _end(observer: InotifyObserver) -> None:
    observer.stop()
    if observer.ident is not None:
        observer.join()


class _LogEar(logging.Handler):
    """Hears watchdog's warnings, which often are all it says of a loss."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        """Called by watchdog, in any of its threads."""
        self._hear(record.getMessage())

    def attach(self) -> None:
        """Take over watchdog's log: what it warns of becomes a `Doubt`, so nobody else prints it too.

        Its one use of `warnings` is harmless: it met a directory by an event and by its own listing.
        """
        warnings.filterwarnings("ignore", "Callback with id '.*' already exists", RuntimeWarning)
        log = logging.getLogger("watchdog")
        log.setLevel(logging.WARNING)
        log.addHandler(self)
        log.propagate = False

    def detach(self) -> None:
        """Give it back."""
        log = logging.getLogger("watchdog")
        log.removeHandler(self)
        log.setLevel(logging.NOTSET)
        log.propagate = True


class Watch:
    """Hints about the tree below `root`, and doubts.

    `Touched` and `Appeared` reach the sink in watchdog's thread, `Doubt` inside `start` and `check`. It
    must not block; `queue.SimpleQueue.put` is one. Where it raises, a hint is lost and a `Doubt` follows.

    Args:
        root: the data directory; a link is followed anew at each rebuild.
        sink: takes each hint.
        ignored: directories, relative to `root`, from which no hint comes. They are watched all the same.
        private: where the heartbeat's temporary directory is made, outside `root`; None: as `tempfile` does.
        beat_seconds: from one heartbeat to the next.
        patience_seconds: how long a heartbeat may go unheard, and an observer may take to stop.

    Raises:
        ValueError: the heartbeat would lie in the data directory, where nothing may be added.
    """

    def __init__(
        self,
        root: Path,
        sink: Sink,
        *,
        ignored: frozenset[bytes] = frozenset(),
        private: Path | None = None,
        beat_seconds: float = 15.0,
        patience_seconds: float = 5.0,
    ) -> None:
        place = Path(os.path.realpath(private or tempfile.gettempdir()))
        if place.is_relative_to(os.path.realpath(root)):
            raise ValueError(f"the heartbeat's directory {str(place)!a} lies in the data directory")
        self._root = root
        self._sink = sink
        self._ignored = ignored
        self._private = private
        self._beat_seconds = beat_seconds
        self._patience = patience_seconds
        self._ear = _LogEar(self._overheard)
        self._suspicions: deque[str] = deque()
        self._listener: _Listener | None = None
        self._heart = _Heart(beat_seconds, patience_seconds)
        self._running = False
        self._reason: str | None = "not started"
        self._failures = 0
        self._pause_until = self._steady_at = float("-inf")
        self.rebuilds = 0
        """observers built after the first"""
        self.overflows = 0
        """times the kernel's queue of events was full and events were lost"""
        self.doubts = 0
        """told so far"""

    @property
    def healthy(self) -> bool:
        """Whether every proof succeeded when last tried."""
        return self._reason is None

    @property
    def reason(self) -> str | None:
        """Why it is not healthy."""
        return self._reason

    @property
    def heartbeats(self) -> int:
        """Heartbeats heard by the present observer."""
        return self._heart.beats

    def start(self) -> None:
        """Listen. Scan after it returns: then nothing falls between. What hinders it becomes a `Doubt`."""
        self._ear.attach()
        self._running = True
        try:
            self._reason = self._open(_identity(self._root))
        except OSError as error:
            self._reason = _unreadable(error)
        if self._reason is not None:
            self._doubt(self._reason)

    def stop(self) -> None:
        """No hint comes after it returns, unless the sink is blocking right now. May be started again."""
        self._running = False
        self._close()
        self._ear.detach()
        self._reason = "stopped"

    def doubt(self, reason: str) -> None:
        """Act at the next `check` as if a proof had failed. From any thread; never blocks."""
        if not self._suspicions:  # the first is the cause
            self._suspicions.append(reason)

    def check(self, now: float) -> None:
        """Try every proof; on a doubt rebuild and tell. Call it about once a second.

        A rebuild takes about 2 s for 100,000 directories. Before the pause between rebuilds has passed, a
        `Doubt` comes at once, and another after the rebuild: what happened between was not heard.

        Args:
            now: monotonic seconds.
        """
        if not self._running:
            return
        try:
            identity = _identity(self._root)
        except OSError as error:
            self._close()  # what it hears now is another directory, or nothing
            self._tell(_unreadable(error))
            return
        symptom = self._symptom(identity, now)
        if symptom is None:
            self._failures = 0 if now >= self._steady_at else self._failures
        elif now < self._pause_until:
            self._tell(symptom)
        else:
            self._rebuild(symptom, identity, now)

    def _symptom(self, identity: Identity, now: float) -> str | None:
        if self._suspicions:
            return self._suspicions.popleft()
        found = self._listener.symptom(identity, now) if self._listener else None
        return found or self._reason

    def _tell(self, reason: str) -> None:
        """Once for as long as it stays the same."""
        if reason != self._reason:
            self._reason = reason
            self._doubt(reason)

    def _doubt(self, reason: str) -> None:
        self.doubts += 1
        self._sink(Doubt(reason))

    def _rebuild(self, symptom: str, identity: Identity, now: float) -> None:
        self._close()  # first: two sets of watches at once can reach the limit, and the scan covers the gap
        self._pause_until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 30))
        self._steady_at = self._pause_until + STEADY
        self._failures += 1
        self.rebuilds += 1
        self._reason = self._open(identity)
        self._doubt(self._reason or f"listening anew, after: {symptom}")

    def _open(self, identity: Identity) -> str | None:
        """Start an observer. What is wrong with it from the start, or None."""
        root = os.path.realpath(self._root)
        tree = _TreeHandler(root, self._sink, self._ignored, self.doubt)
        self._heart = _Heart(self._beat_seconds, self._patience)
        try:
            self._listener = _Listener(identity, root, tree, self._heart, self._private)
        except (OSError, RuntimeError) as error:
            return f"no observer can be started: {error}"
        return shortage(self._listener.directory)

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close(self._patience)
        self._suspicions.clear()

    def _overheard(self, message: str) -> None:
        self.overflows += _LOST in message
        self.doubt(f"watchdog warns: {message}")


def _unreadable(error: OSError) -> str:
    return f"the data directory cannot be read: {error.strerror}"
