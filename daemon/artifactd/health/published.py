"""What the main thread publishes, and what is answered from it to who asks over HTTP."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from artifactd.clock import Clock
from artifactd.config.effective import Config
from artifactd.health.host import ours
from artifactd.health.http import Listener, Page
from artifactd.health.verdict import Facts, Phase, hung, report
from artifactd.mirror.engine import Engine

if TYPE_CHECKING:
    from artifactd.health.metrics import Metrics

_FRESH_SECONDS: Final = 1.0
"""How old what is shown may be, the heartbeat aside."""


class Source(Protocol):
    """Where the facts come from."""

    def facts(self, phase: Phase) -> Facts:
        """All of them, now."""


class Published:
    """The last published facts. The main thread publishes; any thread may look.

    What is published is frozen and replaced as a whole, so that looking needs no lock.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._metrics: Metrics | None = None
        self.adopt(config)

    # --- the main thread ---

    def adopt(self, config: Config) -> None:
        """The daemon starts, or starts again, with this configuration."""
        now = self._clock.monotonic()
        self._facts = Facts(Phase.STARTING, now, config.digest, config.health.max_pending_seconds)
        self._hosts = (socket.gethostname(), *config.health.hosts)
        self._gathered = float("-inf")

    def follow(self, engine: Engine) -> None:
        """Measure what this engine puts on record from now on, where somebody may ask for that."""
        if self._metrics is not None:
            self._metrics.expect(engine.stores)
            engine.recorder.listeners.append(self._metrics.heard)

    def phase(self, phase: Phase) -> None:
        """The daemon goes over to this phase."""
        self._facts = replace(self._facts, phase=phase, turned=self._clock.monotonic(), doing="")

    def works(self, doing: str) -> None:
        """A start that takes long goes on, and is at this. Called as often as it does."""
        self._facts = replace(self._facts, turned=self._clock.monotonic(), doing=doing)

    def turned(self, source: Source | None = None) -> None:
        """The main loop went on. The facts are gathered where it is a second since they were.

        Raises:
            Damaged: the ledger is.
        """
        now = self._clock.monotonic()
        if source is not None and now >= self._gathered + _FRESH_SECONDS:
            self._facts = source.facts(self._facts.phase)
            self._gathered = now
        else:
            self._facts = replace(self._facts, turned=now)

    def waits(self, reason: str) -> None:
        """The main loop goes on once the record can be written, which it cannot for this reason."""
        record = replace(self._facts.record, unwritable=reason)
        self._facts = replace(self._facts, turned=self._clock.monotonic(), record=record)

    # --- any thread ---

    def now(self) -> tuple[Facts, float, float]:
        """The facts, and the time in monotonic seconds and in seconds since the epoch."""
        return self._facts, self._clock.monotonic(), self._clock.now()

    def knows(self, host: str) -> bool:
        """Whether a request's Host is this daemon's."""
        return ours(host, self._hosts)

    def health(self) -> Page:
        """/healthz: whether the main loop goes on."""
        facts, now, _ = self.now()
        trouble = hung(facts, now)
        said = {
            "live": trouble is None,
            "phase": facts.phase.value,
            "reasons": [trouble.fields()] if trouble else [],
        }
        return _json(said, well=trouble is None)

    def readiness(self) -> Page:
        """/readyz: whether artifacts get to their stores in time, and everything that it follows from."""
        facts, now, _ = self.now()
        said = report(facts, now)
        return _json(said, well=said["ready"])

    def pages(self) -> Mapping[str, Callable[[], Page]]:
        """What is answered at which path. From now on everything is measured."""
        from artifactd.health.metrics import CONTENT_TYPE, Metrics  # noqa: PLC0415 - and its library: not for who wants none

        measured = self._metrics = Metrics(self.now)
        return {
            "/healthz": self.health,
            "/readyz": self.readiness,
            "/metrics": lambda: Page(HTTPStatus.OK, measured.text(), CONTENT_TYPE),
        }


def _json(said: Mapping[str, Any], *, well: bool) -> Page:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(status, json.dumps(said).encode("ascii") + b"\n", "application/json")


@contextmanager
def listening(published: Published, config: Config, clock: Clock) -> Iterator[None]:
    """For the length of the block, answer at the address that is configured, if any is.

    Raises:
        Unbound: nobody can be listened to there.
    """
    if config.health.listen is None:
        yield
        return
    pages = published.pages()
    listener = Listener(
        config.health.listen,
        lambda path: pages[path]() if path in pages else None,
        clock.monotonic,
        published.knows,
    )
    try:
        yield
    finally:
        listener.close()
