"""The daemon: a mirror beside a watcher, until it is told to stop. The only file that knows the order."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from artifactd import evidence
from artifactd.artifact import printable
from artifactd.config import Config
from artifactd.control import Request, Server
from artifactd.engine import Engine, engine
from artifactd.health import Phase, told
from artifactd.inotify import inotify_watches
from artifactd.listener import Unbound
from artifactd.lock import lock
from artifactd.log import Log
from artifactd.mirror import Mirror
from artifactd.monitor import Monitor, monitor
from artifactd.recorder import Stopped
from artifactd.requests import hint, relative
from artifactd.schema import Damaged
from artifactd.stopping import Stopping
from artifactd.times import Clock
from artifactd.vitals import Vitals, scan_pause
from artifactd.watch import Appeared, Doubt, Hint, Touched, Watch

SYSTEM: Final = Clock(time.monotonic, time.time, random.random)
"""The real clocks, and real chance: it spreads retries and guards no secret."""

_TURN_SECONDS: Final = 1.0
"""The longest the daemon sleeps: how late it can be to notice that its watcher is deaf."""

_DRAIN_SECONDS: Final = 20.0
"""For what is in flight at the end. Before they kill, systemd waits 90 seconds and Kubernetes 30."""

_ANCHOR_SECONDS: Final = 3600.0
_HINTS_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    reason: str
    in_flight: int
    """files whose copy was abandoned; the next run repeats them"""


@contextmanager
def signals(stopping: Stopping, stop: Any) -> Iterator[None]:  # noqa: ANN401 - a callable that takes the signal's name
    """SIGTERM and SIGINT set `stopping` and call `stop`, for the length of the block. Main thread only."""

    def told(number: int, _frame: object) -> None:
        stopping.set()
        stop(signal.Signals(number).name)

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(config: Config, log: Log, clock: Clock = SYSTEM) -> Ended:
    """Export until SIGTERM or SIGINT.

    Raises:
        InUse, Newer, Unwritable: see `engine`. Nothing was exported.
        Unbound: see `monitor`. Nothing was exported.
    """
    stopping = Stopping()
    evidence.prepare()
    try:
        with monitor(config, clock) as watched:
            return (
                _run(config, log, clock, stopping, watched)
                if config.enabled
                else _disabled(log, stopping, watched)
            )
    except Unbound:
        with lock(config.state_directory):  # most likely a daemon on this state has the address: it says so
            raise


def _run(config: Config, log: Log, clock: Clock, stopping: Stopping, watched: Monitor) -> Ended:
    while True:
        watched.phase(Phase.STARTING)
        try:
            with engine(config, log, clock, stopping, eager=False) as set_up:
                return _Daemon(set_up, watched).run()
        except Damaged as error:
            # The engine sets the ledger aside when it opens it again. It is a loop only if the disk is dying.
            log.error("ledger.damaged", reason=str(error))  # noqa: TRY400 - it says all there is
        except Stopped:
            return Ended("the record could not be written", 0)


def _disabled(log: Log, stopping: Stopping, watched: Monitor) -> Ended:
    watched.phase(Phase.DISABLED)
    log.warning("daemon.disabled", reason="enable_artifacts_upload is false: nothing is exported")
    reasons: list[str] = []
    with signals(stopping, reasons.append):
        while not stopping.wait(_TURN_SECONDS if watched.listens else 3600.0):
            watched.turned()
    return Ended(reasons[0], 0)


@dataclass(slots=True)
class _Hints:
    """What the watcher says, gathered until the mirror has time for it. Called from the watcher's threads."""

    daemon: "_Daemon"
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _touched: dict[bytes, bool] = field(default_factory=dict)
    _appeared: dict[bytes, None] = field(default_factory=dict)
    _doubts: list[str] = field(default_factory=list)
    _told: bool = False

    def __call__(self, told: Hint) -> None:
        with self._lock:
            match told:
                case _ if len(self._touched) + len(self._appeared) > _HINTS_AT_ONCE:
                    self._doubts.append("more hints than there is room for")
                    self._touched.clear()
                    self._appeared.clear()
                case Touched(path, closed):
                    self._touched[path] = closed or self._touched.get(path, False)
                case Appeared(path):
                    self._appeared[path] = None
                case Doubt(reason):
                    self._doubts.append(reason)
            if not self._told:
                self._told = True
                self.daemon.engine.mirror.inbox.put(self._act)

    def _act(self) -> None:
        with self._lock:
            touched, appeared, doubts = self._touched, self._appeared, self._doubts
            self._touched, self._appeared, self._doubts, self._told = {}, {}, [], False
        mirror = self.daemon.engine.mirror
        for folder in appeared:
            mirror.appeared(folder)
        if touched:
            mirror.touched(touched)
        for reason in dict.fromkeys(doubts):
            self.daemon.engine.log.warning("watch.doubted", reason=reason)
            mirror.rescan("doubt")


