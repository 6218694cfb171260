"""From files that may be complete to copies on record: read → plan → started → put → proven.

Reading and putting happen in threads; planning and recording in the owner's thread, to which the threads'
results come back through `inbox`. Each store has a lane of its own, and large files have room of their own on
every stage. An exception that nobody foresaw costs the batch that met it a try, and nothing else.
"""

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar, assert_never

from artifactd.artifact import Identity
from artifactd.clock import Clock, steady
from artifactd.config.effective import Config
from artifactd.decisions.assessment import Assessment, Copy, assess
from artifactd.decisions.folders import Folders
from artifactd.decisions.lifecycle import Change, Name, Proven, Refused, Row, Started, Unchanged
from artifactd.decisions.plan import (
    Claim,
    Moment,
    Refuse,
    Same,
    Send,
    damage,
    held_up,
    other_bytes,
    plan,
    row_of,
    superseded,
    unfit,
)
from artifactd.decisions.policy import OnChange
from artifactd.decisions.settle import Incomplete, Settled, Settler
from artifactd.discovery import reading, scan
from artifactd.discovery.reading import Missing, NotYet, Reading, Unfit, Unreadable
from artifactd.ledger.schema import LedgerError
from artifactd.mirror.lane import BATCH_BYTES, BATCH_FILES, Held, Item, Job, Lane
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.upload import Outage, Outcome, Times, Upload, failure, unexpected, upload
from artifactd.stores.base import Put, Receipt, Result, Store

T = TypeVar("T")

Inbox = queue.SimpleQueue[Callable[[], None]]
"""What comes in from threads and signals, to be acted on in one thread."""

_WRITTEN_BACK_SECONDS: Final = 60.0
"""Twice as long as Linux keeps written bytes in memory (vm.dirty_expire_centisecs: 30 s). To flush a file
costs 0.5 to 3 ms on a disk, and one that is there already a third of that at least: a first sync of old files
must not pay it."""

_FLUSHED_AT_ONCE: Final = 8
"""Small files of a batch: flushes at the same time share the disk's barriers, and cost a fifth. One syncfs(2)
would cost less still, and wait for all that anybody has written to the disk."""

_READ_AHEAD: Final = 2 * BATCH_FILES
"""Small files that are being read at once, or are about to be."""


class Listener(Protocol):
    """Who hears what became of a file."""

    def carried(self, settled: Settled, *, exported: bool) -> None:
        """Nothing more is to be done with the file for now; `exported`: its bytes are on their way."""

    def postponed(self, outcome: NotYet) -> None:
        """The file is not complete."""

    def missing(self, path: bytes, identity: Identity) -> None:
        """The file could not be found."""

    def recovered(self, store: str) -> None:
        """The store takes copies again, and more were passed over than it knows."""

    def blocked(self, user: str) -> bool:
        """Whether this user's files have to wait."""

    def left(self, row: Row) -> bool:
        """Whether the file of this copy is there no more, for sure."""


@dataclass(slots=True)
class _Plans:
    """What a batch comes to: changes for the record, and the puts that begin with some of them."""

    spelled: Callable[[str], str] = str
    """a key as the destination tells keys apart"""
    changes: list[Change] = field(default_factory=list)
    starts: list[tuple[Name, Lane, Held, tuple[Row, ...]]] = field(default_factory=list)
    """which copy, where it goes, bytes, claims that end with it"""
    claims: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    """who has, or may have, bytes at a key of a store"""

    def claimants(self, store: str, key: str, path: bytes) -> list[Row]:
        """What other files have, or may get, at the key."""
        claims = self.claims.get((store, self.spelled(key)), ())
        return [row for row in claims if row.artifact.path != path]

    def start(self, row: Row, lane: Lane, held: Held, inherited: tuple[Row, ...]) -> None:
        """A put is to begin."""
        found = held.reading
        started = Started(found.identity, found.digest, found.source.size, found.evidence)
        self.starts.append((row.name, lane, held, inherited))
        self.changes.append(Change(row, started))
        claims = self.claims.setdefault((row.store, self.spelled(row.key)), [])
        claims.append(replace(row, digest=found.digest))
        held.uses += 1
        lane.begin(row.artifact.path, found.identity, found.source.size)


