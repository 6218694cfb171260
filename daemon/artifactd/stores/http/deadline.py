"""How long one request may take in all, however slowly a server spins it out."""

from collections.abc import Callable
from typing import Final

LEAST_RATE: Final = 16 << 10
"""Bytes a second that a connection moves where nothing is wrong: of the slowest line that exports are worth
sending over, 1 Mbit/s, the share of each of eight connections. More share a line only while each of them is
done in less time than any request has (`stores/objects/concurrency.py`)."""


class Deadline:
    """The moment at which a request has to be over. One thread uses it.

    A time-out of silence starts anew with each byte; this does not, so whoever sends a byte now and then
    gains nothing by it.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self.seconds = seconds
        """that the request may take in all"""
        self._monotonic = monotonic
        self._began = monotonic()

    def within(self, seconds: float) -> float:
        """Seconds that one step may wait: `seconds`, or what is left of all where that is less.

        Raises:
            TimeoutError: nothing is left.
        """
        if self.over:
            raise TimeoutError
        return min(seconds, self._left)

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self._left <= 0

    @property
    def _left(self) -> float:
        return self._began + self.seconds - self._monotonic()

    def extend(self, seconds: float) -> None:
        """Allow more: for bytes that did pass, or for a wait that was our own."""
        self.seconds += seconds

    def reason(self, error: Exception) -> str:
        """What an error of a connection says, for a person; the limit where that is what ended it."""
        if isinstance(error, TimeoutError):
            return f"it took more than {self.seconds:.4g} seconds in all" if self.over else "it took too long"
        return str(getattr(error, "strerror", None) or error)
