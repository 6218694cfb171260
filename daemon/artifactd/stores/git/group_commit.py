"""Callers that put at the same time share one push: group commit, as databases call it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Final

from artifactd.artifact import Key
from artifactd.stores.git.delivery import CommitDelivery

_FILES: Final = 256
_BYTES: Final = 16 << 20
"""A batch of the daemon that is full: it waits for no other."""


@dataclass(slots=True, eq=False)
class _Turn:
    """What one caller brings."""

    deliveries: Sequence[CommitDelivery]
    over: bool = False

    @property
    def keys(self) -> set[Key]:
        return {one.put.key for one in self.deliveries}


class Gathering:
    """Hands what all callers bring to `deliver`, at one time in one thread.

    Whoever comes first waits up to `seconds` for others, and no longer once there is enough. `deliver` gives
    each delivery its result.
    """

    def __init__(self, deliver: Callable[[Sequence[CommitDelivery]], None], seconds: float) -> None:
        self._deliver, self._seconds = deliver, seconds
        self._leading = Lock()
        self._arrival = Condition()
        self._waiting: list[_Turn] = []

    def join(self, deliveries: Sequence[CommitDelivery]) -> None:
        """Return when `deliver` had these, in this thread or in another."""
        mine = _Turn(deliveries)
        with self._arrival:
            self._waiting.append(mine)
            self._arrival.notify_all()
        while not mine.over:
            with self._leading:
                if not mine.over:
                    self._lead()

    def _lead(self) -> None:
        turns = self._gathered()
        try:
            self._deliver([one for turn in turns for one in turn.deliveries])
        finally:  # whatever happened here, nobody waits for ever
            for turn in turns:
                turn.over = True

    def _gathered(self) -> list[_Turn]:
        """Everybody who waits; of those with a key in common only the first."""
        with self._arrival:
            self._arrival.wait_for(self._enough, timeout=self._seconds)
            taken: list[_Turn] = []
            for turn in self._waiting:
                if all(turn.keys.isdisjoint(other.keys) for other in taken):
                    taken.append(turn)
            self._waiting = [turn for turn in self._waiting if turn not in taken]
            return taken

    def _enough(self) -> bool:
        puts = [one.put for turn in self._waiting for one in turn.deliveries]
        return len(puts) >= _FILES or sum(put.size for put in puts) >= _BYTES
