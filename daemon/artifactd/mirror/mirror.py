"""What there is to do, found out again and again: the scan is the truth, events and hints make it quick.

A `Mirror` belongs to one thread, which calls `turn` until it has had enough. Whatever comes in (a thread's
result, a hint, a person's request) comes through one inbox and is acted on here, so no decision needs a lock.
A turn takes some milliseconds: whatever is long is done in slices, each user's in turn.
"""

import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from artifactd.artifact import Artifact, Identity, Sighting, printable
from artifactd.clock import Clock, steady
from artifactd.config.effective import Config
from artifactd.decisions.allowance import Allowance, Versions
from artifactd.decisions.assessment import Assessment, Subject, assess
from artifactd.decisions.lifecycle import Change, Postponed, Row, State
from artifactd.decisions.outage import StoreState
from artifactd.decisions.plan import INTERRUPTED, Moment
from artifactd.decisions.settle import Backlog, Incomplete, Settled, Settler, Waiting
from artifactd.decisions.shares import Owner
from artifactd.discovery import exports
from artifactd.discovery.reading import NotYet
from artifactd.ledger.ledger import Recorded
from artifactd.mirror.lane import BATCH_FILES
from artifactd.mirror.pipeline import Inbox, Pipeline
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.scanning import Done, Scan, Scanning
from artifactd.mirror.sightings import Sightings
from artifactd.mirror.wanted import Selection
from artifactd.stores.base import Put, Store

_TURN_SECONDS: Final = 0.01
"""For what comes in, before what is due gets its turn."""

_LOOK_SECONDS: Final = 1.0
"""From one look to the next at what is due to be tried again, and at what is waited for too long."""

_AT_ONCE: Final = 64
"""Files that are looked at in one go because a store takes something again."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What of a tree costs most."""

    folder: bytes
    """an experiment's, relative to the data directory"""
    seconds: float
    """that the deciding thread spent on it since the last scan began"""


class Mirror:
    """Mirrors what is complete and wanted below the data directory into every store, each byte proven.

    `eager`: copies that wait for their next try are tried when they are seen. `refusals_since`: see `Moment`.
    `inbox`: one to share with what else its owner acts on; whatever is in it is called by `turn`.
    """

    def __init__(
        self,
        config: Config,
        stores: Mapping[str, Store],
        recorder: Recorder,
        clock: Clock,
        *,
        eager: bool = False,
        refusals_since: float = 0.0,
        inbox: Inbox | None = None,
    ) -> None:
        longest_wait = 0.0 if eager else config.retry.cap_seconds
        self._steady, self._retry_cap = steady(clock), config.retry.cap_seconds
        self._moment: Callable[[], Moment] = lambda: Moment(
            clock.now(), longest_wait, refusals_since, self._steady()
        )
        self.selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
        self._settler = Settler(config.watch.quiet_seconds, config.watch.max_wait_seconds)
        self._pipeline = Pipeline(config, stores, recorder, clock, self, moment=self._moment, inbox=inbox)
        self._allowance, self._versions = Allowance(), Versions()
        self._sightings = Sightings(
            config,
            self.selection,
            self._settler,
            self._pipeline,
            recorder,
            clock,
            self._versions,
            self._moment,
        )
        self._sightings.held_back = self.blocked
        destinations, owner = exports.identities(config), self.selection.owner
        self._scanning = Scanning(config.data_directory, destinations, owner, self._sightings, clock)
        self._recorder, self._clock = recorder, clock
        self._next_look = 0.0
        self._due_passed_over = 0
        self._idle_scan = True
        self._reviewed: Scan | None = None
        self._to_review: Iterator[Row] | None = None
        recorder.listeners.append(self._spent)

    # --- what its owner calls ---

    def begin(self) -> None:
        """Have on record what a crash interrupted, take it up, and look at everything.

        Raises as `turn`.
        """
        interrupted = list(self._recorder.ledger.rows(states=[State.UPLOADING]))
        cut_short = Postponed(INTERRUPTED, self._steady())
        self._recorder.record([Change(row, cut_short) for row in interrupted])
        self._sightings.look_into({row.artifact.path for row in interrupted}, thorough=True)
        self.rescan("start")

    def rescan(self, reason: str) -> None:
        """Look at the whole tree; once more afterwards if a scan is under way."""
        self._scanning.rescan(reason)

    def refresh(self, every: float) -> None:
        """Find what is new while a scan takes longer than `every` seconds."""
        self._scanning.refresh(every)

    def turn(self, longest: float) -> float:
        """Do what can be done now, then wait for what comes in, at most `longest` seconds.

        Returns how many seconds it took without the waiting.

        Raises:
            Stopped: the record could not be written, and the mirror was told to stop.
            Damaged: the ledger is. Nothing more was done.
        """
        began = self._clock.monotonic()
        self._advance()
        pause = self._pause(longest)
        waits = self._clock.monotonic()
        try:
            act = self.inbox.get(timeout=pause)
        except queue.Empty:
            return waits - began
        came = self._clock.monotonic()
        act()
        with suppress(queue.Empty):
            while self._clock.monotonic() - came < _TURN_SECONDS:
                self.inbox.get_nowait()()
        return waits - began + self._clock.monotonic() - came

    def listen(
        self,
        found: Callable[[Sighting], None] | None = None,
        missed: Callable[[int], None] | None = None,
        hears: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Tell `found` of each file that is waited for from now on, `missed` how many no event told of.

        `hears` says of a path whether an event should have.
        """
        self._sightings.on_found = found or self._sightings.on_found
        self._sightings.hears = hears or self._sightings.hears
        self._sightings.on_missed = missed or self._sightings.on_missed

    def expect_events(self, since: float) -> None:
        """Events should tell of each new file from now on, `since` being seconds since the epoch."""
        self._sightings.events_since = since

    def hold(self, *, closing: bool) -> None:
        """Begin nothing new while `closing`: what is in flight is the last."""
        self._pipeline.closing = closing

    def drain(self, seconds: float) -> None:
        """Finish what is in flight within `seconds`, start nothing new. The next run repeats the rest."""
        self._pipeline.closing = True
        until = self._clock.monotonic() + seconds
        with suppress(queue.Empty):
            while self.in_flight > 0 or self.anchoring:
                self.inbox.get(timeout=max(0.0, until - self._clock.monotonic()))()
        self._pipeline.abandoned = self.in_flight > 0 or self.anchoring

    def anchor(self, put: Put, then: Callable[[str], None]) -> None:
        """Put the end of the record into each store that takes something; `then` hears which have it."""
        self._pipeline.anchor(put, then)

    def close(self) -> None:
        """Wait for the threads, unless they hang."""
        self._scanning.close()
        self._pipeline.close()

    # --- how it is ---

    @property
    def inbox(self) -> Inbox:
        """What is to be acted on in the mirror's thread."""
        return self._pipeline.inbox

    @property
    def in_flight(self) -> int:
        """Files that are being read or put."""
        return self._pipeline.in_flight

    @property
    def anchoring(self) -> bool:
        """Whether an end of the record is on its way to a store."""
        return self._pipeline.anchoring

    @property
    def waiting_files(self) -> int:
        """Files that are waited for."""
        return len(self._settler)

    @property
    def scanning(self) -> bool:
        """Whether a scan is under way."""
        return self._scanning.scanning

    @property
    def scan(self) -> Scan | None:
        """The scan under way, or the last one."""
        return self._scanning.scan

    @property
    def last_scan(self) -> Scan | None:
        """The last one that ended."""
        return self._scanning.last

    @property
    def caught_up(self) -> float | None:
        """Monotonic seconds at which a scan last waited only for users with too many files waiting."""
        return self._scanning.caught_up

    @property
    def missed(self) -> int:
        """Files that scans found and events should have told of, so far."""
        return self._sightings.missed

    @property
    def busy(self) -> bool:
        """Whether anything is being read, put or looked at, or has come in."""
        looks = not self._scanning.idle or self._to_review is not None
        return self.in_flight > 0 or looks or not self.inbox.empty()

    @property
    def due(self) -> float | None:
        """When the next file is worth a look, in monotonic seconds; None: never, or no store takes any."""
        now = self._clock.monotonic()
        small, large = (self._pipeline.room(now, large=one) > 0 for one in (False, True))
        if not (small or large):
            return None
        return self._settler.next_due(small=small, large=large, but=self.blocked)

    @property
    def patience(self) -> float:
        """Seconds without a change that some file needs before more can be said of it; 0: none does."""
        return self._settler.patience()

    @property
    def stepped(self) -> float:
        """Seconds by which the clock was set since the start; the times of next tries do not know."""
        return self._clock.now() - self._steady()

    def stores(self) -> Iterable[StoreState]:
        """How it goes with each store."""
        return tuple(lane.state for lane in self._pipeline.lanes.values())

    def attends_to(self, path: bytes) -> bool:
        """Whether the file is waited for, or under way."""
        return path in self._settler or self._pipeline.carries(path)

    def waiting(self, of: Callable[[Owner], bool] = lambda _owner: True) -> Iterator[Waiting]:
        """The files of these owners that are waited for, and why. Take them before the next turn."""
        return self._settler.waiting(self._clock.monotonic(), of)

    def count_waiting(self, of: Callable[[Owner], bool]) -> int:
        """How many files of these owners are waited for."""
        return self._settler.count(of)

    def backlog(self) -> Backlog:
        """What is waited for, in numbers."""
        return self._settler.backlog(self._clock.monotonic(), self.blocked)

    def held_back(self) -> list[str]:
        """The users who have filled their share of the record for now, and whose files wait for that."""
        return self._allowance.held_back(self._clock.monotonic())

    def costs(self) -> Costs | None:
        """The folder that costs most."""
        found = max(self._scanning.costs.items(), key=lambda item: item[1], default=None)
        return None if found is None else Costs(*found)

    # --- what comes in ---

    def touched(self, paths: Mapping[bytes, bool]) -> None:
        """Something happened to these files; true: the file was closed after writing, or moved into place."""
        if not self._scanning.touched(paths):
            self._sightings.overlooked()

    def appeared(self, folder: bytes, *, hinted: bool = False, done: Done | None = None) -> None:
        """A directory is at `folder`: look at everything in it.

        `hinted`: Driverless AI said that its files are complete. `done` hears how many are waited for then.
        """
        if not self._scanning.appeared(folder, hinted=hinted, done=done):
            self._sightings.overlooked()
            if done is not None:
                done(0)

    def hand_over(self) -> Iterable[tuple[bytes, Done]]:
        """The hinted folders that were not looked at to their end, with who waits for that."""
        return self._scanning.hand_over()

    def request(self, path: bytes, name: str | None) -> None:
        """A person wants the file at `path` exported, under `name` if one is given. Look at it now."""
        self.selection.asked[path] = name
        self._sightings.look_into([path], thorough=True)

    def withdraw(self, path: bytes) -> None:
        """Nobody waits for the file's export any more."""
        self.selection.asked.pop(path, None)

    def artifact(self, path: bytes) -> Artifact | None:
        """The artifact at `path`; None where it is no part of an experiment, or nobody knows its user."""
        return self.selection.artifact(path)

    def assess(self, subject: Subject) -> Assessment:
        """What follows for this file now, were nothing waited for."""
        rows = self._recorder.ledger.of_sources([subject.path]).get(subject.path, [])
        return assess(subject, rows, tuple(self._pipeline.lanes), self._moment())

    # --- what the pipeline tells ---

    def carried(self, settled: Settled, *, exported: bool) -> None:
        """Nothing more is to be done with the file for now; `exported`: its bytes are on their way."""
        path = settled.sighting.path
        if not any(path in lane.passed_over for lane in self._pipeline.lanes.values()):
            self.selection.asked.pop(path, None)
        if exported:
            self._versions.exported(path, self._clock.monotonic())
        self._settler.done(path, settled.sighting.identity)

    def postponed(self, outcome: NotYet) -> None:
        """The file is not complete: it is looked at again."""
        path = outcome.settled.sighting.path
        self._settler.postpone(path, outcome.identity, outcome.incomplete, self._clock.monotonic())

    def missing(self, path: bytes, identity: Identity) -> None:
        """The file could not be found: gone, or another one by now, or not to be seen."""
        self._settler.postpone(path, identity, Incomplete("it cannot be found"), self._clock.monotonic())
        self._sightings.look_into([path], thorough=True)

    def recovered(self, store: str) -> None:
        """The store takes copies again, and more were passed over than it knows."""
        self.rescan(f"{store} takes copies again")

    def blocked(self, user: str) -> bool:
        """Whether this user has filled his share of the record for now."""
        now = self._clock.monotonic()
        if not self._allowance.used_up(user, self._files_of(user), now):
            return False
        if (seconds := self._allowance.news(user, now)) is not None:
            reason = "this user's files have caused too many entries of the record in this hour"
            log = self._recorder.log
            log.warning("user.held_back", user=user, reason=reason, retry_seconds=round(seconds, 3))
        return True

    def left(self, row: Row) -> bool:
        """Whether the file of this copy is there no more, for sure."""
        return self._sightings.left(row)

    def _files_of(self, user: str) -> int:
        """How many wanted files this user has, as far as the scans know."""
        scans = (self.scan, self.last_scan)
        return max((one.by_user.get(user, 0) for one in scans if one is not None), default=0)

    def _spent(self, item: Recorded) -> None:
        self._allowance.spend(item.row.artifact.user, self._clock.monotonic())

    # --- what is due ---

    def _advance(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._tell_overdue(now)
            self._retry(now)
        self._review()
        for lane in self._pipeline.lanes.values():
            if paths := lane.next_ones(_AT_ONCE, now):
                self._sightings.look_into(paths, thorough=True)
        self._idle_scan = not self._scanning.step()
        self._pipeline.carry(self._settler, now)

    def _pause(self, longest: float) -> float:
        """Seconds until there is something to do, unless something comes in before."""
        if not self._idle_scan or self._to_review is not None:
            return 0.0
        now = self._clock.monotonic()
        times = [now + longest, self._pipeline.next_try(now)]
        if (due := self.due) is not None:
            times.append(due)
        return max(0.0, min(times) - now)

    def _has_room(self, row: Row) -> bool:
        return self._settler.room(row.artifact.user, reserve=True)

    def _tell_overdue(self, now: float) -> None:
        for waiting in islice(self._settler.overdue(now), BATCH_FILES):  # the next ones at the next look
            self._recorder.log.warning(
                "artifact.waiting",
                source=printable(waiting.path),
                size=waiting.size,
                reason=waiting.reason,
                waited_seconds=round(waiting.seconds, 3),
            )

    def _review(self) -> None:
        """After each scan look at the copies that wait for a person, and whose file no scan may meet."""
        if self.last_scan is not self._reviewed:
            self._reviewed, self._to_review = self.last_scan, self._open_copies()
        if self._to_review is None:
            return
        rows = list(islice(self._to_review, _AT_ONCE))
        paths = {row.artifact.path for row in (*rows, *self._sightings.at_keys_of(rows))}
        self._sightings.look_into(paths, thorough=True)
        if not paths:
            self._to_review = None

    def _open_copies(self) -> Iterator[Row]:
        """Those that no next try will look at: refused, kept, left by a crash, or of a store of earlier."""
        ledger = self._recorder.ledger
        for state in (State.REFUSED, State.KEPT, State.UPLOADING):
            yield from ledger.standing(state)
        for store, state in ledger.count_by_store():
            if state is State.RETRYING and store not in self._pipeline.lanes:
                yield from ledger.rows(states=[state], store=store)

    def _retry(self, now: float) -> None:
        """Look at the copies whose next try has come, at stores that take something."""
        lanes = {name: lane for name, lane in self._pipeline.lanes.items() if lane.state.room(now) > 0}
        if not lanes:
            return
        due = self._recorder.ledger.due(
            self._steady(), list(lanes), BATCH_FILES, self._due_passed_over, self._retry_cap
        )
        taken = [row for row in due if not self.attends_to(row.artifact.path) and self._has_room(row)]
        # Those that cannot be taken now must not stand in the way of the ones behind them.
        passed_over = self._due_passed_over + len(due) - len(taken)
        self._due_passed_over = passed_over if len(due) == BATCH_FILES else 0
        if taken and all(lane.state.out_since is not None for lane in lanes.values()):
            taken = [min(taken, key=lambda row: row.size)]
        if taken:
            self._sightings.look_into({row.artifact.path for row in taken}, thorough=True)
