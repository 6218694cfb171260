"""What outlives a configuration: the state's lock, the control socket, signals, words to the service manager.

A `Daemon` exports with one configuration. This serves one after the other in the same process, until it is
told to stop.
"""

import gc
import os
import queue
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from artifactd.artifact import printable
from artifactd.clock import Clock
from artifactd.config.effective import Config
from artifactd.decisions.rate import Rate
from artifactd.discovery import evidence
from artifactd.health.published import Published, listening
from artifactd.health.verdict import Phase, report
from artifactd.ledger.lock import lock
from artifactd.ledger.schema import Damaged
from artifactd.log.lines import Log
from artifactd.mirror.answers import DISABLED, Answer, final
from artifactd.mirror.by_hand import Place, Unanswered
from artifactd.mirror.engine import Engine, open_engine_locked
from artifactd.mirror.pipeline import Inbox
from artifactd.mirror.recorder import Stopped
from artifactd.service.control import Request, Server
from artifactd.service.daemon import Daemon
from artifactd.service.lookup import Lookup
from artifactd.service.reload import Asked, Reload
from artifactd.service.requests import answer
from artifactd.service.systemd_notify import ServiceManager
from artifactd.stopping import Stopping, signals

_TURN_SECONDS: Final = 1.0
"""The longest the daemon sleeps: how late it can be to notice that its watcher is deaf."""

_DRAIN_SECONDS: Final = 20.0
"""For what is in flight at the end. Before they kill, systemd waits 90 seconds and Kubernetes 30."""

_IDLE_SECONDS: Final = 5.0
"""A signal that comes just as the daemon falls asleep does not wake it, and is heard when it next wakes."""

_LED_ELSEWHERE: Final = "the link data_directory"
"""Who asks for the configuration where that points elsewhere."""

_LOOK_SECONDS: Final = 1.0
_ASK_AGAIN_SECONDS: Final = 300.0
"""From one look at where the data directory's name leads to the next; from a refusal to the next try."""

_MIGRATES: Final = "the ledger is brought to a newer schema: minutes for a million copies"

_HINTS_A_SECOND: Final = 10.0
_HINTS_AT_ONCE: Final = 100
"""Of each account; and whatever else those ask for that may only hint. Driverless AI's hooks are five for an
experiment, so that twenty of them may end at once."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    reason: str
    in_flight: int
    """files whose copy was abandoned; the next run repeats them"""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration and its log come from, at a start and at each reload."""

    load: Callable[[], Config]
    """raises ConfigError"""
    log: Callable[[Config], Log]


