"""What follows from files that were seen: which are waited for, what is news to the record, what is gone."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from artifactd.artifact import Sighting, printable
from artifactd.clock import Clock
from artifactd.config.effective import Config
from artifactd.decisions.allowance import Versions
from artifactd.decisions.assessment import Assessment, assess
from artifactd.decisions.lifecycle import Change, Row
from artifactd.decisions.plan import Moment, freed, gone
from artifactd.decisions.policy import LeftAlone, Wanted
from artifactd.decisions.settle import Settler
from artifactd.decisions.shares import nobody
from artifactd.discovery import scan
from artifactd.discovery.scan import Unobservable
from artifactd.mirror.known import Known
from artifactd.mirror.pipeline import Pipeline
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.scanning import BLIND, Scan
from artifactd.mirror.wanted import Selection


class Sightings:
    """Is shown every file that anybody looks at. In the mirror's thread."""

    def __init__(  # noqa: PLR0917 - one of each, and each of a type of its own
        self,
        config: Config,
        selection: Selection,
        settler: Settler,
        pipeline: Pipeline,
        recorder: Recorder,
        clock: Clock,
        versions: Versions,
        moment: Callable[[], Moment],
    ) -> None:
        self.on_found: Callable[[Sighting], None] = lambda _sighting: None
        self.on_missed: Callable[[int], None] = lambda _count: None
        self.hears: Callable[[bytes], bool] = lambda _path: True
        """whether events tell of the file at a path, where they tell of any"""
        self.held_back: Callable[[str], bool] = nobody
        """whether this user's files have to wait, however many there are"""
        self.events_since: float | None = None
        """seconds since the epoch from which events should tell of each new file; None: nobody listens"""
        self.missed = 0
        """files that scans found and events should have told of, so far"""
        self._known = Known()
        self._trees: set[int] = set()  # devices with a file that is as it is on record: the disk is mounted
        self._blind: set[tuple[bytes, str]] = set()  # as the last scan found it, and told it
        self._config, self._selection, self._settler, self._pipeline = config, selection, settler, pipeline
        self._recorder, self._clock, self._versions = recorder, clock, versions
        self._moment = moment

    # --- as the visitor of a scan ---

    def look_at(self, paths: Mapping[bytes, bool]) -> None:
        """As `Mirror.touched`, at once."""
        self.look_into(paths)
        for path, closed in paths.items():
            if closed:
                self._settler.closed(path, self._clock.monotonic())

    def sight(self, sightings: Sequence[Sighting], under: Scan | None, *, hinted: bool = False) -> int:
        """These files are there. Returns how many of them are waited for."""
        if under is not None:
            under.files += len(sightings)
            sightings = [one for one in sightings if not self._counted(one, under)]
        self._follow(sightings, under)
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
        """Whether more of this user's files can be looked at. Who is held back keeps no scan from its end.

        What is too much to be waited for is left to a later one.
        """
        return self._settler.room(user, reserve=reserve) or self.held_back(user)

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

    # --- one by one ---

    def look_into(self, paths: Iterable[bytes], *, thorough: bool = False) -> None:
        """Look at the files at these paths. `thorough` is for `_follow`."""
        sightings: list[Sighting] = []
        with suppress(OSError), scan.root(self._config.data_directory) as root:
            for path in paths:
                match scan.sight(root, path):
                    case scan.Seen(seen) if seen:
                        sightings += seen
                    case scan.Seen() | scan.Gone():  # a directory took its place, or nothing
                        self._gone(path, os.fstat(root).st_dev)
                    case scan.Unobservable():
                        pass  # nothing follows from it
        self._follow(sightings, None, thorough=thorough)

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
                user = self._selection.owner(sighting.path)
                under.by_user[user] = under.by_user.get(user, 0) + 1
        return True

    def _follow(self, sightings: Sequence[Sighting], under: Scan | None, *, thorough: bool = False) -> None:
        """These files were seen. `thorough`: ask the ledger even for what no rule names, a look-up each."""
        subjects = [one for sighting in sightings if (one := self._selection.subject(sighting)) is not None]
        concerned = [one for one in subjects if thorough or one.on_record]
        rows = self._recorder.ledger.of_sources([one.path for one in concerned])
        under = under or Scan("", 0.0)
        moment, stores = self._moment(), tuple(self._pipeline.lanes)
        changes: list[Change] = []
        for subject in concerned:
            assessment = assess(subject, rows.get(subject.path, []), stores, moment)
            if any(row.identity == subject.identity for row in assessment.rows):
                self._trees.add(subject.identity.dev)
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
                self.overlooked()
        return needed

    def _wait_for(self, assessment: Assessment, under: Scan) -> None:
        subject, now = assessment.subject, self._clock.monotonic()
        under.new += 1
        under.missed += self._missed(subject.sighting, assessment.rows)
        if subject.path not in self._settler:
            self.on_found(subject.sighting)
        age = self._clock.now() - subject.identity.ctime_ns / 1e9
        if not self._settler.feed(subject, now, age):
            self.overlooked()
        elif not subject.asked and (until := self._versions.not_before(subject.path)) is not None:
            self._settler.hold(subject.path, until)

    def overlooked(self) -> None:
        """New files are passed over for now. That they are not waited for is no sign of a deaf watcher."""
        if self.events_since is not None:
            self.events_since = self._clock.now()

    def _missed(self, sighting: Sighting, rows: Sequence[Row]) -> bool:
        """Whether events should have told of this new file by now, and did not."""
        if rows or self.events_since is None or sighting.path in self._settler:
            return False
        changed = sighting.identity.ctime_ns / 1e9
        if not self.hears(sighting.path):
            return False
        return self.events_since < changed < self._clock.now() - self._config.watch.quiet_seconds

    def _gone(self, path: bytes, device: int) -> None:
        """Nothing is at `path` any more, in a tree on `device`.

        It says nothing of the files of another disk, which is not mounted. A device's number may have changed
        since they were seen: what shows the disk is a file on it that is as it is on record.
        """
        if self._attends_busily(path):
            return  # what is read or put of it is told first; two puts of one key must not be under way
        self._settler.forget(path)
        rows = self._recorder.ledger.of_sources([path]).get(path, [])
        here = [row for row in rows if self._of_tree(row, device)]
        again = freed(here, self.at_keys_of(here), self._moment().by_tries)
        self._recorder.record([*gone(here), *again])

    def _of_tree(self, row: Row, device: int) -> bool:
        """Whether the copy's file was in a tree on `device`."""
        return device in self._trees or row.identity is None or row.identity.dev == device

    def at_keys_of(self, rows: Iterable[Row]) -> list[Row]:
        """All that is on record at the keys of these copies."""
        keys: dict[str, set[str]] = {}
        for row in rows:
            if row.key:
                keys.setdefault(row.store, set()).add(row.key)
        found = (self._recorder.ledger.of_keys(store, list(some)) for store, some in keys.items())
        return [row for by_key in found for of_key in by_key.values() for row in of_key]

    def left(self, row: Row) -> bool:
        """Whether the file of this copy is there no more, for sure."""
        with suppress(OSError), scan.root(self._config.data_directory) as root:
            found = scan.sight(root, row.artifact.path)
            nothing = isinstance(found, scan.Gone) or found == scan.Seen(())
            return nothing and self._of_tree(row, os.fstat(root).st_dev)
        return False
