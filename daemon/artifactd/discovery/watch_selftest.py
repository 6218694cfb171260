"""A test of the installed watchdog: does it tell what `watch` relies on?"""

import os
import queue
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from artifactd.decisions.watched import Bounds
from artifactd.discovery.watch import Appeared, Hint, Touched, Watch
from artifactd.linux.inotify import inotify_watches

_ONE = "h2oai_experiment_one"
_TOO_DEEP = _ONE + "/deep" * (Bounds().depth + 1)
_WATCHES = 3 + Bounds().depth
"""The heartbeat's directory, the data directory, the experiment's folder, and what is not too deep in it."""


def self_test(timeout_seconds: float = 5.0) -> str | None:
    """Prove in a temporary directory that the installed watchdog tells what it must. A sentence, or None.

    Call it while no `Watch` is running: both hear watchdog's log. Each step may take `timeout_seconds`.
    """
    hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
    try:
        with tempfile.TemporaryDirectory(prefix="artifactd-") as name:
            scratch = Path(name)
            (scratch / "data" / _TOO_DEEP).mkdir(parents=True)
            (scratch / "private").mkdir()
            watch = Watch(
                scratch / "data", hints.put, private=scratch / "private", wait_seconds=timeout_seconds
            )
            before = inotify_watches()
            watch.start()
            try:
                if watch.healthy and before is not None and inotify_watches() != before + _WATCHES:
                    return "the installed watchdog watches other directories than it was asked to"
                return watch.reason or _tried(scratch, hints, timeout_seconds)
            finally:
                watch.stop()
    except OSError as error:
        return f"watchdog cannot be tried: {error}"


def _tried(scratch: Path, hints: "queue.SimpleQueue[Hint]", timeout: float) -> str | None:
    data, inside = scratch / "data" / _ONE, os.fsencode(_ONE) + b"/"
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "d").touch()
    steps: tuple[tuple[str, Callable[[], object], Hint], ...] = (
        ("the closing of a file", (data / "a").touch, Touched(inside + b"a", closed=True)),
        ("a renamed file", lambda: (data / "a").rename(data / "b"), Touched(inside + b"b", closed=True)),
        ("a second link", lambda: (data / "c").hardlink_to(data / "b"), Touched(inside + b"c", closed=False)),
        ("a file moved in", lambda: (outside / "d").rename(data / "d"), Touched(inside + b"d", closed=True)),
        ("a directory moved in", lambda: outside.rename(data / "e"), Appeared(inside + b"e")),
        ("a file in a directory moved in", (data / "e/f").touch, Touched(inside + b"e/f", closed=True)),
        ("a renamed directory", lambda: (data / "e").rename(data / "g"), Appeared(inside + b"g")),
        ("a file in a renamed directory", (data / "g/h").touch, Touched(inside + b"g/h", closed=True)),
    )
    for what, act, expected in steps:
        act()
        if not _arrives(expected, hints, timeout):
            return f"the installed watchdog does not tell of {what}"
    return None


def _arrives(expected: Hint, hints: "queue.SimpleQueue[Hint]", timeout: float) -> bool:
    with suppress(queue.Empty):
        while hints.get(timeout=timeout) != expected:
            pass
        return True
    return False
