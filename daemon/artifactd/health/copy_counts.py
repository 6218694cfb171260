"""How the copies stand: the ledger counts them, and how long they are unfinished is heard from the record."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from artifactd.clock import Clock
from artifactd.decisions.lifecycle import Failed, Name, State
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.ledger.schema import Unwritable

_REMEMBERED: Final = 100_000
"""Unfinished copies whose age is known. The oldest are among them, so that the oldest one's age is right."""


@dataclass(slots=True)
class CopyCounts:
    """Copies by store and state, and since when the oldest is unfinished. For the ledger's thread only."""

    ledger: Ledger
    clock: Clock
    _counts: Mapping[tuple[str, State], int] = field(default_factory=dict)
    _since: dict[Name, float] = field(default_factory=dict)  # the oldest first, as dictionaries keep order

    def heard(self, item: Recorded) -> None:
        """A change is on record."""
        row = item.row
        unreadable = isinstance(item.event, Failed) and item.before is not State.UPLOADING
        if not row.unfinished or unreadable:  # a file that cannot be read is that file's trouble
            self._since.pop(row.name, None)
        elif len(self._since) < _REMEMBERED:
            self._since.setdefault(row.name, self.clock.monotonic())

    def unfinished_since(self) -> float | None:
        """When the oldest unfinished copy was first heard of, in monotonic seconds. None: there is none."""
        return next(iter(self._since.values()), None)

    def copies(self) -> Mapping[tuple[str, State], int]:
        """How many there are, whoever put them on record.

        Raises:
            Damaged: the ledger is.
        """
        with suppress(Unwritable):  # it cannot be read now: what was known has to do
            self._counts = self.ledger.count_by_store()
        return self._counts