class Pipeline:
    """Carries files to their copies. What is under way at once is bounded."""

    def __init__(
        self,
        config: Config,
        stores: Mapping[str, Store],
        recorder: Recorder,
        clock: Clock,
        listener: Listener,
        *,
        moment: Callable[[], Moment],
        inbox: Inbox | None = None,
    ) -> None:
        workers = config.limits.workers
        self.lanes = {name: Lane(one, config.retry, workers, self._put) for name, one in stores.items()}
        self.inbox: Inbox = inbox or queue.SimpleQueue()
        self.closing = False
        """whether nothing new is begun: what is in flight is the last"""
        self.abandoned = False
        """whether what is in flight was waited for long enough, and hangs"""
        self._config, self._recorder, self._clock, self._listener = config, recorder, clock, listener
        sizes = [one.part_size for one in stores.values() if one.part_size is not None]
        self._part_size = min(sizes, default=None)  # a store that wants others hashes for itself
        self._readers = ThreadPoolExecutor(max(2, workers), "read")
        self._most_large = max(1, workers - 1)
        self._moment = moment
        self._spelled = str.casefold if config.ignore_case else str
        self._folders = Folders(recorder.ledger.users(), ignore_case=config.ignore_case)
        self._keeps_both = config.on_change is OnChange.KEEP_BOTH
        self._reading = self._reading_large = 0
        self._told: set[tuple[str, str]] = set()
        self._times = Times(
            clock.monotonic, steady(clock), lambda failures: config.retry.seconds(failures, clock.chance())
        )

    @property
    def in_flight(self) -> int:
        """Files that are being read or put."""
        under_way = sum(lane.state.under_way for lane in self.lanes.values())
        return self._reading + self._reading_large + under_way

    def carries(self, path: bytes) -> bool:
        """Whether a copy of the file is under way to any store."""
        return any(lane.carries(path) for lane in self.lanes.values())

    def room(self, now: float, *, large: bool = False) -> int:
        """How many more small or large files may be read; none while no store takes any, or at the end."""
        if self.closing:
            return 0
        reading, most = (self._reading_large, self._most_large) if large else (self._reading, _READ_AHEAD)
        taken = max((lane.state.room(now, large=large) for lane in self.lanes.values()), default=0)
        return min(most, taken) - reading

    def next_try(self, now: float) -> float:
        """When the next store that is out is tried again, in monotonic seconds; inf: none is."""
        return min((lane.next_try(now) for lane in self.lanes.values()), default=float("inf"))

    def carry(self, settler: Settler, now: float) -> None:
        """Read what is worth it, each user's in turn, and put what is complete and wanted."""
        takers = [lane.state for lane in self.lanes.values() if lane.state.room(now) > 0]
        if takers and all(one.out_since is not None for one in takers):
            # They are to be tried with one file: the smallest, which tells as much as a large one.
            if not (self.closing or self._reading or self._reading_large):
                found = settler.smallest(now, self._listener.blocked)
                self._submit([] if found is None else [found])
            return
        for large in (False, True):
            if (room := self.room(now, large=large)) > 0:
                ripe = settler.settled(now, room, large=large, but=self._listener.blocked)
                for batch in batches(ripe, lambda one: one.sighting.identity.size):
                    self._submit(batch)

    def close(self) -> None:
        """Wait for the threads, unless they were given up. The next run repeats what they were at."""
        self._readers.shutdown(wait=not self.abandoned, cancel_futures=True)
        for lane in self.lanes.values():
            lane.close(wait=not self.abandoned)

    def anchor(self, put: Put, then: Callable[[str], None]) -> None:
        """Put the end of the record into each store that is not out; `then` hears of those that have it.

        It goes by the lanes: a store that hangs delays its own anchor, and nothing else.
        """
        for name, lane in self.lanes.items():
            if lane.state.out_since is None and not (lane.anchoring or self.abandoned):
                lane.anchor(put).add_done_callback(self._back(partial(self._anchored, lane, name, then)))

    @property
    def anchoring(self) -> bool:
        """Whether an end of the record is on its way."""
        return any(lane.anchoring for lane in self.lanes.values())

    def _anchored(
        self, lane: Lane, name: str, then: Callable[[str], None], result: Future[list[Result]]
    ) -> None:
        lane.anchoring = False
        if result.exception() is None and isinstance(result.result()[0], Receipt):
            then(name)

    def _back(self, act: Callable[[Future[T]], None]) -> Callable[[Future[T]], None]:
        """Bring a thread's result to the owner's thread; to nobody once what is in flight was given up."""

        def arrive(future: Future[T]) -> None:
            if not future.cancelled():
                self.inbox.put(lambda: None if self.abandoned else act(future))

        return arrive

    # --- read ---

    def _submit(self, batch: Sequence[Settled]) -> None:
        if not batch:
            return
        self._count(batch, 1)
        future = self._readers.submit(self._read, batch)
        future.add_done_callback(self._back(lambda result: self._examined(batch, result.result())))

    def _count(self, batch: Sequence[Settled], sign: int) -> None:
        if batch[0].sighting.identity.size > BATCH_BYTES:
            self._reading_large += sign * len(batch)
        else:
            self._reading += sign * len(batch)

    def _read(self, batch: Sequence[Settled]) -> list[reading.Outcome]:
        quiet, largest = self._config.watch.quiet_seconds, self._config.limits.max_file_size
        written_back = self._clock.now() - _WRITTEN_BACK_SECONDS
        fresh = sum(one.sighting.identity.ctime_ns > written_back * 1e9 for one in batch)
        try:
            with (
                scan.root(self._config.data_directory) as root,
                ThreadPoolExecutor(min(_FLUSHED_AT_ONCE, max(1, fresh)), "flush") as threads,
            ):
                how = quiet, largest, self._part_size, written_back
                each = threads.map if fresh > 1 else map
                return list(each(lambda settled: _read(root, settled, *how), batch))
        except OSError as error:
            reason = Incomplete(f"the data directory cannot be opened: {error.strerror}")
            return [NotYet(settled, settled.sighting.identity, reason) for settled in batch]

    def _examined(self, batch: Sequence[Settled], outcomes: Sequence[reading.Outcome]) -> None:
        """Decide what is to be put, have it on record as started, and send it."""
        self._count(batch, -1)
        plans = _Plans(self._spelled)
        held = [Held(outcome) for outcome in outcomes if isinstance(outcome, Reading)]
        try:
            self._decide(batch, outcomes, held, plans)
            recorded = self._recorder.record(plans.changes)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - told as this batch's trouble, and tried again
            self._failed(batch, held, plans, error)
            return
        started = {item.row.name: item.row for item in recorded if isinstance(item.event, Started)}
        for name, lane, one, inherited in plans.starts:
            lane.send(Item(one, Upload(started[name], one.reading, self._keeps_both, inherited)))
        for lane in self.lanes.values():
            lane.start(self._clock.monotonic())
        for one in held:
            self._release(one, 0)
        for settled, outcome in zip(batch, outcomes, strict=True):
            match outcome:
                case Reading() | Unfit() | Unreadable():
                    self._listener.carried(settled, exported=isinstance(outcome, Reading))
                case NotYet():
                    self._listener.postponed(outcome)
                case Missing():
                    self._listener.missing(settled.sighting.path, settled.sighting.identity)
                case _:
                    assert_never(outcome)

    def _failed(
        self, batch: Sequence[Settled], held: Sequence[Held], plans: _Plans, error: Exception
    ) -> None:
        """What was decided for the batch is undone; its files are looked at again."""
        self._tell_fault(error)
        for _, lane, one, _ in plans.starts:
            lane.gave_up(one.reading.settled.sighting.path, one.reading.source.size)
        for one in held:
            one.reading.close()
        for settled in batch:
            reason = Incomplete(unexpected(error))
            self._listener.postponed(NotYet(settled, settled.sighting.identity, reason))

    # --- plan ---

    def _decide(
        self,
        batch: Sequence[Settled],
        outcomes: Sequence[reading.Outcome],
        held: Sequence[Held],
        plans: _Plans,
    ) -> None:
        rows = self._recorder.ledger.of_sources([settled.sighting.path for settled in batch])
        moment, stores = self._moment(), tuple(self.lanes)
        assessed = [assess(one.subject, rows.get(one.sighting.path, []), stores, moment) for one in batch]
        plans.claims = self._claims(assessed)
        readings = iter(held)
        for outcome, assessment in zip(outcomes, assessed, strict=True):
            match outcome:
                case Reading():
                    self._plan(next(readings), assessment, plans)
                case Unfit() | Unreadable():
                    self._unread(outcome, assessment, plans)
                case NotYet(incomplete=incomplete):
                    if incomplete.by_its_bytes:  # else the next look may say otherwise
                        plans.changes += held_up(assessment.rows, incomplete.reason, self._times.now())
                case Missing():
                    pass
                case _:
                    assert_never(outcome)

    def _claims(self, assessed: Sequence[Assessment]) -> dict[tuple[str, str], list[Row]]:
        """Who claims the keys that these files want: asked for all at once, because each question costs."""
        claims: dict[tuple[str, str], list[Row]] = {}
        for row in self._neighbours(assessed):
            if row.claims:
                claims.setdefault((row.store, self._spelled(row.key)), []).append(row)
        return claims

    def _neighbours(self, assessed: Sequence[Assessment]) -> Iterator[Row]:
        """The rows that may claim one of the keys: where case tells none apart, all of the experiments."""
        ledger = self._recorder.ledger
        if self._config.ignore_case:
            for owner in dict.fromkeys(one.subject.owner for one in assessed):
                yield from ledger.rows(user=owner.user, experiment_id=owner.experiment)
            return
        keys = list(dict.fromkeys(copy.wanted.key.text for one in assessed for copy in one.copies))
        for store in self.lanes:
            for rows in ledger.of_keys(store, keys).values():
                yield from rows

    def _plan(self, held: Held, assessment: Assessment, plans: _Plans) -> None:
        """What the bytes that were read mean for each copy that is wanted of them."""
        found, artifact = held.reading, assessment.subject.artifact
        damaged = other_bytes(assessment.rows, found.identity, found.digest)
        denied = self._folders.denied(artifact.user)
        for lane, copy in list(self._targets(assessment)):
            claimants = plans.claimants(copy.store, copy.wanted.key.text, artifact.path)
            claims = [Claim(row, self._listener.left(row)) for row in claimants]
            rows, change = assessment.rows, self._config.on_change
            if damaged is not None:
                reason = damaged.reason
                plans.changes.append(damage(rows, copy.store, artifact, copy.wanted, found.identity, reason))
                continue
            if denied is not None and not any(row.proof for row in rows):
                row = row_of(rows, copy.store, artifact, copy.wanted)
                plans.changes.append(Change(row, unfit(row, denied, found.identity)))
                continue
            action = plan(artifact, copy.wanted, copy.store, rows, claims, found.digest, change)
            plans.changes += superseded(rows, action.row)
            match action:
                case Send(row):
                    plans.start(row, lane, held, tuple(claimants))
                case Same(row):
                    plans.changes.append(Change(row, Unchanged(found.identity)))
                case Refuse(row, reason):
                    plans.changes.append(Change(row, unfit(row, reason, found.identity)))
                case other:
                    assert_never(other)

    def _unread(self, outcome: Unfit | Unreadable, assessment: Assessment, plans: _Plans) -> None:
        """What it means for each wanted copy that the bytes could not be read."""
        identity = outcome.settled.sighting.identity
        for _, copy in self._targets(assessment):
            row = row_of(assessment.rows, copy.store, assessment.subject.artifact, copy.wanted)
            failed = failure(outcome.reason, row, identity, self._times)
            if isinstance(outcome, Unfit):
                plans.changes.append(Change(row, unfit(row, outcome.reason, identity)))
            elif isinstance(failed, Refused):
                plans.changes.append(Change(row, unfit(row, failed.reason, identity)))
            else:
                plans.changes.append(Change(row, failed))

    def _targets(self, assessment: Assessment) -> Iterator[tuple[Lane, Copy]]:
        """The copies that are wanted of the file, at stores that take something and do not have it."""
        subject, now = assessment.subject, self._clock.monotonic()
        size = subject.identity.size
        taken = {name: lane.takes(subject.path, size, now) for name, lane in self.lanes.items()}
        for copy in assessment.unread:
            lane = self.lanes[copy.store]
            if taken[copy.store]:
                yield lane, copy
            else:
                lane.pass_over(subject.path, size)

    # --- put ---

    def _put(self, lane: Lane, job: Job) -> None:
        future = lane.threads.submit(upload, lane.store, [item.upload for item in job.items], self._times)
        future.add_done_callback(self._back(lambda result: self._delivered(lane, job, result.result())))

    def _delivered(self, lane: Lane, job: Job, outcome: Outcome) -> None:
        """Have on record what became of the job."""
        try:
            self._recorder.record([Change(one.upload.row, one.event) for one in outcome.delivered])
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - the copies stay begun, and are begun again at the next look
            self._tell_fault(error)
        lane.ended(job, self._clock.monotonic())
        for item in job.items:
            self._release(item.held, 1)
        if outcome.outage is not None:
            self._out(lane, outcome.outage)
        elif any(isinstance(one.event, Proven) for one in outcome.delivered):
            self._back_again(lane)
        self._tell_doubts(lane)
        lane.start(self._clock.monotonic())

    def _tell_fault(self, error: Exception) -> None:
        """Say that something went wrong which nobody foresaw."""
        self._recorder.log.error("daemon.fault", reason=unexpected(error))

    def _tell_doubts(self, lane: Lane) -> None:
        """Say once what the destination makes impossible to promise."""
        for doubt in lane.store.doubts():
            if (lane.store.name, doubt) not in self._told:
                self._told.add((lane.store.name, doubt))
                self._recorder.log.warning("store.doubted", store=lane.store.name, reason=doubt)

    def _release(self, held: Held, uses: int) -> None:
        """Let go of the bytes once no lane needs them."""
        held.uses -= uses
        if held.uses == 0:
            held.reading.close()

    def _out(self, lane: Lane, outage: Outage) -> None:
        state = lane.state
        seconds = state.out(outage.reason, self._clock.monotonic(), self._clock.chance(), outage.retry_after)
        if seconds is not None:
            self._recorder.log.error(
                "store.unavailable",
                store=state.store,
                reason=outage.reason,
                needs_person=outage.needs_person,
                retry_seconds=round(seconds, 3),
            )

    def _back_again(self, lane: Lane) -> None:
        state = lane.state
        seconds = state.back(self._clock.monotonic())
        if seconds is not None:
            self._recorder.log.info("store.recovered", store=state.store, seconds=round(seconds, 3))
        if state.behind and not lane.passed_over:
            state.behind = False
            self._listener.recovered(state.store)


def _read(  # noqa: PLR0917 - as `reading.read`
    root: int,
    settled: Settled,
    quiet_seconds: float,
    max_size: int | None,
    part_size: int | None,
    written_back: float,
) -> reading.Outcome:
    """`reading.read`, and a bound on the harm of its own mistakes: only this file has to wait."""
    try:
        return reading.read(root, settled, quiet_seconds, max_size, part_size, written_back)
    except Exception as error:  # noqa: BLE001 - told as this file's trouble, and tried again
        return Unreadable(settled, unexpected(error))


def batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in order, in batches of at most BATCH_FILES and BATCH_BYTES. A larger one goes alone."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and (len(batch) == BATCH_FILES or total + size(item) > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch
