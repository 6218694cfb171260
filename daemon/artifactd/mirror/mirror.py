"""What there is to do, found out again and again: the scan is the truth, events and hints make it quick.

A `Mirror` belongs to one thread, which calls `turn` until it has had enough. Whatever comes in (a thread's
result, a hint, a person's request) comes through one inbox and is acted on here, so no decision needs a lock.
A turn takes some milliseconds: whatever is long is done in slices, each user's in turn.
"""

import os
import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from artifactd.artifact import Artifact, Identity, Sighting, printable
from artifactd.clock import Clock
from artifactd.config import Config
from artifactd.decisions.allowance import Allowance, Versions
from artifactd.decisions.assessment import Assessment, Subject, assess
from artifactd.decisions.lifecycle import Change, Row, State, Vanished
from artifactd.decisions.outage import StoreState
from artifactd.decisions.policy import LeftAlone, Wanted
from artifactd.decisions.settle import Backlog, Incomplete, Settled, Settler, Waiting
from artifactd.discovery import exports, scan
from artifactd.discovery.reading import NotYet
from artifactd.discovery.scan import Unobservable
from artifactd.ledger.ledger import Recorded
from artifactd.mirror.known import Known
from artifactd.mirror.lane import BATCH_FILES
from artifactd.mirror.pipeline import Inbox, Pipeline
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.scanning import BLIND, Done, Scan, Scanning
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

    `eager`: copies that wait for their next try are tried when they are seen. `inbox`: one to share with
    what else its owner acts on; whatever is in it is called by `turn`.
    """

    def __init__(
        self,
        config: Config,
        stores: Mapping[str, Store],
        recorder: Recorder,
        clock: Clock,
        *,
        eager: bool = False,
        inbox: Inbox | None = None,
    ) -> None:
        self.selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
        self.on_found: Callable[[Sighting], None] = lambda _sighting: None
        self.on_missed: Callable[[int], None] = lambda _count: None
        self.watching_since: float | None = None
        """seconds since the epoch from which events should tell of each new file; None: nobody listens"""
        self.missed = 0
        """files that scans found and events should have told of, so far"""
        self.longest_turn = 0.0
        """seconds; set it to 0 to measure anew"""
        self._settler = Settler(config.watch.quiet_seconds, config.watch.max_wait_seconds)
        self._pipeline = Pipeline(config, stores, recorder, clock, self, eager=eager, inbox=inbox)
        self._scanning = Scanning(
            config.data_directory, exports.identities(config), self.selection.owner, self, clock
        )
        self._known, self._allowance, self._versions = Known(), Allowance(), Versions()
        self._blind: set[tuple[bytes, str]] = set()  # as the last scan found it, and told it
        self._config, self._recorder, self._clock = config, recorder, clock
        self._longest_wait = 0.0 if eager else config.retry.cap_seconds
        self._next_look = 0.0
        self._idle_scan = True
        recorder.listeners.append(self._spent)

    # --- what its owner calls ---

    def begin(self) -> None:
        """Take up what a crash interrupted, and look at everything."""
        interrupted = self._recorder.ledger.rows(states=[State.UPLOADING])
        rows = {row.artifact.path: row for row in interrupted}
        self._look_at(rows, rows, thorough=True)
        self.rescan("start")

    def rescan(self, reason: str) -> None:
        """Look at the whole tree; once more afterwards if a scan is under way."""
        self._scanning.rescan(reason)

    def refresh(self, every: float) -> None:
        """Find what is new while a scan takes longer than `every` seconds."""
        self._scanning.refresh(every)

    def turn(self, longest: float) -> None:
        """Do what can be done now, then wait for what comes in, at most `longest` seconds.

        Raises:
            Stopped: the record could not be written, and the mirror was told to stop.
            Damaged: the ledger is. Nothing more was done.
        """
        began = self._clock.monotonic()
        self._advance()
        busy = self._clock.monotonic() - began
        with suppress(queue.Empty):
            act = self.inbox.get(timeout=self._pause(longest))
            began = self._clock.monotonic()
            act()
            while self._clock.monotonic() - began < _TURN_SECONDS:
                self.inbox.get_nowait()()
        self.longest_turn = max(self.longest_turn, busy + self._clock.monotonic() - began)

    def hold(self, *, closing: bool) -> None:
        """Begin nothing new while `closing`: what is in flight is the last."""
        self._pipeline.closing = closing

    def drain(self, seconds: float) -> None:
        """Finish what is in flight within `seconds`, start nothing new. The next run repeats the rest."""
        self._pipeline.closing = True
        until = self._clock.monotonic() + seconds
        with suppress(queue.Empty):
            while self._pipeline.in_flight > 0 or self._pipeline.anchoring:
                self.inbox.get(timeout=max(0.0, until - self._clock.monotonic()))()
        self._pipeline.abandoned = self._pipeline.in_flight > 0 or self._pipeline.anchoring

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
    def busy(self) -> bool:
        """Whether anything is being read, put or looked at, or has come in."""
        return self.in_flight > 0 or not self._scanning.idle or not self.inbox.empty()

    @property
    def due(self) -> float | None:
        """When the next file is worth a look, in monotonic seconds; None: never, or no store takes any."""
        now = self._clock.monotonic()
        small, large = (self._pipeline.room(now, large=one) > 0 for one in (False, True))
        if not (small or large):
            return None
        return self._settler.next_due(small=small, large=large, but=self.blocked)

    def stores(self) -> Iterable[StoreState]:
        """How it goes with each store."""
        return tuple(lane.state for lane in self._pipeline.lanes.values())

    def attends_to(self, path: bytes) -> bool:
        """Whether the file is waited for, or under way."""
        return path in self._settler or self._pipeline.carries(path)

    def waiting(self) -> list[Waiting]:
        """The files that are waited for, and why."""
        return list(self._settler.waiting(self._clock.monotonic()))

    def backlog(self) -> Backlog:
        """What is waited for, in numbers."""
        return self._settler.backlog(self._clock.monotonic())

    def costs(self) -> Costs | None:
        """The folder that costs most."""
        found = max(self._scanning.costs.items(), key=lambda item: item[1], default=None)
        return None if found is None else Costs(*found)

    # --- what comes in ---

    def touched(self, paths: Mapping[bytes, bool]) -> None:
        """Something happened to these files; true: the file was closed after writing, or moved into place."""
        if not self._scanning.touched(paths):
            self._overlooked()

    def appeared(self, folder: bytes, *, hinted: bool = False, done: Done | None = None) -> None:
        """A directory is at `folder`: look at everything in it.

        `hinted`: Driverless AI said that its files are complete. `done` hears how many are waited for then.
        """
        if not self._scanning.appeared(folder, hinted=hinted, done=done):
            self._overlooked()
            if done is not None:
                done(0)

    def request(self, path: bytes, name: str | None) -> None:
        """A person wants the file at `path` exported, under `name` if one is given. Look at it now."""
        self.selection.asked[path] = name
        self._look_at([path], thorough=True)

    def withdraw(self, path: bytes) -> None:
        """Nobody waits for the file's export any more."""
        self.selection.asked.pop(path, None)

    def artifact(self, path: bytes) -> Artifact | None:
        """The artifact at `path`; None where it is no part of an experiment, or nobody knows its user."""
        return self.selection.artifact(path)

    def assess(self, subject: Subject) -> Assessment:
        """What follows for this file now, were nothing waited for."""
        rows = self._recorder.ledger.of_sources([subject.path]).get(subject.path, [])
        return assess(subject, rows, tuple(self._pipeline.lanes), 0.0, 0.0)

    # --- what is seen ---

    def look_at(self, paths: Mapping[bytes, bool]) -> None:
        """As `touched`, at once."""
        self._look_at(paths)
        for path, closed in paths.items():
            if closed:
                self._settler.closed(path, self._clock.monotonic())

    def sight(self, sightings: Sequence[Sighting], under: Scan | None, *, hinted: bool = False) -> int:
        """These files are there. Returns how many of them are waited for."""
        if under is not None:
            under.files += len(sightings)
            sightings = [one for one in sightings if not self._counted(one, under)]
        self._sight(sightings, under)
        waiting = [one.path for one in sightings if one.path in self._settler]
        if hinted:
            for path in waiting:
                self._settler.hinted(path, self._clock.monotonic())
        return len(waiting)

    def blind(self, found: Unobservable, under: Scan) -> None:
        """This cannot be looked at."""
        under.unobservable += 1
        place = (found.path, found.reason)
        if len(under.blind) < BLIND:
            under.blind.add(place)
        if place not in self._blind:
            source = printable(found.path) or "."
            self._recorder.log.warning("scan.unobservable", source=source, reason=found.reason)

    def room(self, user: str, *, reserve: bool = False) -> bool:
        """Whether more of this user's files can be waited for."""
        return self._settler.room(user, reserve=reserve)

    def scanned(self, under: Scan) -> None:
        """The scan has come to its end."""
        log = self._recorder.log
        news = under.reason != "timer" or under.new or under.blind != self._blind
        tell = log.info if news else log.debug
        self._blind = under.blind
        tell(
            "scan.finished",
            reason=under.reason,
            files=under.files,
            wanted=under.wanted,
            new=under.new,
            left_alone=under.left_alone,
            unobservable=under.unobservable,
            seconds=round(under.seconds or 0.0, 3),
        )
        self.missed += under.missed
        if under.missed:
            log.warning("watch.missed", count=under.missed)
            self.on_missed(under.missed)
        self._known.scanned()

    def _look_at(
        self, paths: Iterable[bytes], rows: Mapping[bytes, Row] | None = None, *, thorough: bool = False
    ) -> None:
        """Look at the files at these paths. `rows` has what is known of some; `thorough` is for `_sight`."""
        sightings: list[Sighting] = []
        with suppress(OSError), scan.root(self._config.data_directory) as root:
            for path in paths:
                known = rows.get(path) if rows else None
                match scan.sight(root, path, known.identity if known else None):
                    case scan.Seen(seen):
                        sightings += seen
                    case scan.Gone():
                        self._gone(path, os.fstat(root).st_dev)
                    case scan.Unobservable():
                        pass  # nothing follows from it
        self._sight(sightings, None, thorough=thorough)

    def _counted(self, sighting: Sighting, under: Scan) -> bool:
        """Whether an earlier scan found that there is nothing to do for the file as it is."""
        match self._known.of(sighting):
            case None:
                return False
            case 0:
                under.left_alone += 1
            case copies:
                under.wanted += 1
                under.done += copies
                user = self.selection.owner(sighting.path)
                under.by_user[user] = under.by_user.get(user, 0) + 1
        return True

    def _sight(self, sightings: Sequence[Sighting], under: Scan | None, *, thorough: bool = False) -> None:
        """These files were seen. `thorough`: ask the ledger even for what no rule names, a look-up each."""
        subjects = [one for sighting in sightings if (one := self.selection.subject(sighting)) is not None]
        concerned = [one for one in subjects if thorough or one.on_record]
        rows = self._recorder.ledger.of_sources([one.path for one in concerned])
        under = under or Scan("", 0.0)
        now, stores = self._clock.now(), tuple(self._pipeline.lanes)
        changes: list[Change] = []
        for subject in concerned:
            assessment = assess(subject, rows.get(subject.path, []), stores, now, self._longest_wait)
            self._count(assessment, under)
            if not self._attends_busily(subject.path):
                changes += assessment.changes
            if self._needed(assessment):
                self._wait_for(assessment, under)
            elif assessment.copies and assessment.proven == len(assessment.copies):
                self._known.add(subject.sighting, assessment.proven)
        for subject in subjects:
            if not subject.on_record and not thorough:
                under.left_alone += 1
                self._known.add(subject.sighting, 0)
        self._recorder.record(changes)

    def _attends_busily(self, path: bytes) -> bool:
        """Whether the file is being read or put: what follows for it is told first."""
        return self._settler.probing(path) or self._pipeline.carries(path)

    def _count(self, assessment: Assessment, under: Scan) -> None:
        decision, user = assessment.subject.decision, assessment.subject.owner.user
        if isinstance(decision, Wanted):
            under.wanted += 1
            under.by_user[user] = under.by_user.get(user, 0) + 1
        under.left_alone += isinstance(decision, LeftAlone)
        under.done += assessment.proven
        under.stuck += assessment.stuck

    def _needed(self, assessment: Assessment) -> bool:
        """Whether the file has to be read for a copy at a store that takes something."""
        subject, now, needed = assessment.subject, self._clock.monotonic(), False
        size = subject.identity.size
        for copy in assessment.unread:
            lane = self._pipeline.lanes[copy.store]
            if copy.proven or lane.carries(subject.path, subject.identity):
                continue
            if lane.carries(subject.path):
                lane.pass_over(subject.path, size)  # its older version is on its way
            elif lane.state.out_since is None or lane.takes(subject.path, size, now):
                needed = True
            else:
                lane.pass_over(subject.path, size)
                self._overlooked()
        return needed

    def _wait_for(self, assessment: Assessment, under: Scan) -> None:
        subject, now = assessment.subject, self._clock.monotonic()
        under.new += 1
        under.missed += self._missed(subject.sighting, assessment.rows)
        if subject.path not in self._settler:
            self.on_found(subject.sighting)
        age = self._clock.now() - subject.identity.ctime_ns / 1e9
        if not self._settler.feed(subject, now, age):
            self._overlooked()
        elif not subject.asked and (until := self._versions.not_before(subject.path)) is not None:
            self._settler.hold(subject.path, until)

    def _overlooked(self) -> None:
        """New files are passed over for now. That they are not waited for is no sign of a deaf watcher."""
        if self.watching_since is not None:
            self.watching_since = self._clock.now()

    def _missed(self, sighting: Sighting, rows: Sequence[Row]) -> bool:
        """Whether events should have told of this new file by now, and did not."""
        if rows or self.watching_since is None or sighting.path in self._settler:
            return False
        changed = sighting.identity.ctime_ns / 1e9
        return self.watching_since < changed < self._clock.now() - self._config.watch.quiet_seconds

    def _gone(self, path: bytes, device: int) -> None:
        """Nothing is at `path` any more, in a tree on `device`. It says nothing of another device's file."""
        if self._attends_busily(path):
            return  # what is read or put of it is told first; two puts of one key must not be under way
        self._settler.forget(path)
        rows = self._recorder.ledger.of_sources([path]).get(path, [])
        unfinished = [row for row in rows if row.unfinished]
        gone = [row for row in unfinished if row.identity is None or row.identity.dev == device]
        self._recorder.record([Change(row, Vanished("deleted before it was exported")) for row in gone])

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
        self._look_at([path], thorough=True)

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
        for lane in self._pipeline.lanes.values():
            if paths := lane.next_ones(_AT_ONCE, now):
                self._look_at(paths, thorough=True)
        self._idle_scan = not self._scanning.step()
        self._pipeline.carry(self._settler, now)

    def _pause(self, longest: float) -> float:
        """Seconds until there is something to do, unless something comes in before."""
        if not self._idle_scan:
            return 0.0
        now = self._clock.monotonic()
        times = [now + longest, self._pipeline.next_try(now)]
        if (due := self.due) is not None:
            times.append(due)
        return max(0.0, min(times) - now)

    def _tell_overdue(self, now: float) -> None:
        for waiting in self._settler.overdue(now):
            self._recorder.log.warning(
                "artifact.waiting",
                source=printable(waiting.path),
                size=waiting.size,
                reason=waiting.reason,
                waited_seconds=round(waiting.seconds, 3),
            )

    def _retry(self, now: float) -> None:
        """Look at the copies whose next try has come, at stores that take something."""
        lanes = {name: lane for name, lane in self._pipeline.lanes.items() if lane.state.room(now) > 0}
        due = self._recorder.ledger.due(self._clock.now(), list(lanes), BATCH_FILES) if lanes else []
        rows = {row.artifact.path: row for row in due if not self.attends_to(row.artifact.path)}
        if rows and all(lane.state.out_since is not None for lane in lanes.values()):
            smallest = min(rows.values(), key=lambda row: row.size)
            rows = {smallest.artifact.path: smallest}
        if rows:
            self._look_at(rows, rows, thorough=True)
