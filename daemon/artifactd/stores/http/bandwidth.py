"""No more bytes a second than allowed, over all connections of a store."""

from collections.abc import Awaitable, Callable
from typing import Final

_LARGEST: Final = 256 << 10
_IN_A_SECOND: Final = 16
"""Pieces: so that many connections take turns before a server takes one of them for dead."""

Pause = Callable[[float], Awaitable[object]]
"""Waits so many seconds, or less where the wait was cut short."""


class Throttle:
    """Spreads what is sent over time. Connections of one loop share it; each waits for its own bytes."""

    def __init__(self, bytes_per_second: int, monotonic: Callable[[], float], pause: Pause) -> None:
        self.piece = max(1, min(_LARGEST, bytes_per_second // _IN_A_SECOND))
        """bytes to send at a time"""
        self._rate = bytes_per_second
        self._monotonic = monotonic
        self._pause = pause
        self._free = 0.0  # when what was granted so far will have been sent

    async def wait(self, count: int) -> float:
        """Wait until `count` more bytes may be sent. Returns the seconds that this took."""
        now = self._monotonic()
        begins = max(now, self._free)
        self._free = begins + count / self._rate
        if begins > now:
            await self._pause(begins - now)
        return begins - now
