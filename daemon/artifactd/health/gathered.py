"""The facts about a running daemon. Gathered in its main thread, which alone may look at the mirror."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from artifactd.clock import Clock
from artifactd.decisions.settle import Backlog, earlier
from artifactd.discovery.watch import Watch
from artifactd.health.copy_counts import CopyCounts
from artifactd.health.disks import Disks
from artifactd.health.turns import Turns
from artifactd.health.verdict import (
    Burden,
    Facts,
    Phase,
    QueueFacts,
    RecordFacts,
    ScanFacts,
    StoreFacts,
    WatchFacts,
)
from artifactd.ledger.ledger import Recorded
from artifactd.ledger.schema import FILE
from artifactd.linux.inotify import inotify_watches, limits
from artifactd.mirror.engine import Engine

_CROWD: Final = 100
"""Incomplete files of one experiment that are worth a word."""

_COSTLY_SECONDS: Final = 1.0
_SHOWN: Final = 10

_WATCHES_SECONDS: Final = 60.0
_WATCHES_SHARE: Final = 0.0005
"""Of the time, as much may go into counting watches. The kernel writes a line for each: 100,000 take 0.35 s,
which are counted every 12 minutes."""


@dataclass(slots=True)
class _Watches:
    """How many inotify watches are held, and how many may be. Counted in a thread, so that nobody waits."""

    clock: Clock
    held: int | None = None
    limit: int | None = None
    _next: float = 0.0

    def look(self) -> None:
        now = self.clock.monotonic()
        if now >= self._next:
            self._next = now + _WATCHES_SECONDS
            with suppress(RuntimeError):  # no thread can be had now
                threading.Thread(target=self._count, args=(now,), name="watches", daemon=True).start()

    def _count(self, began: float) -> None:
        held, limit = inotify_watches(), None
        with suppress(OSError, ValueError):
            limit = limits().watches
        self.held, self.limit = held, limit
        took = self.clock.monotonic() - began
        self._next = began + max(_WATCHES_SECONDS, took / _WATCHES_SHARE)


@dataclass(slots=True)
class Gathered:
    """What there is to say about this daemon. It listens to what is put on record."""

    engine: Engine
    watch: Watch
    turns: Turns = field(default_factory=Turns)
    """of the main loop, for it to tell"""
    elsewhere: str = ""
    """see `Facts`; for the main loop to tell"""
    _counts: CopyCounts = field(init=False)
    _watches: _Watches = field(init=False)
    _disks: Disks = field(init=False)
    _entries: int = 0

    def __post_init__(self) -> None:
        self._counts = CopyCounts(self.engine.ledger, self.engine.clock)
        self._watches = _Watches(self.engine.clock)
        self._disks = Disks(self.engine.config, self.engine.clock)
        self._entries = self.engine.ledger.head().seq
        self.engine.recorder.listeners += [self._counts.heard, self._heard]

    def _heard(self, item: Recorded) -> None:
        self._entries = item.entry.seq

    def facts(self, phase: Phase) -> Facts:
        """All of them, now. It costs less than 0.1 ms, 12 ms while 10,000 files are waited for.

        Raises:
            Damaged: the ledger is.
        """
        now, backlog = self.engine.clock.monotonic(), self.engine.mirror.backlog()
        return Facts(
            phase=phase,
            turned=now,
            config_digest=self.engine.config.digest,
            max_pending_seconds=self.engine.config.health.max_pending_seconds,
            stores=self._stores(),
            scan=self._scan(),
            caught_up=self.engine.mirror.caught_up,
            watch=self._watch(),
            queue=self._queue(backlog),
            elsewhere=self.elsewhere,
            record=self._record(),
            longest_turn=self.turns.longest(now),
            burdens=tuple(self._burdens(backlog)),
            disks=tuple(self._disks.facts()),
        )

    def _stores(self) -> tuple[StoreFacts, ...]:
        stores = self.engine.stores
        return tuple(
            StoreFacts(
                one.store,
                one.out_since,
                one.reason,
                stores[one.store].requests(),
                one.silent_since,
                one.asked_bytes,
                one.under_way,
                stores[one.store].connections,
            )
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

    def _queue(self, backlog: Backlog) -> QueueFacts:
        mirror = self.engine.mirror
        passed_over = (one.out_since for one in mirror.stores() if one.behind)
        return QueueFacts(
            waiting=backlog.waiting,
            incomplete=backlog.incomplete,
            overdue=backlog.overdue,
            in_flight=mirror.in_flight,
            pending_since=earlier(backlog.waiting_since, self._counts.unfinished_since(), *passed_over),
            incomplete_since=backlog.incomplete_since,
            parked=backlog.parked,
            slowest_since=backlog.slowest_since,
        )

    def _burdens(self, backlog: Backlog) -> Iterator[Burden]:
        """Of what there may be much of, no more than a person reads."""
        mirror = self.engine.mirror
        if backlog.crowd_size >= _CROWD:
            yield Burden(backlog.crowd, f"it has the most incomplete files: {backlog.crowd_size:,}")
        if (costs := mirror.costs()) is not None and costs.seconds >= _COSTLY_SECONDS:
            spent = f"{costs.seconds:.1f} s of the main loop since the last scan began"
            yield Burden(costs.folder, f"to look at it cost the most: {spent}")
        for user in islice(mirror.held_back(), _SHOWN):
            yield Burden(
                os.fsencode(user), "its files have caused too many entries of the record in this hour"
            )
        blind = sorted(mirror.last_scan.blind) if mirror.last_scan is not None else []
        for folder, reason in blind[:_SHOWN]:
            yield Burden(
                folder, f"it cannot be looked into, or not all of it, and what is in there stays: {reason}"
            )
        if len(blind) > _SHOWN:
            yield Burden(b"", "more folders cannot be looked into: artifactd check")
        beyond = self.watch.beyond
        for folder, reason in islice(beyond.items(), _SHOWN):
            yield Burden(folder, f"not all of it is watched, so scans find what is new: {reason}")
        if len(beyond) > _SHOWN:
            yield Burden(b"", f"{len(beyond) - _SHOWN:,} more folders are not all watched")

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
