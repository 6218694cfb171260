"""A handler of watchdog's and the real kernel. What is watched within which bounds: test_watches.py."""

import os
import queue
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_c import InotifyFD

from artifactd.decisions.watched import Bounds
from artifactd.discovery.emitter import AT_ONCE, BoundedEmitter

PATIENCE = 120.0

ONE = "h2oai_experiment_one"


class Heard(FileSystemEventHandler):
    """Keeps each event."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[FileSystemEvent] = queue.SimpleQueue()

    def on_any_event(self, event: FileSystemEvent) -> None:
        self.events.put(event)


class Blocking(FileSystemEventHandler):
    """Takes no event before `release`."""

    def __init__(self, release: threading.Event) -> None:
        self._release = release

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - watchdog's signature
        self._release.wait(PATIENCE)


@contextmanager
def observing(path: Path, handler: FileSystemEventHandler) -> Iterator[BoundedEmitter]:
    kernel = InotifyFD()
    kernel.start()
    observer = BaseObserver(BoundedEmitter, kernel=kernel, bounds=Bounds(), ignored=frozenset())
    observer.schedule(handler, str(path), recursive=True)
    [emitter] = observer.emitters
    assert isinstance(emitter, BoundedEmitter)
    try:
        with observer:
            assert emitter.complete.wait(PATIENCE)
            yield emitter
    finally:
        kernel.stop()
        kernel.join()


def test_a_handler_is_told_of_files_and_directories_as_watchdog_tells(tmp_path: Path) -> None:
    experiment = tmp_path / ONE
    experiment.mkdir()
    heard = Heard()
    with observing(tmp_path, heard) as emitter:
        (experiment / "a").touch()
        (experiment / "a").rename(experiment / "b")
        (experiment / "sub").mkdir()
        assert [heard.events.get(timeout=PATIENCE) for _ in range(4)] == [
            FileCreatedEvent(os.fsencode(experiment / "a")),
            FileClosedEvent(os.fsencode(experiment / "a")),
            FileClosedEvent(os.fsencode(experiment / "b")),
            DirCreatedEvent(os.fsencode(experiment / "sub")),
        ]
        assert emitter.trouble is None


def test_a_directory_that_cannot_be_watched_is_said(tmp_path: Path) -> None:
    with observing(tmp_path / "missing", Heard()) as emitter:
        assert "no observer can be started: [Errno 2]" in str(emitter.trouble)


def test_what_waits_for_a_handler_is_bounded_and_what_is_lost_is_said(tmp_path: Path) -> None:
    held = threading.Event()
    with observing(tmp_path, Blocking(held)) as emitter:
        try:
            tracemalloc.start()
            for number in range(2 * AT_ONCE):
                emitter.queue_event(FileClosedEvent(b"/data/user/h2oai_experiment_one/%d" % number))
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert kept < 20 * 1024 * 1024
            assert "lost" in str(emitter.trouble)
        finally:
            held.set()
