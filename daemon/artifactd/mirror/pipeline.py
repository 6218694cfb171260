"""From files that may be complete to copies on record: read → plan → started → put → proven.

Reading and putting happen in threads; planning and recording in the owner's thread, to which the threads'
results come back through `inbox`. Each store has threads and a lane of its own.
"""

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar, assert_never

from artifactd.artifact import Artifact, Identity
from artifactd.clock import Clock
from artifactd.config import Config
from artifactd.decisions.lifecycle import Change, Proven, Refused, Row, Started, Unchanged, Vanished
from artifactd.decisions.outage import StoreState
from artifactd.decisions.plan import Read, Refuse, Same, Send, outlook, plan, row_of
from artifactd.decisions.policy import Wanted
from artifactd.decisions.settle import Incomplete, Settled
from artifactd.discovery import reading, scan
from artifactd.discovery.reading import Missing, NotYet, Reading, Unfit, Unreadable
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.upload import Outage, Outcome, Times, Upload, failure, upload
from artifactd.mirror.wanted import Selection
from artifactd.stores.base import Store

BATCH_FILES: Final = 256
BATCH_BYTES: Final = 16 << 20
"""A batch shares its commits and its barriers; it is closed by whichever comes first."""

T = TypeVar("T")

Inbox = queue.SimpleQueue[Callable[[], None]]
"""What comes in from threads and signals, to be acted on in one thread."""


class Owner(Protocol):
    """Who hears what became of a file."""

    def done(self, path: bytes, identity: Identity) -> None:
        """The file with this identity needs nothing more for now."""

    def postponed(self, outcome: NotYet) -> None:
        """The file is not complete."""

    def missing(self, path: bytes, identity: Identity) -> None:
        """The file could not be found."""

    def recovered(self, store: str) -> None:
        """The store takes copies again, and some were passed over while it was out."""


@dataclass(slots=True)
class _Held:
    """A reading that stays open until every lane that needs it is done with it."""

    reading: Reading
    uses: int = 0


@dataclass(frozen=True, slots=True)
class _Subject:
    """A file that was looked into: what it is, which copies of it are wanted, and what is known of them."""

    settled: Settled
    artifact: Artifact | None
    copies: list[Wanted]
    rows: list[Row]


@dataclass(slots=True)
class _Plans:
    """What a batch comes to: changes for the record, and the puts that begin with some of them."""

    changes: list[Change] = field(default_factory=list)
    starts: list[tuple[int, str, _Held]] = field(default_factory=list)
    """index of the change that starts it, store, bytes"""
    claims: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    """who has, or may have, bytes at a key of a store"""

    def claimant(self, store: str, key: str, path: bytes) -> Row | None:
        """Another file that claims the key."""
        claims = self.claims.get((store, key), ())
        return next((row for row in claims if row.artifact.path != path), None)

    def start(self, row: Row, held: _Held) -> None:
        """A put is to begin."""
        reading = held.reading
        started = Started(reading.identity, reading.digest, reading.source.size, reading.evidence)
        self.starts.append((len(self.changes), row.store, held))
        self.changes.append(Change(row, started))
        self.claims.setdefault((row.store, row.key), []).append(replace(row, digest=reading.digest))
        held.uses += 1


