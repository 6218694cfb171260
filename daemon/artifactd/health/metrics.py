"""What Prometheus is told, by its own client. Each metric is here once, with its meaning as its help.

Counters and the histogram listen to what is put on record, in the main thread; everything else is taken from
the facts that the main thread published. No label holds a name that users choose, so there are few series.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from artifactd import __version__
from artifactd.decisions.lifecycle import Proven, State
from artifactd.health.verdict import Facts, Phase, age, hung, troubles
from artifactd.ledger.ledger import Recorded
from artifactd.ledger.record import TERMS

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations; a series more for each counter, which nobody asks for

_SECONDS: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""From the quiet period of two seconds to an outage over night."""

Now = tuple[Facts, float, float]
"""the facts, and the time in monotonic seconds and in seconds since the epoch"""


class Metrics:
    """The metrics of one daemon, in a registry of their own. `now` is called in the thread that renders."""

    def __init__(self, now: Callable[[], Now]) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        registry.register(_Snapshot(now))
        self._events = Counter(
            "artifactd_events", "Events of copies put on record.", ("store", "event"), registry=registry
        )
        self._bytes = Counter(
            "artifactd_exported_bytes",
            "Bytes of copies that were sent to a store and proven.",
            ("store",),
            registry=registry,
        )
        self._seconds = Histogram(
            "artifactd_export_seconds",
            "Seconds from an artifact's completion to its proven copy.",
            ("store",),
            buckets=_SECONDS,
            registry=registry,
        )

    def expect(self, stores: Iterable[str]) -> None:
        """Show these stores' series from now on, at 0: else a first event would be no increase."""
        for store in stores:
            self._bytes.labels(store)
            self._seconds.labels(store)
            for terms in TERMS.values():
                self._events.labels(store, terms.metric)

    def heard(self, item: Recorded) -> None:
        """A change is on record."""
        store = item.row.store
        self._events.labels(store, TERMS[type(item.event)].metric).inc()
        if isinstance(item.event, Proven):
            self._seconds.labels(store).observe(item.event.seconds)
            if item.event.written:
                self._bytes.labels(store).inc(item.row.size)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format. From any thread."""
        return generate_latest(self._registry)


class _Snapshot(Collector):
    """What the published facts say."""

    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Called by the registry for each rendering."""
        facts, monotonic, epoch = self._now()
        yield from _daemon(facts, monotonic)
        yield from _queue(facts, monotonic)
        yield from _scan(facts, monotonic, epoch)
        yield from _watch(facts)
        yield from _record(facts)
        yield from _stores(facts, monotonic)
        yield from _disks(facts)


def _gauge(name: str, meaning: str, value: float | None) -> Iterator[Metric]:
    """One without labels; nothing where the value is not known."""
    if value is not None:
        yield GaugeMetricFamily(f"artifactd_{name}", meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> Iterator[Metric]:
    yield CounterMetricFamily(f"artifactd_{name}", meaning, value=value)


def _daemon(facts: Facts, now: float) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        "artifactd_build_info", "Always 1; what runs, in its labels.", labels=("version", "config_digest")
    )
    build.add_metric((__version__, facts.config_digest), 1)
    yield build
    yield from _gauge(
        "enabled",
        "Whether enable_artifacts_upload lets anything be exported.",
        facts.phase is not Phase.DISABLED,
    )
    yield from _gauge("live", "Whether the main loop goes on, as /healthz says.", hung(facts, now) is None)
    yield from _gauge(
        "ready", "Whether artifacts get to their stores, as /readyz says.", not troubles(facts, now)
    )
    yield from _gauge("turn_age_seconds", "Seconds since the main loop last went on.", age(facts.turned, now))
    yield from _gauge(
        "longest_turn_seconds", "Longest turn of the main loop in the last minute.", facts.longest_turn
    )


