"""A configuration taken while the daemon runs. All of it is examined first; a bad one changes nothing.

What is in flight finishes with the configuration it began with, and nothing new begins meanwhile. Then the
daemon goes on with the new one as if it had just started, on the same lock, ledger and control socket.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from artifactd.clock import Clock
from artifactd.config import Config, ConfigError
from artifactd.ledger.record import Fields
from artifactd.log.log import Log
from artifactd.mirror.answers import Answer, final

PATIENCE_SECONDS: Final = 300.0
"""For what is in flight. Meanwhile nothing new is exported; after that the old configuration is kept."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A configuration that was found good, and waits to be taken."""

    config: Config
    principal: str
    answer: Answer
    since: float
    """monotonic seconds"""

    def taken(self, before: str, log: Log, now: float) -> None:
        """It is in force. `before` is the digest of the configuration before it."""
        digest = self.config.digest
        log.info(
            "config.reloaded",
            config_digest=digest,
            previous_config_digest=before,
            principal=self.principal,
            seconds=round(now - self.since, 3),
        )
        self.answer(final(ok=True, config_digest=digest, previous_config_digest=before))


class Reload:
    """Of one running configuration: what becomes of the wish to have another. For the mirror's thread only.

    `load` gives the configuration as it is now, or raises ConfigError. `note` puts an event on record.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        running: Config,
        log: Log,
        clock: Clock,
        note: Callable[[Fields], object] = lambda _fields: None,
    ) -> None:
        self._load, self._running, self.log, self._clock, self._note = load, running, log, clock, note
        self.asked: Asked | None = None
        """the configuration that waits for what is in flight"""

    def ask(self, principal: str, answer: Answer, in_flight: int) -> None:
        """Examine the configuration. A good one waits in `asked`; of a bad one every problem is told."""
        try:
            config = self._load()
        except ConfigError as error:
            self._refuse([str(problem) for problem in error.problems], None, principal, answer)
            return
        if problems := fixed(self._running, config):
            self._refuse(problems, config.digest, principal, answer)
            return
        if self.asked is not None:
            self.asked.answer(final(ok=False, reason="overtaken by a later reload"))
        self.asked = Asked(config, principal, answer, self._clock.monotonic())
        if in_flight:
            answer({"final": False, "ok": True, "reason": f"{in_flight} files in flight are finished first"})

    def due(self, in_flight: int) -> Asked | None:
        """The configuration that is to be taken now, which is on record then; None: go on."""
        asked = self.asked
        if asked is None:
            return None
        if in_flight == 0:
            self._note(self._fields("config.reloaded", "success", asked.principal, asked.config.digest))
            return asked
        if self._clock.monotonic() - asked.since > PATIENCE_SECONDS:
            self.asked = None
            reason = f"{in_flight} files are in flight for {PATIENCE_SECONDS:g} s: reload again, or restart"
            self._refuse([reason], asked.config.digest, asked.principal, asked.answer)
        return None

    def forget(self, reason: str) -> None:
        """What waits is not taken, for this reason."""
        if self.asked is not None:
            self.asked.answer(final(ok=False, reason=reason))
            self.asked = None

    def _refuse(self, problems: Sequence[str], digest: str | None, principal: str, answer: Answer) -> None:
        reason = "; ".join(problems)
        fields = self._fields("config.refused", "failure", principal, digest)
        self._note({**fields, "reason": reason})
        self.log.error(
            "config.reload_failed",
            config_digest=self._running.digest,
            refused_config_digest=digest,
            reason=reason,
            principal=principal,
        )
        answer(final(ok=False, reason=reason, problems=list(problems), config_digest=self._running.digest))

    def _fields(self, action: str, outcome: str, principal: str, digest: str | None) -> dict[str, Any]:
        """An event's. Whose configuration it was made under, the record says of every event by itself."""
        return {"action": action, "outcome": outcome, "principal": principal, "asked_config_digest": digest}


def fixed(running: Config, found: Config) -> list[str]:
    """What of `found` cannot be taken without a restart, each with the reason. Pure."""
    problems: list[str] = []
    if (old := running.state_directory) != (new := found.state_directory):
        used = f"the lock and the ledger in {old} are in use"
        problems.append(f"artifactd.state_directory: {used}; {new} needs a restart")
    if (was := running.health.listen) != (asked := found.health.listen):
        problems.append(f"health.listen: it is {was or 'not set'}; {asked or 'to unset it'} needs a restart")
    return problems