class _Daemon:
    """One run of the daemon on a set-up engine."""

    def __init__(self, set_up: Engine, watched: Monitor) -> None:
        self.engine, self._monitor = set_up, watched
        self._mirror: Mirror = set_up.mirror
        self._clock = set_up.clock
        self._reason: str | None = None
        self._anchored = set_up.clock.monotonic()
        heartbeat = set_up.config.state_directory / "heartbeat"
        shutil.rmtree(heartbeat, ignore_errors=True)  # a killed daemon's
        heartbeat.mkdir()
        self._watch = Watch(
            set_up.config.data_directory,
            _Hints(self),
            ignored=_exports_inside(set_up.config),
            private=heartbeat,
        )
        self._mirror.on_missed = lambda count: self._watch.doubt(f"{count} new files were not told of")
        self._vitals = Vitals(set_up, self._watch)
        watched.follow(set_up)
        set_up.recorder.on_wait = lambda: watched.waits(set_up.recorder.unwritable)

    def run(self) -> Ended:
        """Watch, scan, take turns, until told to stop; then finish what is in flight."""
        began = self._clock.monotonic()
        with signals(self.engine.recorder.stopping, self._stop):
            self._watch.start()
            self._mirror.watching_since = self._clock.now()
            self.engine.log.info(
                "watch.started", watches=inotify_watches(), seconds=round(self._clock.monotonic() - began, 3)
            )
            server = Server(self.engine.config.state_directory, self._asked)
            try:
                self._mirror.begin()
                self._started(began)
                self._monitor.phase(Phase.RUNNING)
                while self._reason is None:
                    self._mirror.turn(_TURN_SECONDS)
                    self._tend()
                    self._monitor.turned(self._vitals)
                self._monitor.phase(Phase.STOPPING)
            finally:
                server.close()
                self._watch.stop()
            self._mirror.drain(_DRAIN_SECONDS)
            self.engine.anchor()
        return Ended(self._reason, self._mirror.pipeline.in_flight)

    def _stop(self, reason: str) -> None:
        """Called by a signal: SimpleQueue.put is safe there, a log line is not."""
        self._mirror.inbox.put(partial(setattr, self, "_reason", reason))

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

    def _asked(self, request: Request) -> None:
        """From the server's threads: all but whether the mirror's goes on is answered in that."""
        if request.action == "status" and request.trusted:
            facts, now, _ = self._monitor.now()
            request.answer({"final": True, "ok": True, **told(facts, now)})
            return
        self._mirror.inbox.put(partial(self._answer, request))

    def _answer(self, request: Request) -> None:
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


def _exports_inside(config: Config) -> frozenset[bytes]:
    """Destinations inside the data directory, relative to it: nothing that happens there is news."""
    directories = (getattr(destination, "directory", None) for destination in config.destinations)
    inside = (os.path.relpath(os.path.realpath(path), config.data_directory) for path in directories if path)
    return frozenset(os.fsencode(path) for path in inside if path != "." and not path.startswith(".."))
