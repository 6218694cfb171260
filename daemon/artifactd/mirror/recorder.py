"""Puts changes on record, and tells the log and whoever listens. While it cannot, nothing goes on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from logging import ERROR, getLevelNamesMapping
from typing import Final, TypeVar

from artifactd.clock import Clock
from artifactd.decisions.lifecycle import Change, Row
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.ledger.record import TERMS, Entry, Fields
from artifactd.ledger.schema import Unwritable
from artifactd.log.lines import Log
from artifactd.log.together import tell
from artifactd.stopping import Stopping

T = TypeVar("T")

_AGAIN_SECONDS: Final = 1.0

_LEVELS: Final = getLevelNamesMapping()


class Stopped(Unwritable):
    """Told to stop while the record could not be written. What was in flight is repeated by the next run."""


@dataclass(slots=True)
class Recorder:
    """The only way to the record while the daemon runs."""

    ledger: Ledger
    log: Log
    clock: Clock
    stopping: Stopping = field(default_factory=Stopping)
    listeners: list[Callable[[Recorded], None]] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None
    """called about every second while the record cannot be written"""
    unwritable: str = ""
    """why the record cannot be written now; empty: it can, as far as is known"""
    waited: float = 0.0
    """seconds since the start in which it could not be written"""
    principal: Callable[[Row], str] = lambda _row: ""
    """who asked for this copy by hand and waits for it; "" where nobody does"""
    patience: float = math.inf
    """seconds that one write may wait until the record can be written"""
    anchors: int = 0
    """noted since the start"""

    def record(self, changes: Sequence[Change]) -> list[Recorded]:
        """Commit these changes together, and tell of them. It returns when they are durable.

        Raises:
            Stopped: see there. Nothing was committed.
            Unwritable: it could not be written for longer than `patience`. Nothing was committed.
            Damaged: the ledger is. Nothing was committed.
        """
        if not changes:
            return []
        by = [
            replace(one, by=who) if (who := self.principal(one.row)) and not one.by else one
            for one in changes
        ]
        recorded = self._written(lambda: self.ledger.record(by, self.clock.now()))
        self._tell(recorded)
        return recorded

    def note(self, fields: Fields) -> Entry:
        """Commit an event that concerns no copy. Raises as `record`."""
        entry = self._written(lambda: [self.ledger.note(self.clock.now(), fields)])[0]
        self.anchors += fields["action"] == "audit.anchored"
        return entry

    def look(self) -> None:
        """Wait here while the ledger lies at its place no more, so that it is known before there is news.

        Raises as `record`.
        """

        def seen() -> list[None]:
            self.ledger.in_place()
            return []

        self._written(seen)

    def _written(self, write: Callable[[], list[T]]) -> list[T]:
        """What `write` returns once it can. Publishing waits with it: nothing goes out unrecorded."""
        since: float | None = None
        while True:
            try:
                done = write()
            except Unwritable as error:
                if since is None:
                    since = self.clock.monotonic()
                    self.log.log(ERROR, "ledger.unwritable", reason=str(error))
                self.unwritable = str(error)
                self.on_wait()
                left = since + self.patience - self.clock.monotonic()
                if self.stopping.wait(max(0.0, min(_AGAIN_SECONDS, left))):
                    raise Stopped(f"told to stop while the record could not be written: {error}") from error
                if left <= 0.0:
                    raise
            else:
                if since is not None:
                    self.waited += self.clock.monotonic() - since
                    self.unwritable = ""
                    self.log.info("ledger.writable", seconds=round(self.clock.monotonic() - since, 3))
                return done

    def _tell(self, recorded: Sequence[Recorded]) -> None:
        for event, items in groupby(recorded, lambda item: type(item.event)):
            level = _LEVELS[TERMS[event].level]
            if self.log.is_enabled_for(level):
                tell(self.log, level, TERMS[event].action, [item.entry.texts for item in items])
        for item in recorded:
            for listener in self.listeners:
                listener(item)
