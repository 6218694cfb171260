"""A configuration taken while the daemon runs. All of it is examined first; a bad one changes nothing.

What is in flight finishes with the configuration it began with, and nothing new begins meanwhile. Then the
daemon goes on with the new one as if it had just started, on the same lock, ledger and control socket.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from artifactd.artifact import count_of
from artifactd.aside import aside
from artifactd.clock import Clock
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config
from artifactd.config.problem import ConfigError, unexamined
from artifactd.ledger.record import Fields
from artifactd.log.lines import Log
from artifactd.mirror.answers import Answer, final
from artifactd.mirror.pipeline import Inbox

PATIENCE_SECONDS: Final = 300.0
"""For what is in flight. Meanwhile nothing new is exported; after that the old configuration is kept."""

EXAMINED_SECONDS: Final = 30.0
"""For the examination. It looks at the directories that the configuration names, and a dead mount hangs."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """Somebody's, to have the configuration as it is now."""

    principal: str
    answer: Answer
    since: float
    """monotonic seconds"""


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

    `load` gives the configuration as it is now, or raises ConfigError. It is called in a thread of its own,
    one at a time, and what it came to is acted on through `inbox`. `in_flight` counts files. `note` puts an
    event on record.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        running: Config,
        log: Log,
        clock: Clock,
        *,
        inbox: Inbox,
        in_flight: Callable[[], int],
        note: Callable[[Fields], object],
    ) -> None:
        self._load, self._running, self.log, self._clock, self._note = load, running, log, clock, note
        self._inbox, self._in_flight = inbox, in_flight
        self._wish: Wish | None = None
        """the last one, until the configuration was examined for it"""
        self._examining = False
        self.asked: Asked | None = None
        """the configuration that waits for what is in flight"""

    @property
    def idle(self) -> bool:
        """Whether no other configuration is examined or waits."""
        return self._wish is None and self.asked is None

    def ask(self, principal: str, answer: Answer) -> None:
        """Examine the configuration. A good one waits in `asked`; of a bad one every problem is told."""
        if self._wish is not None:
            self._wish.answer(final(ok=False, reason=_OVERTAKEN))
        self._wish = Wish(principal, answer, self._clock.monotonic())
        if not self._examining:  # else what is read now may be older than the wish: once more after it
            self._examine(self._wish)

    def _examine(self, wish: Wish) -> None:
        self._examining = True
        try:
            found = aside(partial(_looked_at, self._load, self._running), "reload")
        except RuntimeError:
            self._examining, self._wish = False, None
            self._refuse(["no thread can be had now: reload again"], None, wish.principal, wish.answer)
        else:
            found.add_done_callback(lambda one: self._inbox.put(partial(self._examined, wish, one)))

    def _examined(self, wish: Wish, found: Future[tuple[Config, Sequence[str]]]) -> None:
        self._examining = False
        if wish is not self._wish:  # it was given up, or overtaken
            if self._wish is not None:
                self._examine(self._wish)
            return
        self._wish = None
        try:
            config, problems = found.result()
        except ConfigError as error:
            self._refuse([str(problem) for problem in error.problems], None, wish.principal, wish.answer)
            return
        if problems:
            self._refuse(problems, config.digest, wish.principal, wish.answer)
            return
        if self.asked is not None:
            self.asked.answer(final(ok=False, reason=_OVERTAKEN))
        self.asked = Asked(config, wish.principal, wish.answer, self._clock.monotonic())
        if files := self._in_flight():
            reason = f"{count_of(files, 'file in flight is', 'files in flight are')} finished first"
            wish.answer({"final": False, "ok": True, "reason": reason})

    def due(self, in_flight: int) -> Asked | None:
        """The configuration that is to be taken now, which is on record then; None: go on."""
        if (wish := self._wish) is not None:
            if self._clock.monotonic() - wish.since > EXAMINED_SECONDS:
                self._wish = None
                self._refuse([unexamined(EXAMINED_SECONDS)], None, wish.principal, wish.answer)
            return None  # it may overtake what waits
        asked = self.asked
        if asked is None:
            return None
        if in_flight == 0:
            self._note(self._fields("config.reloaded", "success", asked.principal, asked.config.digest))
            return asked
        if self._clock.monotonic() - asked.since > PATIENCE_SECONDS:
            self.asked = None
            left = count_of(in_flight, "file is", "files are")
            reason = f"{left} in flight for {PATIENCE_SECONDS:g} s: reload again, or restart"
            self._refuse([reason], asked.config.digest, asked.principal, asked.answer)
        return None

    def forget(self, reason: str) -> None:
        """What is examined or waits is not taken, for this reason."""
        for one in (self._wish, self.asked):
            if one is not None:
                one.answer(final(ok=False, reason=reason))
        self._wish = self.asked = None

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


_OVERTAKEN: Final = "overtaken by a later reload"


def _looked_at(load: Callable[[], Config], running: Config) -> tuple[Config, Sequence[str]]:
    """The configuration as it is now, and why it cannot be taken. It hangs where a mount does."""
    found = load()
    return found, [*fixed(running, found), *absent(running, found)]


def absent(running: Config, found: Config) -> Iterator[str]:
    """Directories that are used from now on, and that are not there: misspelled, most likely.

    One that was used before is waited for, as after a start: its share may not be mounted now.
    """
    if found.enabled and found.data_directory != running.data_directory and not found.data_directory.is_dir():
        mend = "Is it mounted? Make it, or mend data_directory"
        yield f"data_directory: there is no directory {found.data_directory}. {mend}"
    before = [one.directory for one in running.destinations if isinstance(one, FileSystem)]
    for one in found.destinations if found.enabled else ():
        if isinstance(one, FileSystem) and one.directory not in before and not one.directory.is_dir():
            mend = "Is it mounted? Make it, or mend artifacts_file_system_directory"
            yield f"artifacts_file_system_directory: there is no directory {one.directory}. {mend}"


def fixed(running: Config, found: Config) -> list[str]:
    """What of `found` cannot be taken without a restart, each with the reason. Pure."""
    problems: list[str] = []
    if (old := running.state_directory) != (new := found.state_directory):
        used = f"the lock and the ledger in {old} are in use"
        problems.append(f"artifactd.state_directory: {used}; {new} needs a restart")
    if (was := running.health.listen) != (asked := found.health.listen):
        problems.append(f"health.listen: it is {was or 'not set'}; {asked or 'to unset it'} needs a restart")
    return problems
