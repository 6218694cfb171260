"""A test of the installed watchdog: does it tell what `watch` relies on?"""

import queue
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from artifactd.discovery.watch import Appeared, Hint, Touched, Watch


def self_test(timeout_seconds: float = 5.0) -> str | None:
    """Prove in a temporary directory that the installed watchdog tells what it must. A sentence, or None.

    Call it while no `Watch` is running: both hear watchdog's log. Each step may take `timeout_seconds`.
    """
    hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
    try:
        with tempfile.TemporaryDirectory(prefix="artifactd-") as name:
            scratch = Path(name)
            data = scratch / "data"
            data.mkdir()
            (scratch / "private").mkdir()
            watch = Watch(data, hints.put, private=scratch / "private")
            watch.start()
            try:
                return _tried(scratch, data, hints, timeout_seconds)
            finally:
                watch.stop()
    except OSError as error:
        return f"watchdog cannot be tried: {error}"


def _tried(scratch: Path, data: Path, hints: "queue.SimpleQueue[Hint]", timeout: float) -> str | None:
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "d").touch()
    steps: tuple[tuple[str, Callable[[], object], Hint], ...] = (
        ("the closing of a file", (data / "a").touch, Touched(b"a", closed=True)),
        ("a renamed file", lambda: (data / "a").rename(data / "b"), Touched(b"b", closed=True)),
        ("a second link", lambda: (data / "c").hardlink_to(data / "b"), Touched(b"c", closed=False)),
        ("a file moved in", lambda: (outside / "d").rename(data / "d"), Touched(b"d", closed=True)),
        ("a directory moved in", lambda: outside.rename(data / "e"), Appeared(b"e")),
        ("a file in a directory moved in", (data / "e" / "f").touch, Touched(b"e/f", closed=True)),
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
