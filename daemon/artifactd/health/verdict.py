"""From facts that the daemon's own thread published to a verdict with its reasons. Pure.

*Live* means that the main thread goes on; where it does not, only a restart helps. *Ready* means that
artifacts get to their stores in time; where they do not, something around the daemon needs mending.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, assert_never

from artifactd.artifact import count_of
from artifactd.decisions.lifecycle import State
from artifactd.decisions.outage import AtOnce

STALLED_SECONDS: Final = 120.0
"""Without a turn of the main loop. A turn takes a fraction of a second, whatever users do."""

START_SECONDS: Final = 600.0
"""For the start, which compares every row of the ledger with its hash: 10 s for a million copies."""

_SCAN_GRACE_SECONDS: Final = 60.0
_FIRST_SCANS_SECONDS: Final = 60.0
"""Between scans, before the first has ended and shown how long one takes."""

_SCANS_MISSED: Final = 3
"""Pauses between scans that may pass without one: a scan gives way while everything is busy."""

_SILENT_SECONDS: Final = 120.0
_SILENT_RATE: Final = 16 << 10
"""Seconds that a store may say nothing, and bytes of its largest job that allow one more: the least rate of a
line that exports are worth sending over. Stores give up slower requests by themselves, unless they hang."""


class Phase(StrEnum):
    """Where the daemon is between its start and its end."""

    STARTING = "starting"
    RUNNING = "running"
    DISABLED = "disabled"
    """the master switch is off: it is up, and exports nothing"""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One store's."""

    name: str
    out_since: float | None = None
    """monotonic seconds; None: it takes copies"""
    reason: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)
    """sent since the start, by operation"""
    silent_since: float | None = None
    """monotonic seconds since which it has not answered; None: nothing is asked of it"""
    asked_bytes: int = 0
    """of the largest job that it has not answered"""
    under_way: int = 0
    """files"""
    at_once: AtOnce | None = None
    """how many requests may be; None: it has no such bound"""


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """Of the last whole scan."""

    ended: float
    """monotonic seconds"""
    seconds: float
    """how long it took"""
    every: float
    """seconds that may pass to the next one"""
    unobservable: int = 0
    """directories that could not be looked at"""


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """The watcher's."""

    doubt: str | None = None
    """why it may be deaf; None: every proof succeeded"""
    heartbeats: int = 0
    """heard by the present observer"""
    rebuilds: int = 0
    overflows: int = 0
    doubts: int = 0
    """told since the start"""
    missed: int = 0
    """files that a scan found and events should have told of, since the start"""
    watches: int | None = None
    """held; None: not known"""
    limit: int | None = None
    """what one user may hold; None: not known"""


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What is not delivered yet. Times are monotonic seconds; None: there is none."""

    waiting: int = 0
    """files that may be complete and were not looked into yet"""
    incomplete: int = 0
    """files that were looked into and were not complete"""
    overdue: int = 0
    """... for longer than `max_wait_seconds`"""
    in_flight: int = 0
    """files that are being read or put"""
    pending_since: float | None = None
    """of the oldest artifact that is complete, as far as is known, and not delivered"""
    incomplete_since: float | None = None
    """when the oldest of the incomplete files was first seen"""
    parked: int = 0
    """files that were looked into as they are now, were not complete, and give way to their owner's others"""
    slowest_since: float | None = None
    """since when the file that is next for the longest waits for its owner's turn"""


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """The ledger's and the record's."""

    unwritable: str = ""
    """why nothing can be put on record; empty: it can"""
    entries: int = 0
    """in the record, which is the number of its last one"""
    size: int = 0
    """bytes of the ledger's files"""
    anchors: int = 0
    """put into stores since the start"""
    copies: Mapping[tuple[str, State], int] = field(default_factory=dict)
    """how many there are by store and state"""


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """Of a file system that something of ours lies on."""

    name: str
    """state, or the store's"""
    free: int
    """bytes that may still be written"""
    size: int
    """bytes"""