class Service:
    """A running artifactd."""

    def __init__(self, config: Config, sources: Sources, manager: ServiceManager, clock: Clock) -> None:
        self._config, self._sources, self._manager, self._clock = config, sources, manager, clock
        self.log = sources.log(config)
        self._inbox: Inbox = queue.SimpleQueue()
        self._lookup = Lookup(self._found)
        self._rate = Rate(_HINTS_A_SECOND, _HINTS_AT_ONCE)
        self._stopping = Stopping()
        self._reason: str | None = None
        self._reload = self._examiner()
        self._published = Published(config, clock)
        self._daemon: Daemon | None = None
        self._asked: tuple[Asked, str] | None = None
        """who asked for the present configuration, until it is in force, and the digest of the one before"""
        self._pending: list[Unanswered] = []
        self._look_at = self._ask_at = 0.0
        self._state, self._server = ExitStack(), ExitStack()
        self._held = self._listens = False

    def run(self) -> Ended:
        """Serve until SIGTERM or SIGINT; look at the configuration again on SIGHUP and when asked to.

        Raises:
            InUse, Newer, Unwritable: see `open_engine`. Nothing was exported.
            Unbound: see `listening`. Nothing was exported.
        """
        evidence.prepare()
        in_flight = 0
        with signals(self._stopping, self._stop, self._hang_up), self._state, self._server:
            while self._reason is None:
                in_flight = self._export() if self._config.enabled else self._idle()
        self.log.info("daemon.stopped", reason=self._reason, in_flight=in_flight)
        return Ended(self._reason, in_flight)

    # --- one configuration ---

    def _export(self) -> int:
        """Export with the present configuration. Returns how many files are abandoned in flight."""
        self._hold()
        self._listen()
        self._published.phase(Phase.STARTING)
        try:
            with open_engine_locked(
                self._config,
                self.log,
                self._clock,
                self._stopping,
                eager=False,
                inbox=self._inbox,
                working=self._migrates,
            ) as engine:
                return self._exported(engine)
        except Damaged:  # the engine has set the ledger aside: a loop only if the disk is dying
            self._reload.forget("the ledger was damaged and is set aside: reload again")
        except Stopped:
            self._reason = "the record could not be written"
        finally:
            self._daemon = None
        return 0

    def _exported(self, engine: Engine) -> int:
        engine.recorder.on_wait = partial(self._waits, engine)
        self._published.follow(engine)
        self._reload = self._examiner(engine)
        asked = None
        with Daemon(engine) as self._daemon:
            self._daemon.begin(self._pending)
            self._published.phase(Phase.RUNNING)
            self._in_force(self._daemon.status())
            _leave_to_itself()
            while self._reason is None and asked is None:
                waited = engine.recorder.waited
                seconds = self._daemon.turn(_TURN_SECONDS) - (engine.recorder.waited - waited)
                began = self._clock.monotonic()
                self._manager.alive()
                self._follow(self._daemon, began)
                self._published.turned(self._daemon.gathered)
                self._manager.status(self._daemon.status())
                engine.mirror.hold(closing=self._reload.asked is not None)
                asked = self._due(engine.mirror.in_flight + engine.mirror.anchoring)
                now = self._clock.monotonic()
                self._daemon.gathered.turns.took(seconds + now - began, now)
            if self._reason is not None:
                self._leave()
        if asked is not None:
            self._adopt(asked)
            self._pending = engine.by_hand.hand_over()
        else:
            engine.anchor()
            engine.mirror.drain(_DRAIN_SECONDS)
        return engine.mirror.in_flight

    def _migrates(self) -> None:
        """The ledger is migrated to a newer schema, and that goes on."""
        self._manager.working()
        self._manager.status(_MIGRATES)
        self._published.works(_MIGRATES)

    def _waits(self, engine: Engine) -> None:
        """The record cannot be written, and everything waits for it."""
        self._manager.alive()
        self._published.waits(engine.recorder.unwritable)

    def _idle(self) -> int:
        """Export nothing, as the configuration has it. A state that is not there yet is not made."""
        if self._config.state_directory.exists():
            self._hold()
        self._listen()
        self._published.phase(Phase.DISABLED)
        self.log.warning("daemon.disabled", reason=DISABLED)
        self._reload = self._examiner()
        for one in self._pending:
            one.refuse(DISABLED)
        self._in_force(DISABLED)
        asked = None
        while self._reason is None and asked is None:
            with suppress(queue.Empty):
                self._inbox.get(timeout=self._pause())()
            self._manager.alive()
            self._published.turned()
            asked = self._due(0)
        if asked is not None:
            self._adopt(asked)
        else:
            self._leave()
        return 0

    def _pause(self) -> float:
        """Seconds that an idle daemon may sleep: whoever watches its heartbeat has to hear one."""
        if self._config.health.listen or not self._reload.idle:
            return _TURN_SECONDS
        return self._manager.interval or _IDLE_SECONDS

    def _listen(self) -> None:
        """Answer how it is, from now to the end."""
        if not self._listens:
            self._state.enter_context(listening(self._published, self._config, self._clock))
            self._listens = True

    def _hold(self) -> None:
        """Hold the state's lock and listen on its socket, from now to the end."""
        if not self._held:
            self._state.enter_context(lock(self._config.state_directory))
            self._server.callback(Server(self._config.state_directory, self._receive).close)
            self._held = True

    def _leave(self) -> None:
        """Take no more requests: what is in flight is the last."""
        self._manager.stopping("finishing what is in flight")
        self._published.phase(Phase.STOPPING)
        self._server.close()
        self._reload.forget("the daemon stops; its next start reads the configuration")

    # --- another configuration ---

    def _examiner(self, engine: Engine | None = None) -> Reload:
        """What looks at configurations that may follow the present one. Only an engine has a record."""
        return Reload(
            self._sources.load,
            self._config,
            self.log,
            self._clock,
            inbox=self._inbox,
            in_flight=self._in_flight,
            note=(lambda _fields: None) if engine is None else engine.recorder.note,
        )

    def _examine(self, principal: str, answer: Answer) -> None:
        self._manager.reloading()
        self._reload.ask(principal, answer)

    def _follow(self, daemon: Daemon, now: float) -> None:
        """Where the data directory is a link that points elsewhere by now, take the configuration anew."""
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        leads = Path(os.path.realpath(self._config.named))
        before, elsewhere = (
            daemon.gathered.elsewhere,
            "" if leads == self._config.data_directory else str(leads),
        )
        daemon.gathered.elsewhere = elsewhere
        if elsewhere and (elsewhere != before or now >= self._ask_at):
            self._ask_at = now + _ASK_AGAIN_SECONDS
            self._examine(_LED_ELSEWHERE, lambda _fields: None)

    def _in_flight(self) -> int:
        return 0 if self._daemon is None else self._daemon.engine.mirror.in_flight

    def _due(self, in_flight: int) -> Asked | None:
        asked = self._reload.due(in_flight)
        if self._reload.idle:
            self._manager.unchanged()
        return asked

    def _adopt(self, asked: Asked) -> None:
        self._asked, self._config = (asked, self._config.digest), asked.config
        self.log = self._sources.log(asked.config)
        self._published.adopt(asked.config)

    def _in_force(self, status: str) -> None:
        """The present configuration works."""
        if self._asked is not None:
            asked, before = self._asked
            asked.taken(before, self.log, self._clock.monotonic())
            self._asked, self._pending = None, []
        self._manager.ready(status)

    # --- what comes in: signals, and the server's threads ---

    def _stop(self, reason: str) -> None:
        """Called by a signal: SimpleQueue.put is safe there, a log line is not."""
        self._inbox.put(partial(setattr, self, "_reason", reason))

    def _hang_up(self) -> None:
        """As `_stop`."""
        self._inbox.put(partial(self._examine, "signal SIGHUP", lambda _fields: None))

    def _receive(self, request: Request) -> None:
        """From the server's thread: all but whether the mirror's goes on is answered in that."""
        if request.action == "status" and request.trusted:
            facts, now, _ = self._published.now()
            burdens = [{"folder": printable(one.folder), "reason": one.reason} for one in facts.burdens]
            request.answer(final(ok=True, **report(facts, now), burdens=burdens))
        elif request.action == "reload" and request.trusted and (unwritable := self._unwritable()):
            reason = f"{unwritable}. Nothing goes on before that is mended; then reload again"
            request.answer(final(ok=False, reason=reason))
        elif self._too_often(request):
            reason = f"{request.principal} asks too often: {_HINTS_A_SECOND:g} a second are answered"
            request.answer(final(ok=False, reason=reason))
        elif request.action == "hint":
            self._lookup.ask(self._config.data_directory, request)
        else:
            self._inbox.put(partial(self._answer, request))

    def _unwritable(self) -> str:
        """Why the main thread waits for the record and would take no reload; empty: it does not."""
        facts, _, _ = self._published.now()
        return facts.record.unwritable

    def _too_often(self, request: Request) -> bool:
        """Whether it costs more than its account may. Nobody depends on a hint: a scan finds everything."""
        counts = request.action == "hint" or not request.trusted
        return counts and not self._rate.takes(request.principal, self._clock.monotonic())

    def _found(self, request: Request, folders: Sequence[Place]) -> None:
        """From the thread that looks hints up."""
        self._inbox.put(partial(self._answer, request, folders))

    def _answer(self, request: Request, folders: Sequence[Place] = ()) -> None:
        if request.action == "reload" and request.trusted:
            self._examine(request.principal, request.answer)
        elif self._daemon is not None:
            answer(request, self._daemon.engine, self._daemon.watch, folders)
        else:
            request.answer(final(ok=False, reason=DISABLED))


def _leave_to_itself() -> None:
    """Have Python's garbage collector pass over all that is there by now.

    A look at everything is a turn of its own: 30 to 45 ms with 10,000 files waited for, two thirds of it for
    what stays to the end, modules most of all.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
