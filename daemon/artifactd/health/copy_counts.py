"""How the copies stand, counted by listening to the record: to ask a large ledger takes seconds."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from artifactd.clock import Clock
from artifactd.decisions.lifecycle import Name, State
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.ledger.schema import Unwritable

_SHARE: Final = 0.01
"""Of the time, as much may go into counting anew. A million copies take 1.6 s: every 3 minutes at most."""

_LEAST_SECONDS: Final = 5.0

_REMEMBERED: Final = 100_000
"""Unfinished copies whose age is known. The oldest are among them, so that the oldest one's age is right."""


@dataclass(slots=True)
class CopyCounts:
    """Copies by store and state, and since when the oldest is unfinished.

    What other processes put on record (`verify`, `retry`) is noticed, and everything is counted anew.
    One thread uses it: the ledger's.
    """

    ledger: Ledger
    clock: Clock
    _counts: Counter[tuple[str, State]] = field(default_factory=Counter)
    _since: dict[Name, float] = field(default_factory=dict)  # the oldest first, as dictionaries keep order
    _seen: int | None = None
    _next: float = 0.0

    def heard(self, item: Recorded) -> None:
        """A change is on record."""
        row = item.row
        if item.before is not State.NEW:
            self._counts[row.store, item.before] -= 1
        self._counts[row.store, row.state] += 1
        if not row.unfinished:
            self._since.pop(row.name, None)
        elif len(self._since) < _REMEMBERED:
            self._since.setdefault(row.name, self.clock.monotonic())

    def unfinished_since(self) -> float | None:
        """When the oldest unfinished copy was first heard of, in monotonic seconds. None: there is none."""
        return next(iter(self._since.values()), None)

    def copies(self) -> Mapping[tuple[str, State], int]:
        """How many there are. Where another process changed some, that may show minutes later.

        Raises:
            Damaged: the ledger is.
        """
        now = self.clock.monotonic()
        if now >= self._next:
            with suppress(Unwritable):  # it cannot be read now: what was known has to do
                self._count()
            self._next = now + max(_LEAST_SECONDS, (self.clock.monotonic() - now) / _SHARE)
        return dict(self._counts)

    def _count(self) -> None:
        seen = self.ledger.written_elsewhere()
        if seen != self._seen:
            self._counts, self._seen = Counter(self.ledger.count_by_store()), seen
