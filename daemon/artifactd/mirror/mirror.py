"""What there is to do, found out again and again: the scan is the truth, events and hints make it quick.

A `Mirror` belongs to one thread, which calls `turn` until it has had enough. Whatever comes in (a thread's
result, a hint, a person's request) comes through one inbox and is acted on here, so no decision needs a lock.
"""

import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, assert_never

from artifactd.artifact import Identity, Sighting, printable
from artifactd.clock import Clock
from artifactd.config import Config
from artifactd.decisions.lifecycle import Change, Row, State, Vanished
from artifactd.decisions.plan import Nothing, Read, Wait, given_up, outlook, skipped
from artifactd.decisions.policy import LeftAlone, Wanted
from artifactd.decisions.settle import Incomplete, Settler, Waiting
from artifactd.discovery import exports, scan
from artifactd.discovery.reading import NotYet
from artifactd.mirror.pipeline import BATCH_FILES, Inbox, Pipeline
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.wanted import Selection
from artifactd.stores.base import Store

_WAITED_FOR: Final = 10_000
"""Files that are waited for at once. Past that, hints are dropped and scans pause: memory stays bounded."""

_RETRY_LOOK_SECONDS: Final = 1.0


@dataclass(slots=True)
class Scan:
    """A scan under way, or the last one."""

    reason: str
    since: float
    found: Iterator[scan.Found]
    seconds: float | None = None
    """how long it took; None while it is under way"""
    files: int = 0
    wanted: int = 0
    new: int = 0
    done: int = 0
    """wanted copies that are proven already"""
    stuck: int = 0
    """wanted copies that wait for their next try or for a person"""
    missed: int = 0
    """new files that the watcher should have told of"""
    left_alone: int = 0
    blind: set[tuple[bytes, str]] = field(default_factory=set)
    """what could not be looked at, and why"""

    @property
    def unobservable(self) -> int:
        """How many directories could not be looked at."""
        return len(self.blind)


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
        self.intake = Selection(os.fsencode(config.data_directory), config.policy, config.user)
        self.settler = Settler(config.watch.quiet_seconds, config.watch.max_wait_seconds)
        self.pipeline = Pipeline(config, stores, self.intake, recorder, clock, self, eager=eager, inbox=inbox)
        self.inbox = self.pipeline.inbox
        self.on_found: Callable[[Sighting], None] = lambda _sighting: None
        self.on_missed: Callable[[int], None] = lambda _count: None
        self.watching_since: float | None = None
        """seconds since the epoch from which events should tell of each new file; None: nobody listens"""
        self.scan: Scan | None = None
        self.last_scan: Scan | None = None
        """the last one that ended"""
        self.missed = 0
        """files that scans found and events should have told of, so far"""
        self._scan_again: str | None = None
        self._blind: set[tuple[bytes, str]] = set()  # as the last scan found it, and told it
        self._config, self._recorder, self._clock = config, recorder, clock
        self._skip = exports.identities(config)
        self._longest_wait = 0.0 if eager else config.retry.cap_seconds
        self._retry_look = 0.0

    # --- what its owner calls ---

    def begin(self) -> None:
        """Take up what a crash interrupted, and look at everything."""
        interrupted = self._recorder.ledger.rows(states=[State.UPLOADING])
        rows = {row.artifact.path: row for row in interrupted}
        self.look_at(rows, rows, thorough=True)
        self.rescan("start")

    def rescan(self, reason: str) -> None:
        """Look at the whole tree; once more afterwards if a scan is under way."""
        if self.scanning:
            self._scan_again = reason
        else:
            found = scan.scan(self._config.data_directory, self._skip)
            self.scan = Scan(reason, self._clock.monotonic(), found)

    def turn(self, longest: float) -> None:
        """Do what can be done now, then wait for what comes in, at most `longest` seconds.

        Raises:
            Stopped: the record could not be written, and the mirror was told to stop.
            Damaged: the ledger is. Nothing more was done.
        """
        self._advance()
        try:
            self.inbox.get(timeout=self._pause(longest))()
            while True:
                self.inbox.get_nowait()()
        except queue.Empty:
            pass

    @property
    def scanning(self) -> bool:
        """Whether a scan is under way."""
        return self.scan is not None and self.scan.seconds is None

    @property
    def busy(self) -> bool:
        """Whether anything is being read, put or scanned, or has come in."""
        return self.scanning or self.pipeline.in_flight > 0 or not self.inbox.empty()

    def waiting(self) -> list[Waiting]:
        """The files that are waited for, and why."""
        return list(self.settler.waiting(self._clock.monotonic()))

    def drain(self, seconds: float) -> None:
        """Finish what is in flight within `seconds`, start nothing new. The next run repeats the rest."""
        until = self._clock.monotonic() + seconds
        with suppress(queue.Empty):
            while self.pipeline.in_flight > 0:
                self.inbox.get(timeout=max(0.0, until - self._clock.monotonic()))()
        self.pipeline.abandoned = self.pipeline.in_flight > 0

    # --- what comes in ---

    def touched(self, paths: Mapping[bytes, bool]) -> None:
        """Something happened to these files; true: the file was closed after writing, or moved into place."""
        room = max(0, _WAITED_FOR - len(self.settler))
        if room < len(paths):
            self._overlooked()
        self.look_at(islice(paths, room))
        for path, closed in islice(paths.items(), room):
            if closed:
                self.settler.closed(path, self._clock.monotonic())

    def appeared(self, folder: bytes, *, hinted: bool = False) -> int:
        """A directory is at `folder`: look at everything in it. Returns how many wanted files it has waiting.

        `hinted`: Driverless AI said that they are complete.
        """
        waiting = 0
        for found in scan.below(self._config.data_directory, folder, self._skip):
            if isinstance(found, scan.Seen) and len(self.settler) < _WAITED_FOR:
                self.sight(found.sightings)
                for sighting in found.sightings:
                    waiting += sighting.path in self.settler
                    if hinted:
                        self.settler.hinted(sighting.path, self._clock.monotonic())
        return waiting

    def look_at(
        self, paths: Iterable[bytes], rows: Mapping[bytes, Row] | None = None, *, thorough: bool = False
    ) -> None:
        """Look at the files at these paths. `rows` has what is known of some; `thorough` is for `sight`."""
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
        self.sight(sightings, thorough=thorough)

    def sight(
        self, sightings: Sequence[Sighting], under: Scan | None = None, *, thorough: bool = False
    ) -> None:
        """These files were seen. `thorough`: ask the ledger even for what no rule names, a look-up each."""
        decided = [
            (sighting, found, self.intake.decide(found, sighting.identity.size))
            for sighting in sightings
            if (found := self.intake.artifact(sighting.path)) is not None
        ]
        concerned = [
            one for one in decided if thorough or not isinstance(one[2], LeftAlone) or one[2].on_record
        ]
        rows = self._recorder.ledger.of_sources([sighting.path for sighting, _, _ in concerned])
        under = under or Scan("", 0.0, iter(()))
        under.files += len(sightings)
        under.wanted += sum(isinstance(decision, Wanted) for _, _, decision in concerned)
        under.left_alone += sum(isinstance(decision, LeftAlone) for _, _, decision in decided)
        changes: list[Change] = []
        for sighting, found, decision in concerned:
            known = rows.get(sighting.path, [])
            copies = self.intake.copies(decision, known)
            if not self.settler.probing(sighting.path):
                identity, stores = sighting.identity, tuple(self.pipeline.lanes)
                if sighting.path not in self.intake.asked:  # else a person decided, not the policy
                    changes += given_up(identity, decision, copies, known, stores)
                changes += skipped(identity, found, decision, known, stores)
            if self._needed(sighting, copies, known, under):
                under.new += 1
                under.missed += self._missed(sighting, known)
                self._wait_for(sighting)
        self._recorder.record(changes)

    def _wait_for(self, sighting: Sighting) -> None:
        if sighting.path not in self.settler:
            self.on_found(sighting)
        age = self._clock.now() - sighting.identity.ctime_ns / 1e9
        self.settler.feed(sighting, self._clock.monotonic(), age)

    def _needed(self, sighting: Sighting, copies: Sequence[Wanted], rows: Sequence[Row], under: Scan) -> bool:
        """Whether the file has to be read for a copy at a store that takes something."""
        needed = False
        now, longest = self._clock.now(), self._longest_wait
        for store, lane in self.pipeline.lanes.items():
            for wanted in copies:
                match outlook(rows, store, wanted, sighting.identity, now, longest):
                    case Nothing() as nothing if nothing.done:
                        under.done += 1
                        continue
                    case Nothing() | Wait():
                        under.stuck += 1
                        if sighting.path not in self.intake.asked:
                            continue
                    case Read():
                        pass
                    case other:
                        assert_never(other)
                if lane.out_since is None or lane.open(self._clock.monotonic()):
                    needed = True
                else:
                    lane.behind = True
                    self._overlooked()
        return needed

    def _overlooked(self) -> None:
        """New files are passed over for now. That they are not waited for is no sign of a deaf watcher."""
        if self.watching_since is not None:
            self.watching_since = self._clock.now()

    def _missed(self, sighting: Sighting, rows: Sequence[Row]) -> bool:
        """Whether events should have told of this new file by now, and did not."""
        if rows or self.watching_since is None or sighting.path in self.settler:
            return False
        changed = sighting.identity.ctime_ns / 1e9
        return self.watching_since < changed < self._clock.now() - self._config.watch.quiet_seconds

    def _gone(self, path: bytes, device: int) -> None:
        """Nothing is at `path` any more, in a tree on `device`. It says nothing of another device's file."""
        if self.settler.probing(path):
            return  # what is read or put of it is told first; two puts of one key must not be under way
        self.settler.forget(path)
        rows = self._recorder.ledger.of_sources([path]).get(path, [])
        unfinished = [row for row in rows if row.unfinished]
        gone = [row for row in unfinished if row.identity is None or row.identity.dev == device]
        self._recorder.record([Change(row, Vanished("deleted before it was exported")) for row in gone])

    # --- what the pipeline tells ---

    def done(self, path: bytes, identity: Identity) -> None:
        """The file with this identity needs nothing more for now."""
        self.intake.asked.pop(path, None)
        self.settler.done(path, identity)

    def postponed(self, outcome: NotYet) -> None:
        """The file is not complete: it is looked at again."""
        path = outcome.settled.sighting.path
        self.settler.postpone(path, outcome.identity, outcome.incomplete, self._clock.monotonic())

    def missing(self, path: bytes, identity: Identity) -> None:
        """The file could not be found: gone, or another one by now, or not to be seen."""
        self.settler.postpone(path, identity, Incomplete("it cannot be found"), self._clock.monotonic())
        self.look_at([path], thorough=True)

    def recovered(self, store: str) -> None:
        """The store takes copies again, and some were passed over."""
        self.rescan(f"{store} takes copies again")

    # --- what is due ---

    def _advance(self) -> None:
        now = self._clock.monotonic()
        for waiting in self.settler.overdue(now):
            self._recorder.log.warning(
                "artifact.waiting",
                source=printable(waiting.path),
                size=waiting.size,
                reason=waiting.reason,
                waited_seconds=round(waiting.seconds, 3),
            )
        self._retry(now)
        if self.scan is not None and self._may_scan(now):
            self._scan_on(self.scan)
        if (room := self.pipeline.room(now)) > 0:
            self.pipeline.carry(self.settler.settled(now, room))

    def _may_scan(self, now: float) -> bool:
        return self.scanning and len(self.settler) < _WAITED_FOR and self.pipeline.room(now) > 0

    def _pause(self, longest: float) -> float:
        """Seconds until there is something to do, unless something comes in before."""
        now = self._clock.monotonic()
        if self._may_scan(now):
            return 0.0
        times = [now + longest]
        if self.pipeline.room(now) > 0 and (due := self.settler.next_due()) is not None:
            times.append(due)
        if (at := self.pipeline.next_try(now)) is not None:
            times.append(at)
        return max(0.0, min(times) - now)

    def _retry(self, now: float) -> None:
        """Look at the copies whose next try has come, at stores that take something."""
        if now < self._retry_look:
            return
        self._retry_look = now + _RETRY_LOOK_SECONDS
        stores = [store for store, lane in self.pipeline.lanes.items() if lane.open(now)]
        due = self._recorder.ledger.due(self._clock.now(), stores, BATCH_FILES) if stores else []
        rows = {row.artifact.path: row for row in due if row.artifact.path not in self.settler}
        if rows:
            self.look_at(rows, rows, thorough=True)

    def _scan_on(self, under: Scan) -> None:
        """Take the scan's next find."""
        match next(under.found, None):
            case scan.Seen(sightings):
                self.sight(sightings, under)
            case scan.Unobservable(path, reason):
                under.blind.add((path, reason))
                if (path, reason) not in self._blind:
                    log = self._recorder.log
                    log.warning("scan.unobservable", source=printable(path) or ".", reason=reason)
            case scan.Gone():
                pass  # a whole scan asks for no single path
            case None:
                self._scanned(under)

    def _scanned(self, under: Scan) -> None:
        under.seconds = self._clock.monotonic() - under.since
        self.last_scan = under
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
            seconds=round(under.seconds, 3),
        )
        self.missed += under.missed
        if under.missed:
            log.warning("watch.missed", count=under.missed)
            self.on_missed(under.missed)
        if self._scan_again is not None:
            reason, self._scan_again = self._scan_again, None
            self.rescan(reason)
