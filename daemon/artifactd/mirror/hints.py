"""What the watcher says, gathered in its threads until the mirror has time for it."""

import threading
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from artifactd.discovery.watch import Appeared, Doubt, Hint, Touched
from artifactd.log.lines import Log
from artifactd.mirror.mirror import Mirror

_AT_ONCE: Final = 50_000
"""Hints that are kept. Past that a scan finds what they told of: memory stays bounded."""


_IN_A_TURN: Final = 2_000
"""Hints that the mirror takes at a time, some milliseconds."""

T = TypeVar("T")


@dataclass(slots=True)
class Hints:
    """A watcher's sink: many hints become one visit to the mirror."""

    mirror: Mirror
    log: Log
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _touched: dict[bytes, bool] = field(default_factory=dict)
    _appeared: dict[bytes, None] = field(default_factory=dict)
    _doubts: list[str] = field(default_factory=list)
    _told: bool = False
    _closed: bool = False

    def __call__(self, told: Hint) -> None:
        """Keep a hint. From any thread; it never blocks for long."""
        with self._lock:
            match told:
                case _ if len(self._touched) + len(self._appeared) > _AT_ONCE:
                    self._doubts.append("more hints than there is room for")
                    self._touched.clear()
                    self._appeared.clear()
                case Touched(path, closed):
                    self._touched[path] = closed or self._touched.get(path, False)
                case Appeared(path):
                    self._appeared[path] = None
                case Doubt(reason):
                    self._doubts.append(reason)
            if not self._told:
                self._told = True
                self.mirror.inbox.put(self._act)

    def close(self) -> None:
        """Tell the mirror nothing more. In its thread."""
        self._closed = True

    def _act(self) -> None:
        if self._closed:
            return
        with self._lock:
            touched, appeared = _some(self._touched), _some(self._appeared)
            doubts, self._doubts = self._doubts, []
            self._told = bool(self._touched or self._appeared)
            if self._told:
                self.mirror.inbox.put(self._act)
        for folder in appeared:
            self.mirror.appeared(folder)
        if touched:
            self.mirror.touched(touched)
        for reason in dict.fromkeys(doubts):
            self.log.warning("watch.doubted", reason=reason)
            self.mirror.rescan("doubt")


def _some(told: dict[bytes, T]) -> dict[bytes, T]:
    """The first of them, which are taken out."""
    some = dict(islice(told.items(), _IN_A_TURN))
    for path in some:
        del told[path]
    return some
