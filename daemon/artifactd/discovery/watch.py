"""One supervised watchdog observer → hints. It says when it doubts itself. Linux only.

watchdog 7.1 can go deaf while it looks alive. So what can be proven is proven again and again: its threads
live, its log is quiet, a private heartbeat is heard, the data directory is the one that was watched, one more
inotify watch can be had. On any doubt the observer is replaced and the caller is told to scan.

Left to the caller's scan, because nothing tells of it:
    - what lies beyond the bounds of an experiment or a user (see `Watch.beyond`);
    - a subdirectory that could not be watched: it was unreadable, or the limit was reached only for a moment;
    - another file system mounted over a subdirectory;
    - what other hosts write to a network file system (see `inotify.remote_file_system`).
A directory that is moved out just when it gets its watch may be heard under its old path until the next
rebuild: a hint is no proof.
"""

import logging
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyFD

from artifactd.decisions.flooding import Flooding
from artifactd.decisions.watched import Bounds, shares
from artifactd.discovery.emitter import BoundedEmitter
from artifactd.linux.inotify import limits, shortage

FIRST_PAUSE = 1.0
"""Seconds between the first two rebuilds; doubled each time."""

LONGEST_PAUSE = 600.0
"""Seconds; no pause between rebuilds is longer."""

STEADY = 60.0
"""Seconds without a doubt after which the pause is short again."""

TELL_AGAIN = 5.0
"""Seconds until a doubt that stays the same is told again, where events were lost anew."""

LOOK_AGAIN = 300.0
"""Seconds until a folder that was beyond its bounds is looked at again."""

UNDER_WAY = "directories are still being added to what is watched"
"""Why a watch that has just begun is not healthy. What is watched already is told of."""

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
    It is told again and again of the folder of a user whose files change too fast to be told of one by one.
    """

    path: bytes
    """relative to the data directory"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Events may have been missed: scan everything. A new observer, if one can be had, listens already."""

    reason: str


Hint = Touched | Appeared | Doubt
Sink = Callable[[Hint], None]


