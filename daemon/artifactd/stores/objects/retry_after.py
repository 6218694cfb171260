"""Waiting for a busy server, as long as it asks for and no longer than a put may take."""

from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from artifactd.clock import Clock
from artifactd.stores.base import Unavailable

T = TypeVar("T")

_PAUSES: Final = 3
"""Times that a server's wish for a pause is granted before the store counts as unavailable."""

LONGEST_PAUSE: Final = 5.0
"""Seconds to wait with the copy in hand. A longer wish is the mirror's to grant: nothing waits in memory."""


class Retry:
    """Repeats what a server was too busy for. Threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = Event()

    def __call__(self, act: Callable[[], T]) -> T:
        """What `act` returns, after at most three pauses, none shorter than the server asked for.

        Raises:
            Unavailable: it is still busy, or asks for a longer pause than is waited here.
            StoreError: as `act` raises it.
        """
        for number in range(_PAUSES):
            try:
                return act()
            except Unavailable as error:
                if not 0 < error.retry_after <= LONGEST_PAUSE:
                    raise
                pause = error.retry_after * 2**number * (1 + self._clock.chance())
                if self._ended.wait(min(LONGEST_PAUSE, pause)):
                    raise
        return act()

    def end(self) -> None:
        """End the pauses, now and for good."""
        self._ended.set()
