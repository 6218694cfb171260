"""The daemon with one configuration: a mirror beside a watcher. The only file that knows their order."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from artifactd.artifact import printable
from artifactd.clock import Clock
from artifactd.discovery import exports
from artifactd.discovery.watch import Watch
from artifactd.health.gathered import Gathered, scan_pause
from artifactd.linux.inotify import inotify_watches
from artifactd.mirror.by_hand import Pending, hint, relative
from artifactd.mirror.engine import Engine
from artifactd.mirror.hints import Hints
from artifactd.mirror.mirror import Mirror
from artifactd.service.control import Request
from artifactd.stopping import Stopping

SYSTEM: Final = Clock(time.monotonic, time.time, random.random)
"""The real clocks, and real chance: it spreads retries and guards no secret."""

_ANCHOR_SECONDS: Final = 3600.0


@contextmanager
def signals(
    stopping: Stopping, stop: Callable[[str], object], hang_up: Callable[[], object] | None = None
) -> Iterator[None]:
    """SIGTERM and SIGINT set `stopping` and call `stop` with the signal's name, for the length of the block.

    SIGHUP calls `hang_up` where there is one. Main thread only.
    """

    def told(number: int, _frame: object) -> None:
        stopping.set()
        stop(signal.Signals(number).name)

    handlers: dict[int, Callable[[int, object], object]] = {signal.SIGTERM: told, signal.SIGINT: told}
    if hang_up is not None:
        handlers[signal.SIGHUP] = lambda _number, _frame: hang_up()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Daemon:
    """A mirror beside a watcher, on a set-up engine. As a context it watches."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._mirror: Mirror = engine.mirror
        self._clock = engine.clock
        self._began = self._anchored = engine.clock.monotonic()
        heartbeat = engine.config.state_directory / "heartbeat"
        shutil.rmtree(heartbeat, ignore_errors=True)  # a killed daemon's
        heartbeat.mkdir()
        self._hints = Hints(engine.mirror, engine.log)
        self._watch = Watch(
            engine.config.data_directory,
            self._hints,
            ignored=exports.inside(engine.config),
            private=heartbeat,
        )
        self.gathered = Gathered(engine, self._watch)
        self._mirror.on_missed = lambda count: self._watch.doubt(f"{count} new files were not told of")

    def __enter__(self) -> Self:
        self._watch.start()
        self._mirror.watching_since = self._clock.now()
        seconds = round(self._clock.monotonic() - self._began, 3)
        self.engine.log.info("watch.started", watches=inotify_watches(), seconds=seconds)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._watch.stop()
        self._hints.close()

    def begin(self, pending: Iterable[Pending]) -> None:
        """Begin to export. `pending` was asked of the daemon before this one."""
        self._mirror.begin()
        self.engine.by_hand.take_over(pending)
        self._started(self._began)

    def turn(self, longest: float) -> None:
        """Do what there is to do, then wait for what comes in, at most `longest` seconds.

        Raises:
            Stopped, Damaged: see `Mirror.turn`.
        """
        self._mirror.turn(longest)
        self._tend()

    def status(self) -> str:
        """How it goes, in a sentence."""
        pipeline = self._mirror.pipeline
        out = [
            f"{lane.store} is out: {lane.reason}"
            for lane in pipeline.lanes.values()
            if lane.out_since is not None
        ]
        waiting = len(self._mirror.settler)
        counts = (
            f"{pipeline.in_flight} files in flight, {waiting} waiting"
            if waiting
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
        """What the time brings: the watcher's proofs, the scan on the timer, an anchor."""
        now = self._clock.monotonic()
        self._watch.check(now)
        last = self._mirror.scan
        if last is not None and last.seconds is not None:
            pause = scan_pause(self.engine.config.watch.rescan_seconds, last.seconds)
            if now - (last.since + last.seconds) >= pause:
                self._mirror.rescan("timer")
        if now - self._anchored >= _ANCHOR_SECONDS and not self._mirror.busy:
            self._anchored = now
            self.engine.anchor()

    # --- what commands ask ---

    def answer(self, request: Request) -> None:
        """Answer a command. In the mirror's thread."""
        fields = request.fields
        match request.action:
            case "hint":
                experiment_id = os.fsencode(str(fields.get("experiment", "")))
                root = self.engine.config.data_directory
                found = hint(self._mirror, self.engine.recorder, root, experiment_id, request.principal)
                request.answer({"final": True, "ok": found is not None, "artifacts": found})
            case _ if not request.trusted:
                reason = f"{request.principal} may hint, and ask for nothing else"
                request.answer({"final": True, "ok": False, "reason": reason})
            case "export":
                path = relative(self.engine.config.data_directory, str(fields.get("path", "")))
                name = fields.get("name")
                self.engine.by_hand.ask(
                    path or b"", name if name is None else str(name), request.principal, request.answer
                )
            case "waiting":
                request.answer({"final": True, "ok": True, **self._waiting()})
            case unknown:
                request.answer({"final": True, "ok": False, "reason": f"this daemon cannot {unknown!r}"})

    def _waiting(self) -> Mapping[str, Any]:
        lanes = self._mirror.pipeline.lanes.values()
        return {
            "waiting": [
                {
                    "path": os.fsdecode(one.path),
                    "source": printable(one.path),
                    "size": one.size,
                    "reason": one.reason,
                    "waited_seconds": round(one.seconds, 1),
                    "overdue": one.overdue,
                }
                for one in self._mirror.waiting()
            ],
            "out": {lane.store: lane.reason for lane in lanes if lane.out_since is not None},
            "watcher": self._watch.reason,
        }
