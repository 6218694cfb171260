"""Waiting for a busy server, as long as it asks for and no longer than a put may take."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Event, Lock
from typing import Final, TypeVar

from artifactd.clock import Clock
from artifactd.stores.base import Unavailable

T = TypeVar("T")

_PAUSES: Final = 3
"""Times that a server's wish for a pause is granted before the store counts as unavailable."""

LONGEST_PAUSE: Final = 5.0
"""Seconds to wait with the copy in hand. A longer wish is the mirror's to grant: nothing waits in memory."""


class Retry:
    """Repeats what a server was too busy for. Threads and loops share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = Event()
        self._lock = Lock()
        self._pausing = set[Future[None]]()

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
                if self._ended.wait(self._pause(error, number)):
                    raise
        return act()

    async def awaited(self, act: Callable[[], Awaitable[T]]) -> T:
        """As a call, in a loop."""
        for number in range(_PAUSES):
            try:
                return await act()
            except Unavailable as error:
                if await self._ended_within(self._pause(error, number)):
                    raise
        return await act()

    def _pause(self, error: Unavailable, number: int) -> float:
        """The seconds to wait. Raises the error where it is none that a short pause mends."""
        if not 0 < error.retry_after <= LONGEST_PAUSE:
            raise error
        pause = error.retry_after * (1 << number) * (1 + self._clock.chance())
        return min(LONGEST_PAUSE, pause)

    async def _ended_within(self, seconds: float) -> bool:
        ended = Future[None]()
        with self._lock:
            self._pausing.add(ended)
        if not self._ended.is_set():
            await asyncio.wait([asyncio.wrap_future(ended)], timeout=seconds)
        with self._lock:
            self._pausing.remove(ended)
        return self._ended.is_set()

    def end(self) -> None:
        """End the pauses, now and for good."""
        self._ended.set()
        with self._lock:
            for ended in self._pausing:
                if not ended.done():
                    ended.set_result(None)