class Pipeline:
    """Carries files to their copies. What is under way at once is bounded: see `room`."""

    def __init__(  # noqa: PLR0917 - one of each, and each of a type of its own
        self,
        config: Config,
        stores: Mapping[str, Store],
        intake: Selection,
        recorder: Recorder,
        clock: Clock,
        owner: Owner,
        *,
        eager: bool = False,
        inbox: Inbox | None = None,
    ) -> None:
        self.lanes = {name: StoreState(name, config.retry) for name in stores}
        self.inbox: Inbox = inbox or queue.SimpleQueue()
        self.closing = False
        """whether nothing new is begun: what is in flight is the last"""
        self._config, self._stores, self._intake, self._recorder = config, stores, intake, recorder
        self._clock, self._owner = clock, owner
        sizes = [store.part_size for store in stores.values() if store.part_size is not None]
        self._part_size = min(sizes, default=None)  # a store that wants others hashes for itself
        self._readers = ThreadPoolExecutor(config.limits.workers, "read")
        self._senders = {name: ThreadPoolExecutor(config.limits.workers, f"put-{name}") for name in stores}
        self._longest_wait = 0.0 if eager else config.retry.cap_seconds
        self._reading = 0
        self._told: set[tuple[str, str]] = set()
        self.abandoned = False
        """whether what is in flight was waited for long enough, and hangs"""
        self._times = Times(
            clock.monotonic, clock.now, lambda failures: config.retry.seconds(failures, clock.chance())
        )

    @property
    def in_flight(self) -> int:
        """Files that are being read or put."""
        return self._reading + sum(lane.under_way for lane in self.lanes.values())

    def room(self, now: float) -> int:
        """How many more files may be carried at once; none while no store takes any, or at the end."""
        if self.closing:
            return 0
        return max((lane.room(now) for lane in self.lanes.values()), default=0) - self._reading

    def next_try(self, now: float) -> float | None:
        """When the next store that is out is tried again, in monotonic seconds."""
        tries = (lane.next_try() for lane in self.lanes.values())
        return min((at for at in tries if at is not None and at > now), default=None)

    def carry(self, files: Iterable[Settled]) -> None:
        """Read these files, and put what is complete and wanted. Their owner hears what became of each."""
        for batch in batches(files, lambda one: one.sighting.identity.size):
            self._reading += len(batch)
            future = self._readers.submit(self._read, batch)
            future.add_done_callback(self._back(partial(self._examined, batch)))

    def close(self) -> None:
        """Wait for the threads, unless they were given up. The next run repeats what they were at."""
        for pool in (self._readers, *self._senders.values()):
            pool.shutdown(wait=not self.abandoned, cancel_futures=True)

    def _back(self, act: Callable[[T], None]) -> Callable[[Future[T]], None]:
        """Bring a thread's result to the owner's thread, and an unexpected exception with it."""

        def arrive(future: Future[T]) -> None:
            if not future.cancelled():
                self.inbox.put(lambda: act(future.result()))

        return arrive

    # --- read ---

    def _read(self, batch: Sequence[Settled]) -> list[reading.Outcome]:
        quiet, largest = self._config.watch.quiet_seconds, self._config.limits.max_file_size
        try:
            with scan.root(self._config.data_directory) as root:
                return [_read(root, settled, quiet, largest, self._part_size) for settled in batch]
        except OSError as error:
            reason = Incomplete(f"the data directory cannot be opened: {error.strerror}")
            return [NotYet(settled, settled.sighting.identity, reason) for settled in batch]

    def _examined(self, batch: Sequence[Settled], outcomes: Sequence[reading.Outcome]) -> None:
        """Decide what is to be put, have it on record as started, and send it."""
        rows = self._recorder.ledger.of_sources([settled.sighting.path for settled in batch])
        subjects = [self._subject(settled, rows.get(settled.sighting.path, [])) for settled in batch]
        plans, held = _Plans(claims=self._claims(subjects)), []
        for settled, outcome, subject in zip(batch, outcomes, subjects, strict=True):
            match outcome:
                case Reading():
                    held.append(_Held(outcome))
                    self._plan(held[-1], subject, plans)
                case Unfit() | Unreadable():
                    self._unread(outcome, subject, plans)
                case NotYet():
                    self._owner.postponed(outcome)
                case Missing():
                    self._owner.missing(settled.sighting.path, settled.sighting.identity)
                case _:
                    assert_never(outcome)
        recorded = self._recorder.record(plans.changes)
        self._reading -= len(batch)
        for name in self.lanes:
            self._send(
                name,
                [(h, Upload(recorded[i].row, h.reading)) for i, store, h in plans.starts if store == name],
            )
        for one in held:
            self._release(one, 0)
        for outcome in outcomes:
            if isinstance(outcome, Unfit | Unreadable):
                self._owner.done(outcome.settled.sighting.path, outcome.settled.sighting.identity)

    # --- plan ---

    def _subject(self, settled: Settled, rows: list[Row]) -> _Subject:
        found = self._intake.artifact(settled.sighting.path)
        if found is None:
            return _Subject(settled, None, [], rows)
        decision = self._intake.decide(found, settled.sighting.identity.size)
        return _Subject(settled, found, self._intake.copies(decision, rows), rows)

    def _claims(self, subjects: Sequence[_Subject]) -> dict[tuple[str, str], list[Row]]:
        """Who claims the keys that these files want: asked for all at once, because each question costs."""
        keys = [wanted.key.text for subject in subjects for wanted in subject.copies]
        return {
            (store, key): rows
            for store in self.lanes
            for key, rows in self._recorder.ledger.claimants(store, keys).items()
        }

    def _plan(self, held: _Held, subject: _Subject, plans: _Plans) -> None:
        """What the bytes that were read mean for each copy that is wanted of them."""
        reading = held.reading
        for found, wanted, store in self._targets(subject):
            claimant = plans.claimant(store, wanted.key.text, found.path)
            match plan(found, wanted, store, subject.rows, claimant, reading.digest, self._config.on_change):
                case Send(row):
                    self.lanes[store].under_way += 1  # now: a store that is out takes one file, not one batch
                    plans.changes += _superseded(subject.rows, row)
                    plans.start(row, held)
                case Same(row):
                    plans.changes.append(Change(row, Unchanged(reading.identity)))
                case Refuse(row, reason):
                    plans.changes.append(Change(row, Refused(reason, reading.identity)))
                case other:
                    assert_never(other)

    def _unread(self, outcome: Unfit | Unreadable, subject: _Subject, plans: _Plans) -> None:
        """What it means for each wanted copy that the bytes could not be read."""
        identity = outcome.settled.sighting.identity
        for found, wanted, store in self._targets(subject):
            row = row_of(subject.rows, store, found, wanted)
            if isinstance(outcome, Unfit):
                plans.changes.append(Change(row, Refused(outcome.reason, identity)))
            else:
                plans.changes.append(Change(row, failure(outcome.reason, row, identity, self._times)))

    def _targets(self, subject: _Subject) -> Iterator[tuple[Artifact, Wanted, str]]:
        """The copies that are wanted of the file, at stores that take something and do not have it."""
        found, identity, now = subject.artifact, subject.settled.sighting.identity, self._clock.now()
        if found is None:
            return
        asked = found.path in self._intake.asked
        for wanted in subject.copies:
            for store, lane in self.lanes.items():
                needed = asked or isinstance(
                    outlook(subject.rows, store, wanted, identity, now, self._longest_wait), Read
                )
                if needed and not lane.open(self._clock.monotonic()):
                    lane.behind = True
                elif needed:
                    yield found, wanted, store

    # --- put ---

    def _send(self, store: str, uploads: Sequence[tuple[_Held, Upload]]) -> None:
        for batch in batches(uploads, lambda one: one[1].reading.source.size):
            job = [one for _, one in batch]
            future = self._senders[store].submit(upload, self._stores[store], job, self._times)
            future.add_done_callback(self._back(partial(self._delivered, store, [held for held, _ in batch])))

    def _delivered(self, store: str, batch: Sequence[_Held], outcome: Outcome) -> None:
        """Have on record what became of the batch."""
        self._recorder.record([Change(one.upload.row, one.event) for one in outcome.delivered])
        self.lanes[store].under_way -= len(batch)
        for held in batch:
            self._release(held, 1)
        if outcome.outage is not None:
            self._out(self.lanes[store], outcome.outage)
        elif any(isinstance(one.event, Proven) for one in outcome.delivered):
            self._back_again(self.lanes[store])
        self._tell_doubts(store)

    def _tell_doubts(self, store: str) -> None:
        """Say once what the destination makes impossible to promise."""
        for doubt in self._stores[store].doubts():
            if (store, doubt) not in self._told:
                self._told.add((store, doubt))
                self._recorder.log.warning("store.doubted", store=store, reason=doubt)

    def _release(self, held: _Held, uses: int) -> None:
        """Let go of the bytes once no lane needs them."""
        held.uses -= uses
        if held.uses == 0:
            held.reading.close()
            self._owner.done(held.reading.settled.sighting.path, held.reading.identity)

    def _out(self, lane: StoreState, outage: Outage) -> None:
        seconds = lane.out(outage.reason, self._clock.monotonic(), self._clock.chance(), outage.retry_after)
        if seconds is not None:
            self._recorder.log.error(
                "store.unavailable",
                store=lane.store,
                reason=outage.reason,
                needs_person=outage.needs_person,
                retry_seconds=round(seconds, 3),
            )

    def _back_again(self, lane: StoreState) -> None:
        seconds = lane.back(self._clock.monotonic())
        if seconds is not None:
            self._recorder.log.info("store.recovered", store=lane.store, seconds=round(seconds, 3))
        if lane.behind and lane.open(self._clock.monotonic()):
            lane.behind = False
            self._owner.recovered(lane.store)


def _superseded(rows: Sequence[Row], by: Row) -> Iterator[Change]:
    """Unfinished versions of the copy under other keys, which newer bytes have overtaken."""
    for row in rows:
        same_copy = (row.store, row.wanted_key) == (by.store, by.wanted_key) and row.key != by.key
        if same_copy and row.unfinished:
            yield Change(row, Vanished("another version took its place"))


def _read(
    root: int, settled: Settled, quiet_seconds: float, max_size: int | None, part_size: int | None
) -> reading.Outcome:
    """`reading.read`, and a bound on the harm of its own mistakes: only this file has to wait."""
    try:
        return reading.read(root, settled, quiet_seconds, max_size, part_size)
    except Exception as error:  # noqa: BLE001 - told as this file's trouble, and tried again
        return Unreadable(settled, f"unexpected {type(error).__name__}: {error}")


def batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in order, in batches of at most BATCH_FILES; one is closed when it reaches BATCH_BYTES."""
    batch: list[T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if len(batch) == BATCH_FILES or total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
