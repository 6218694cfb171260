"""The daemon with one configuration: a mirror beside a watcher. The only file that knows their order."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Self

from artifactd.discovery import exports
from artifactd.discovery.watch import Watch
from artifactd.health.gathered import Gathered, scan_pause
from artifactd.ledger.place import unusable
from artifactd.ledger.schema import Unwritable
from artifactd.linux.inotify import inotify_watches
from artifactd.mirror.by_hand import Unanswered
from artifactd.mirror.engine import Engine
from artifactd.mirror.hints import Hints
from artifactd.mirror.mirror import Mirror

_ANCHOR_SECONDS: Final = 3600.0

_LOOK_SECONDS: Final = 1.0
"""From one look whether the ledger lies at its place to the next."""

_CHECKED_AT_ONCE: Final = 64
"""Rows of the ledger, or entries of its record: 2 to 3 ms."""

_CHECK_SECONDS: Final = 0.05
"""From one of these to the next: a million copies with their entries are checked in 40 minutes."""

_CHECK_AGAIN_SECONDS: Final = 86_400.0


class Daemon:
    """A mirror beside a watcher, on a set-up engine. As a context it watches.

    Making one raises `Unwritable` where the state directory cannot be written.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._mirror: Mirror = engine.mirror
        self._clock = engine.clock
        self._began = self._anchored = self._check_at = self._look_at = engine.clock.monotonic()
        heartbeat = engine.config.state_directory / "heartbeat"
        shutil.rmtree(heartbeat, ignore_errors=True)  # a killed daemon's
        try:
            heartbeat.mkdir()
        except OSError as error:
            raise Unwritable(unusable(heartbeat.parent, error)) from error
        self._hints = Hints(engine.mirror, engine.log)
        self.watch = Watch(
            engine.config.data_directory,
            self._hints,
            ignored=exports.inside(engine.config),
            private=heartbeat,
        )
        self.gathered = Gathered(engine, self.watch)
        self._mirror.listen(missed=self._doubt, hears=self.watch.hears)

    def __enter__(self) -> Self:
        self.watch.start()
        self._mirror.expect_events(self._clock.now())
        seconds = round(self._clock.monotonic() - self._began, 3)
        self.engine.log.info("watch.started", watches=inotify_watches(), seconds=seconds)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.watch.stop()
        self._hints.close()

    def begin(self, pending: Iterable[Unanswered]) -> None:
        """Begin to export. `pending` was asked of the daemon before this one."""
        self._mirror.begin()
        self.engine.by_hand.take_over(pending)
        self._started(self._began)

    def turn(self, longest: float) -> float:
        """Do what there is to do, then wait for what comes in, at most `longest` seconds.

        Returns how many seconds it took without the waiting.

        Raises:
            Stopped, Damaged: see `Mirror.turn`.
        """
        if not self._mirror.busy:
            longest = min(longest, max(0.0, self._check_at - self._clock.monotonic()))
        seconds = self._mirror.turn(longest)
        began = self._clock.monotonic()
        self._tend()
        return seconds + self._clock.monotonic() - began

    def _doubt(self, missed: int) -> None:
        self.watch.doubt(f"{missed} new files were not told of")

    def status(self) -> str:
        """How it goes, in a sentence."""
        mirror = self._mirror
        stores = (one for one in mirror.stores() if one.out_since is not None)
        out = [f"{one.store} is out: {one.reason}" for one in stores]
        counts = (
            f"{mirror.in_flight} files in flight, {mirror.waiting_files} waiting"
            if mirror.waiting_files or mirror.in_flight
            else "everything seen is dealt with"
        )
        return "; ".join((counts, *out))

    def _started(self, began: float) -> None:
        config = self.engine.config
        self.engine.log.info(
            "daemon.started",
            config_digest=config.digest,
            data_directory=str(config.data_directory),
            state_directory=str(config.state_directory),
            stores=", ".join(self.engine.stores),
            seconds=round(self._clock.monotonic() - began, 3),
        )

    def _tend(self) -> None:
        """What the time brings: the watcher's proofs, the timer's scan, an anchor, looks at the ledger."""
        now = self._clock.monotonic()
        self.watch.check(now)
        if not self.watch.healthy:  # known already: what it did not hear is no sign that it is deaf
            self._mirror.expect_events(self._clock.now())
        if (last := self._mirror.scan) is not None:
            every = self.engine.config.watch.rescan_seconds
            if last.seconds is None:
                self._mirror.refresh(scan_pause(every, last.refreshing))
            elif now - (last.since + last.seconds) >= scan_pause(every, last.spent):
                self._mirror.rescan("timer")
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self.engine.recorder.look()
        if now - self._anchored >= _ANCHOR_SECONDS:
            self._anchored = now
            self.engine.anchor()
        if now >= self._check_at and not self._mirror.busy:
            self._check_on(now)

    def _check_on(self, now: float) -> None:
        """Check a little more of the ledger: the whole of it after the start, then once a day."""
        self._check_at = now + _CHECK_AGAIN_SECONDS
        with suppress(Unwritable):  # it cannot be read now, and that is told where it is needed
            if not self.engine.ledger.check_on(_CHECKED_AT_ONCE):
                self._check_at = now + _CHECK_SECONDS