@dataclass(frozen=True, slots=True)
class Burden:
    """Whose files cost the daemon much, or get less of it than the others'. Told to its own account only."""

    folder: bytes
    """relative to the data directory: an experiment's or a user's"""
    reason: str
    """a sentence for a person"""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that there is to say, as the main thread saw it at once."""

    phase: Phase
    turned: float
    """monotonic seconds at which the main loop last went on; before its first turn: the start"""
    config_digest: str = ""
    max_pending_seconds: float = 3600.0
    stores: tuple[StoreFacts, ...] = ()
    scan: ScanFacts | None = None
    """None: the first scan has not ended yet"""
    caught_up: float | None = None
    """monotonic seconds at which a scan under way last waited only for users with too many files waiting"""
    watch: WatchFacts = WatchFacts()
    queue: QueueFacts = QueueFacts()
    elsewhere: str = ""
    """where the data directory's name leads now, while another directory is looked at; empty: it is that"""
    record: RecordFacts = RecordFacts()
    longest_turn: float = 0.0
    """seconds that the main loop was busy without a break, at most, in the last minute"""
    burdens: tuple[Burden, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    """those that are known"""
    doing: str = ""
    """what a start that takes long is at; empty: nothing that takes long"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the daemon is not well."""

    part: str
    """daemon, record, scan, watcher, queue, or store"""
    reason: str
    """a sentence for a person"""
    store: str = ""

    def fields(self) -> dict[str, str]:
        """For machines."""
        named = {"store": self.store} if self.store else {}
        return {"part": self.part, **named, "reason": self.reason}


def hung(facts: Facts, now: float) -> Trouble | None:
    """Why only a restart helps, or None. `now` is in monotonic seconds."""
    seconds = now - facts.turned
    patience = START_SECONDS if facts.phase is Phase.STARTING else STALLED_SECONDS
    if seconds <= patience:
        return None
    where = (
        "the start has not come to an end" if facts.phase is Phase.STARTING else "the main loop stands still"
    )
    return Trouble("daemon", f"{where} for {seconds:.0f} s, {patience:.0f} s are allowed")


def troubles(facts: Facts, now: float) -> tuple[Trouble, ...]:
    """Why artifacts do not get to their stores in time; nothing while the daemon is ready."""
    return tuple(_troubles(facts, now))


def _troubles(facts: Facts, now: float) -> Iterator[Trouble]:
    if (stalled := hung(facts, now)) is not None:
        yield stalled
    match facts.phase:
        case Phase.DISABLED:
            pass  # nothing gets anywhere, as it was told
        case Phase.STARTING | Phase.STOPPING:
            doing = f": {facts.doing}" if facts.doing else ""
            yield Trouble("daemon", f"it is {facts.phase.value}{doing}")
        case Phase.RUNNING:
            yield from _running(facts, now)
        case _:
            assert_never(facts.phase)


def _running(facts: Facts, now: float) -> Iterator[Trouble]:
    if facts.record.unwritable:
        yield Trouble("record", f"{facts.record.unwritable}. Nothing is exported meanwhile")
    if facts.elsewhere:
        where = f"data_directory leads to {facts.elsewhere} now, and another directory is looked at"
        yield Trouble(
            "scan", f"{where}. It is followed as by a reload: `artifactd reload` says what hinders that"
        )
    yield from _scan(facts.scan, facts.caught_up, now)
    if facts.watch.doubt is not None:
        yield Trouble("watcher", f"{facts.watch.doubt}. Scans find everything, later than events would")
    for store in facts.stores:
        if store.out_since is not None:
            out = f"it takes nothing since {now - store.out_since:.0f} s: {store.reason}"
            yield Trouble("store", out, store.name)
        elif silent(store, now):
            since = f"it has not answered for {age(store.silent_since, now):.0f} s"
            yield Trouble("store", f"{since}: {count_of(store.under_way, 'file')} under way", store.name)
    pending = age(facts.queue.pending_since, now)
    if pending > facts.max_pending_seconds:
        allowed = f"{facts.max_pending_seconds:.0f} s are allowed"
        yield Trouble("queue", f"the oldest undelivered artifact waits for {pending:.0f} s, {allowed}")


def _scan(scan: ScanFacts | None, caught_up: float | None, now: float) -> Iterator[Trouble]:
    if scan is None and caught_up is None:
        yield Trouble("scan", "the first scan has not ended yet")
        return
    every = _FIRST_SCANS_SECONDS if scan is None else scan.every
    allowed = _SCANS_MISSED * every + _SCAN_GRACE_SECONDS
    times = (None if scan is None else scan.ended, caught_up)
    ended = max(at for at in times if at is not None)
    if now - ended > allowed:
        last = f"the last whole scan ended {now - ended:.0f} s ago"
        yield Trouble("scan", f"{last}, {allowed:.0f} s are allowed")


def silent(store: StoreFacts, now: float) -> bool:
    """Whether it has not answered for longer than its largest job may take: it hangs, most likely."""
    return age(store.silent_since, now) > _SILENT_SECONDS + store.asked_bytes / _SILENT_RATE


def age(since: float | None, now: float) -> float:
    """Seconds since then; 0 where there is nothing."""
    return 0.0 if since is None else max(0.0, now - since)


def report(facts: Facts, now: float) -> dict[str, Any]:
    """The facts and the verdict for machines, the burdens aside: what /readyz and `artifactd status` say."""
    found = troubles(facts, now)
    return {
        "phase": facts.phase.value,
        "live": hung(facts, now) is None,
        "ready": not found,
        "reasons": [one.fields() for one in found],
        "turned_seconds_ago": round(now - facts.turned, 1),
        "longest_turn_seconds": round(facts.longest_turn, 4),
        "queue": {
            "waiting": facts.queue.waiting,
            "incomplete": facts.queue.incomplete,
            "overdue": facts.queue.overdue,
            "in_flight": facts.queue.in_flight,
            "oldest_pending_seconds": round(age(facts.queue.pending_since, now), 1),
            "oldest_incomplete_seconds": round(age(facts.queue.incomplete_since, now), 1),
            "parked": facts.queue.parked,
            "slowest_wait_seconds": round(age(facts.queue.slowest_since, now), 1),
        },
        "scan": facts.scan
        and {
            "ended_seconds_ago": round(now - facts.scan.ended, 1),
            "seconds": round(facts.scan.seconds, 3),
            "unobservable": facts.scan.unobservable,
        },
        "watcher": {name: getattr(facts.watch, name) for name in WatchFacts.__slots__},
        "stores": {store.name: _store(store, facts, now) for store in facts.stores},
        "record": {
            "unwritable": facts.record.unwritable or None,
            "entries": facts.record.entries,
            "bytes": facts.record.size,
            "anchors": facts.record.anchors,
        },
        "disks": {one.name: {"free_bytes": one.free, "size_bytes": one.size} for one in facts.disks},
    }


def _store(store: StoreFacts, facts: Facts, now: float) -> dict[str, Any]:
    copies = {state.value: n for (name, state), n in facts.record.copies.items() if name == store.name and n}
    return {
        "out": store.out_since is not None,
        "out_seconds": round(age(store.out_since, now), 1),
        "silent": silent(store, now),
        "silent_seconds": round(age(store.silent_since, now), 1),
        "reason": store.reason or None,
        "requests": dict(store.requests),
        "connections": store.at_once and _at_once(store.at_once, now),
        "copies": copies,
    }


def _at_once(at_once: AtOnce, now: float) -> dict[str, Any]:
    return {
        "under_way": at_once.under_way,
        "limit": at_once.limit,
        "most": at_once.most,
        "backed_off": at_once.backed_off or None,
        "backed_off_seconds_ago": at_once.backed_off_at and round(now - at_once.backed_off_at, 1),
    }