def _queue(facts: Facts, now: float) -> Iterator[Metric]:
    queue = facts.queue
    yield from _gauge("waiting_files", "Files that wait to be looked into.", queue.waiting)
    yield from _gauge(
        "incomplete_files", "Files that were looked into and are not complete.", queue.incomplete
    )
    yield from _gauge("parked_files", "Incomplete files that give way to others.", queue.parked)
    yield from _gauge("overdue_files", "Files waited for longer than max_wait_seconds.", queue.overdue)
    yield from _gauge("in_flight_files", "Files that are being read or sent.", queue.in_flight)
    yield from _gauge(
        "oldest_pending_seconds",
        "Age of the oldest artifact that is complete, as far as is known, and undelivered.",
        age(queue.pending_since, now),
    )
    yield from _gauge(
        "oldest_incomplete_seconds",
        "Seconds since the oldest of the incomplete files was first seen.",
        age(queue.incomplete_since, now),
    )
    yield from _gauge(
        "slowest_wait_seconds",
        "Seconds that the file which is next for the longest waits for its turn.",
        age(queue.slowest_since, now),
    )


def _scan(facts: Facts, now: float, epoch: float) -> Iterator[Metric]:
    if (scan := facts.scan) is not None:
        ended = epoch - (now - scan.ended)
        yield from _gauge("last_scan_timestamp_seconds", "When the last whole scan ended.", ended)
        yield from _gauge("last_scan_duration_seconds", "How long the last whole scan took.", scan.seconds)
        yield from _gauge(
            "unobservable_directories",
            "Directories that the last whole scan could not look at.",
            scan.unobservable,
        )
    yield from _counter(
        "missed_files", "Files that a scan found and no event had told of.", facts.watch.missed
    )


def _watch(facts: Facts) -> Iterator[Metric]:
    watch = facts.watch
    yield from _gauge(
        "watcher_sound", "Whether the watcher passed every proof when last tried.", watch.doubt is None
    )
    yield from _gauge("watches", "inotify watches held, one for each directory.", watch.watches)
    yield from _gauge("watches_limit", "inotify watches that one user may hold.", watch.limit)
    yield from _counter("watcher_doubts", "Times that events may have been missed.", watch.doubts)
    yield from _counter("watcher_rebuilds", "Times that the watcher was replaced.", watch.rebuilds)
    yield from _counter(
        "watcher_overflows", "Times that the kernel's queue of events was full.", watch.overflows
    )


def _record(facts: Facts) -> Iterator[Metric]:
    record = facts.record
    yield from _gauge("record_writable", "Whether the record can be written.", not record.unwritable)
    yield from _gauge("record_entries", "Entries of the record.", record.entries)
    yield from _gauge("ledger_bytes", "Size of the ledger with its log.", record.size)
    yield from _counter("anchors", "Ends of the record that were put into stores.", record.anchors)
    copies = GaugeMetricFamily(
        "artifactd_copies", "Copies on record, by store and state.", labels=("store", "state")
    )
    for store in facts.stores:
        for state in State:
            if state is not State.NEW:
                copies.add_metric((store.name, state.value), record.copies.get((store.name, state), 0))
    yield copies


def _stores(facts: Facts, now: float) -> Iterator[Metric]:
    out = GaugeMetricFamily("artifactd_store_out", "Whether the store takes nothing.", labels=("store",))
    seconds = GaugeMetricFamily(
        "artifactd_store_out_seconds", "Seconds since which the store takes nothing.", labels=("store",)
    )
    requests = CounterMetricFamily(
        "artifactd_store_requests", "Requests sent to the store.", labels=("store", "operation")
    )
    connections = GaugeMetricFamily(
        "artifactd_store_connections",
        "Requests with bytes that may be under way to the store at once.",
        labels=("store",),
    )
    for store in facts.stores:
        if store.at_once is not None:
            connections.add_metric((store.name,), store.at_once.limit)
        out.add_metric((store.name,), store.out_since is not None)
        seconds.add_metric((store.name,), age(store.out_since, now))
        for operation, count in store.requests.items():
            requests.add_metric((store.name, operation), count)
    yield from (out, seconds, requests, connections)


def _disks(facts: Facts) -> Iterator[Metric]:
    free = GaugeMetricFamily(
        "artifactd_disk_free_bytes", "Room of the file system of the state, or of a store.", labels=("disk",)
    )
    size = GaugeMetricFamily("artifactd_disk_size_bytes", "Size of that file system.", labels=("disk",))
    for disk in facts.disks:
        free.add_metric((disk.name,), disk.free)
        size.add_metric((disk.name,), disk.size)
    yield from (free, size)