class _TreeHandler(FileSystemEventHandler):
    """Turns events of the data directory into hints. No exception leaves it: watchdog's thread must live."""

    def __init__(self, root: Path, sink: Sink, suspect: Callable[[str], None]) -> None:
        self._prefix = os.path.join(os.fsencode(root), b"")  # noqa: PTH118 - of bytes
        self._sink = sink
        self._suspect = suspect
        self.muted = False

    def on_closed(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in its thread: a file was closed by a writer, or renamed into place."""
        self._tell(event, closed=True)

    def on_created(self, event: FileSystemEvent) -> None:
        """Called by watchdog, in its thread: a file was created, or a directory appeared."""
        self._tell(event, closed=False)

    def _tell(self, event: FileSystemEvent, *, closed: bool) -> None:
        if self.muted:
            return
        path = os.fsencode(event.src_path).removeprefix(self._prefix)
        try:
            self._sink(Appeared(path) if event.is_directory else Touched(path, closed))
        except Exception as error:  # noqa: BLE001 - whatever it is, one hint is lost
            self._suspect(f"a hint could not be delivered: {type(error).__name__}: {error}")


class _Heart(FileSystemEventHandler):
    """Closes a private file now and then and notes whether watchdog tells of it."""

    def __init__(self, every: float, patience: float) -> None:
        self._every = every
        self._patience = patience
        self._sent: float | None = None
        self._next = float("-inf")
        self._heard = threading.Event()
        self._shortage: str | None = None
        self.beats = 0

    def on_closed(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - watchdog's signature
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
            with suppress(RuntimeError):  # no thread can be had: the next beat looks
                threading.Thread(
                    target=self._look, args=(directory,), name="watch-limit", daemon=True
                ).start()
            return _beat(directory) or self._shortage
        return None

    def _look(self, directory: Path) -> None:
        """The kernel may take 50 ms to let go of what it is asked for, so the next beat tells of it."""
        self._shortage = shortage(directory)


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
    """One observer from its start to its end, both in a thread of its own: they take their time.

    Args:
        after: the thread of the one before; two sets of watches at once can reach the limit.
        patience: seconds to wait for it.

    Raises:
        OSError, RuntimeError: no inotify instance, temporary directory or thread can be had.
    """

    def __init__(
        self,
        identity: Identity,
        root: Path,
        ignored: frozenset[bytes],
        tree: _TreeHandler,
        heart: _Heart,
        *,
        flooding: Flooding,
        private: Path | None,
        after: threading.Thread | None,
        patience: float,
    ) -> None:
        self._identity = identity
        self._tree = tree
        self._heart = heart
        self._started = False
        self._closed = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(after, patience), name="watch", daemon=True)
        with ExitStack() as undo:
            own = tempfile.TemporaryDirectory(prefix="artifactd-", dir=private, ignore_cleanup_errors=True)
            self.directory = Path(undo.enter_context(own))
            (self.directory / "heartbeat").touch()
            kernel = InotifyFD()
            kernel.start()
            self._observer = BaseObserver(
                BoundedEmitter, kernel=kernel, bounds=_bounds(), ignored=ignored, flooding=flooding
            )
            self._observer.schedule(tree, str(root), recursive=True)
            [self.emitter] = [each for each in self._observer.emitters if isinstance(each, BoundedEmitter)]
            beside = ObservedWatch(str(self.directory), recursive=False)
            self._observer.add_handler_for_watch(heart, beside)
            self._pulse = InotifyEmitter(
                self._observer.event_queue, beside, event_filter=[FileClosedEvent], inotify_fd=kernel
            )
            self._threads = self._pulse, self.emitter, kernel, self._observer
            undo.callback(self._end)
            self.thread.start()
            self._undo = undo.pop_all()

    def _run(self, after: threading.Thread | None, patience: float) -> None:
        if after is not None:
            after.join(patience)
        try:
            self._pulse.start()  # before the tree can use up the limit
            self._observer.start()
            self._started = True
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and tried again
            self.emitter.settle(f"no observer can be started: {error}")
        self._closed.wait()
        self._undo.close()

    def _end(self) -> None:
        for thread in self._threads:  # the observer last: a sink may be blocking it
            thread.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, the heartbeat aside, or None."""
        if self.emitter.trouble is not None:
            return self.emitter.trouble
        dead = [type(thread).__name__ for thread in self._threads if not thread.is_alive()]
        if dead and self._started:  # one of them ends with the heartbeat's directory
            return _beat(self.directory) or f"watchdog's thread {dead[0]} has ended"
        return None if self.emitter.complete.is_set() else UNDER_WAY

    def symptom(self, identity: Identity, now: float) -> str | None:
        """What is wrong at `now` (monotonic seconds), the data directory being `identity`; None: nothing."""
        if identity != self._identity:
            return "the data directory is another one than was watched"
        return self.trouble or self._heart.symptom(self.directory, now)

    def close(self) -> None:
        """Muted at once, and soon without watches. Its thread ends then, unless a sink is blocking it."""
        self._tree.muted = True
        self._closed.set()


class _LogEar(logging.Handler):
    """Hears watchdog's warnings, which often are all it says of a loss."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        """Called by watchdog, in any of its threads."""
        self._hear(record.getMessage())

    def attach(self) -> None:
        """Take over watchdog's log: what it warns of becomes a `Doubt`, so nobody else prints it too."""
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

    `Touched` and `Appeared` reach the sink in the observer's thread, `Doubt` inside `start` and `check`. It
    must not block; `queue.SimpleQueue.put` is one. Where it raises, a hint is lost and a `Doubt` follows.

    Only what can hold an artifact is told of: files in experiments' folders, and directories that are or hold
    one, or lie in one.

    Args:
        root: the data directory; a link is followed anew at each rebuild.
        sink: takes each hint.
        ignored: directories, relative to `root`, that are not watched and of which no hint comes.
        private: where the heartbeat's temporary directory is made, outside `root`; None: as `tempfile` does.
        beat_seconds: from one heartbeat to the next.
        patience_seconds: how long a heartbeat may go unheard, and an observer may take to stop.
        wait_seconds: how long `start` and `check` may wait for a new observer to have added its watches.

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
        wait_seconds: float = 0.05,
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
        self._wait = wait_seconds
        self._ear = _LogEar(self._overheard)
        self._suspicions: deque[str] = deque()
        self._listener: _Listener | None = None
        self._ending: threading.Thread | None = None
        self._beyond: dict[bytes, str] = {}
        self._flooding = Flooding()
        self._heart = _Heart(beat_seconds, patience_seconds)
        self._running = False
        self._reason: str | None = "not started"
        self._cause = ""
        self._failures = 0
        self._lost_anew = False
        self._pause_until = self._steady_at = self._look_at = self._tell_at = float("-inf")
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

    @property
    def beyond(self) -> dict[bytes, str]:
        """Folders not all of whose directories are watched, with the bound that is reached. From any thread.

        A folder is an experiment's, a user's or, empty, the data directory. What lies beyond is found by
        scans. A folder that keeps its bounds again is seen to within `LOOK_AGAIN` seconds. Of a user whose
        files change too fast nothing is watched for a while (see `flooding`), and `Appeared` tells of his
        folder every few seconds.
        """
        listener = self._listener
        if listener is not None and listener.emitter.complete.is_set():
            return listener.emitter.watches.beyond
        return self._beyond

    def hears(self, path: bytes) -> bool:
        """Whether what happens to the file at `path` is told: its directory is watched. From any thread."""
        listener = self._listener
        return listener is not None and listener.emitter.watches.hears(path)

    def start(self) -> None:
        """Listen. Scan after it returns: then nothing falls between. What hinders it becomes a `Doubt`.

        In a large tree it returns before all is watched. Then it is not healthy until it is, and a `Doubt`
        comes: what happened between was not heard.
        """
        self._ear.attach()
        self._running = True
        try:
            self._open(_identity(self._root), "all is watched only now")
        except OSError as error:
            self._reason = _unreadable(error)
        if self._reason not in {None, UNDER_WAY}:
            self._doubt(str(self._reason))

    def stop(self) -> None:
        """No hint comes after it returns, unless the sink is blocking right now. May be started again."""
        self._running = False
        self._close()
        if self._ending is not None:
            self._ending.join(self._patience)
        self._ear.detach()
        self._reason = "stopped"

    def doubt(self, reason: str) -> None:
        """Act at the next `check` as if a proof had failed. From any thread; never blocks."""
        if not self._suspicions:  # the first is the cause
            self._suspicions.append(reason)

    def check(self, now: float) -> None:
        """Try every proof; on a doubt rebuild and tell. Call it about once a second. It takes no time itself.

        A rebuild goes on by itself, about 4 s for 100,000 directories; its `Doubt` comes when all is watched.
        Before the pause between rebuilds has passed, a `Doubt` comes at once, again within `TELL_AGAIN`
        seconds of any later loss, and another after the rebuild: what happened between was not heard.

        Args:
            now: monotonic seconds.
        """
        if not self._running:
            return
        try:
            identity = _identity(self._root)
        except OSError as error:
            self._close()  # what it hears now is another directory, or nothing
            self._tell(_unreadable(error), now)
            return
        if self._listener is not None:
            self._listener.emitter.watches.tend(now)
        symptom = self._symptom(identity, now)
        if symptom is None:
            self._sound(now)
        elif symptom == UNDER_WAY:
            self._reason = self._reason or symptom
        elif now < self._pause_until:
            self._tell(symptom, now)
        else:
            self._rebuild(symptom, identity, now)

    def _symptom(self, identity: Identity, now: float) -> str | None:
        if self._suspicions:
            self._lost_anew = True
            return self._suspicions.popleft()
        found = self._listener.symptom(identity, now) if self._listener else None
        return found or (None if self._reason == UNDER_WAY else self._reason)

    def _sound(self, now: float) -> None:
        if self._reason is not None:
            self._reason = None
            self._doubt(self._cause)
        if now >= self._steady_at:
            self._failures = 0
        if self._listener is not None and now >= self._look_at:
            self._look_at = now + LOOK_AGAIN
            self._listener.emitter.watches.look_again()

    def _tell(self, reason: str, now: float) -> None:
        """Once for as long as it stays the same and nothing more is lost."""
        if reason != self._reason or (self._lost_anew and now >= self._tell_at):
            self._reason = reason
            self._tell_at = now + TELL_AGAIN
            self._lost_anew = False
            self._doubt(reason)

    def _doubt(self, reason: str) -> None:
        self.doubts += 1
        self._sink(Doubt(reason))

    def _rebuild(self, symptom: str, identity: Identity, now: float) -> None:
        self._close()  # first: two sets of watches at once can reach the limit, and the scan covers the gap
        self._pause_until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 30))
        self._steady_at = self._pause_until + STEADY
        self._failures += 1
        self._lost_anew = False
        self.rebuilds += 1
        self._open(identity, f"listening anew, after: {symptom}")
        if self._reason != UNDER_WAY:
            self._doubt(self._reason or self._cause)

    def _open(self, identity: Identity, cause: str) -> None:
        """Start an observer. `cause` is told when all is watched."""
        self._cause = cause
        self._heart = _Heart(self._beat_seconds, self._patience)
        try:
            listener = _Listener(
                identity,
                self._root,
                self._ignored,
                _TreeHandler(self._root, self._sink, self.doubt),
                self._heart,
                flooding=self._flooding,
                private=self._private,
                after=self._ending,
                patience=self._patience,
            )
        except (OSError, RuntimeError) as error:
            self._reason = f"no observer can be started: {error}"
            return
        self._listener = listener
        listener.emitter.complete.wait(self._wait)
        self._reason = listener.trouble

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._beyond = listener.emitter.watches.beyond
            listener.close()
            self._ending = listener.thread
        self._suspicions.clear()

    def _overheard(self, message: str) -> None:
        self.overflows += _LOST in message
        self.doubt(f"watchdog warns: {message}")


def _bounds() -> Bounds:
    try:
        return shares(limits().watches)
    except OSError:  # no /proc/sys: that the limit is reached will be told all the same
        return Bounds()


def _unreadable(error: OSError) -> str:
    return f"the data directory cannot be read: {error.strerror}"
