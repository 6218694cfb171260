"""An emitter for watchdog's observer that watches within bounds. watchdog's own recurses without any."""

import os
import threading
from pathlib import Path

from watchdog.events import DirCreatedEvent, FileClosedEvent, FileCreatedEvent, FileSystemEvent
from watchdog.observers.api import EventEmitter, EventQueue, ObservedWatch
from watchdog.observers.inotify_c import InotifyFD

from artifactd.decisions.flooding import Flooding
from artifactd.decisions.watched import Bounds
from artifactd.discovery.watches import Watches
from artifactd.linux.inotify import shortage

AT_ONCE = 50_000
"""Events that wait for their handler. More are lost, and that is said: watchdog's queue has no bound."""


class BoundedEmitter(EventEmitter):
    """Adds `Watches` below `watch.path` in its thread, and emits what happens there. Paths are bytes.

    `FileCreatedEvent`; `FileClosedEvent`, also of a file that was renamed into place; `DirCreatedEvent`, also
    of a directory that was moved in, once all below it is watched within bounds, and of the folder of a user
    who is set aside: it is to be looked at (see `flooding`).
    """

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: float,
        event_filter: list[type[FileSystemEvent]] | None,
        kernel: InotifyFD,
        bounds: Bounds,
        ignored: frozenset[bytes],
        flooding: Flooding | None = None,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self._kernel = kernel
        self._prefix = os.path.join(os.fsencode(watch.path), b"")  # noqa: PTH118 - of bytes
        self.watches = Watches(
            Path(watch.path), bounds, ignored, self._touched, self._appeared, flooding=flooding
        )
        self.complete = threading.Event()
        """all there was to watch is watched, or nothing can be"""
        self.trouble: str | None = None
        """why events are missed, or None"""

    def run(self) -> None:
        """Watch until it is stopped, or nothing is left to watch."""
        root = Path(self.watch.path)
        try:
            self.watches.run(self._kernel, lambda: self.settle(shortage(root)))
            if self.should_keep_running():
                self.trouble = "the data directory that was watched is gone"
        except OSError as error:
            self.settle(f"no observer can be started: {error}")

    def settle(self, trouble: str | None) -> None:
        """No more is to be waited for; what is wrong then."""
        self.trouble = self.trouble or trouble
        self.complete.set()

    def on_thread_stop(self) -> None:
        """It adds no watch after this."""
        self.watches.close()

    def queue_event(self, event: FileSystemEvent) -> None:
        """Hand it to the observer's thread. It never blocks."""
        if self._event_queue.qsize() < AT_ONCE:
            super().queue_event(event)
        else:
            self.trouble = "events came faster than they were handled, and some were lost"

    def _touched(self, path: bytes, closed: bool) -> None:  # noqa: FBT001 - as `Watches` tells it
        self.queue_event((FileClosedEvent if closed else FileCreatedEvent)(self._prefix + path))

    def _appeared(self, path: bytes) -> None:
        self.queue_event(DirCreatedEvent(self._prefix + path))
