"""The facts about a running daemon. Gathered in its main thread, which alone may look at the mirror."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from artifactd.clock import Clock
from artifactd.decisions.settle import earlier
from artifactd.discovery.watch import Watch
from artifactd.health.copy_counts import CopyCounts
from artifactd.health.verdict import Facts, Phase, QueueFacts, RecordFacts, ScanFacts, StoreFacts, WatchFacts
from artifactd.ledger.ledger import Recorded
from artifactd.ledger.schema import FILE
from artifactd.linux.inotify import inotify_watches, limits
from artifactd.mirror.engine import Engine

_WATCHES_SECONDS: Final = 60.0
_WATCHES_SHARE: Final = 0.0005
"""Of the time, as much may go into counting watches. The kernel writes a line for each: 100,000 take 0.35 s,
which are counted every 12 minutes."""


@dataclass(slots=True)
class _Watches:
    """How many inotify watches are held, and how many may be."""

    clock: Clock
    held: int | None = None
    limit: int | None = None
    _next: float = 0.0

    def look(self) -> None:
        now = self.clock.monotonic()
        if now >= self._next:
            self.held, self.limit = inotify_watches(), None
            with suppress(OSError, ValueError):
                self.limit = limits().watches
            took = self.clock.monotonic() - now
            self._next = now + max(_WATCHES_SECONDS, took / _WATCHES_SHARE)


@dataclass(slots=True)
class Gathered:
    """What there is to say about this daemon. It listens to what is put on record."""

    engine: Engine
    watch: Watch
    _counts: CopyCounts = field(init=False)
    _watches: _Watches = field(init=False)
    _entries: int = 0

    def __post_init__(self) -> None:
        self._counts = CopyCounts(self.engine.ledger, self.engine.clock)
        self._watches = _Watches(self.engine.clock)
        self._entries = self.engine.ledger.head().seq
        self.engine.recorder.listeners += [self._counts.heard, self._heard]

    def _heard(self, item: Recorded) -> None:
        self._entries = item.entry.seq

    def facts(self, phase: Phase) -> Facts:
        """All of them, now. It costs less than 0.1 ms, and now and then a count of watches.

        Raises:
            Damaged: the ledger is.
        """
        return Facts(
            phase=phase,
            turned=self.engine.clock.monotonic(),
            config_digest=self.engine.config.digest,
            max_pending_seconds=self.engine.config.health.max_pending_seconds,
            stores=self._stores(),
            scan=self._scan(),
            watch=self._watch(),
            queue=self._queue(),
            record=self._record(),
        )

    def _stores(self) -> tuple[StoreFacts, ...]:
        stores = self.engine.stores
        return tuple(
            StoreFacts(one.store, one.out_since, one.reason, stores[one.store].requests())
            for one in self.engine.mirror.stores()
        )

    def _scan(self) -> ScanFacts | None:
        last = self.engine.mirror.last_scan
        if last is None or last.seconds is None:
            return None
        every = scan_pause(self.engine.config.watch.rescan_seconds, last.spent)
        return ScanFacts(last.since + last.seconds, last.seconds, every, last.unobservable)

    def _watch(self) -> WatchFacts:
        watch, watches = self.watch, self._watches
        watches.look()
        return WatchFacts(
            doubt=watch.reason,
            heartbeats=watch.heartbeats,
            rebuilds=watch.rebuilds,
            overflows=watch.overflows,
            doubts=watch.doubts,
            missed=self.engine.mirror.missed,
            watches=watches.held,
            limit=watches.limit,
        )

    def _queue(self) -> QueueFacts:
        mirror = self.engine.mirror
        backlog = mirror.backlog()
        passed_over = (one.out_since for one in mirror.stores() if one.behind)
        return QueueFacts(
            waiting=backlog.waiting,
            incomplete=backlog.incomplete,
            overdue=backlog.overdue,
            in_flight=mirror.in_flight,
            pending_since=earlier(backlog.waiting_since, self._counts.unfinished_since(), *passed_over),
            incomplete_since=backlog.incomplete_since,
        )

    def _record(self) -> RecordFacts:
        return RecordFacts(
            unwritable=self.engine.recorder.unwritable,
            entries=self._entries,
            size=self._size(),
            anchors=self.engine.recorder.anchors,
            copies=self._counts.copies(),
        )

    def _size(self) -> int:
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += (self.engine.config.state_directory / f"{FILE}{suffix}").stat().st_size
        return size


_SCAN_SHARE: Final = 0.02
"""Of the time, as much may go into scans on the timer: a tree that takes 6 s is scanned every 5 minutes."""


def scan_pause(rescan_seconds: float, took: float) -> float:
    """Seconds from the end of a scan that took so many seconds to the next one on the timer."""
    return max(rescan_seconds, took / _SCAN_SHARE)
