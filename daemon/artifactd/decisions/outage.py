"""The way to one store: how much goes there at once, and what happens while the store as a whole is out.

Each store has a state of its own, so that one that is dead or hangs holds up nothing but itself. While it is
out, one artifact at a time is tried, less and less often: one alert, no hammering, and it recovers by itself.
Pure.
"""

from dataclasses import dataclass
from typing import Final

from artifactd.decisions.backoff import Backoff

FILES_AT_ONCE: Final = 512
"""Small files of one store that may be under way."""

LARGE_AT_ONCE: Final = 8
"""Large ones. They have room of their own, so that small ones never wait for them."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """How many requests may be under way to a store."""

    limit: int
    """now"""
    most: int
    """what `limit` never exceeds"""
    under_way: int = 0
    backed_off: str = ""
    """why there were to be fewer at once, the last time; empty: never"""
    backed_off_at: float | None = None
    """and when, in monotonic seconds"""


@dataclass(slots=True)
class StoreState:
    """How it goes with one store. All times are monotonic seconds."""

    store: str
    backoff: Backoff
    small: int = 0
    """small files under way"""
    large: int = 0
    """large ones"""
    behind: bool = False
    """whether something was passed over while the store took nothing: the next scan has to find it"""
    out_since: float | None = None
    reason: str = ""
    silent_since: float | None = None
    """when it last answered, or was asked again after a rest; None: nothing is asked of it"""
    asked_bytes: int = 0
    """of the largest job that it was given and has not answered"""
    _failures: int = 0
    _until: float = 0.0

    @property
    def under_way(self) -> int:
        """Files that are being sent, or wait for their turn with their bytes read."""
        return self.small + self.large

    def room(self, now: float, *, large: bool = False) -> int:
        """How many small files, or large ones, may be sent now."""
        if self.out_since is None:
            return max(0, LARGE_AT_ONCE - self.large if large else FILES_AT_ONCE - self.small)
        return 1 if self.under_way == 0 and now >= self._until else 0

    def probing(self, now: float) -> bool:
        """Whether it is out, and to be tried with one file now."""
        return self.out_since is not None and self.room(now) > 0

    def next_try(self) -> float | None:
        """When a store that is out is tried again; None where it is not out."""
        return None if self.out_since is None else self._until

    def out(self, reason: str, now: float, u: float, at_least: float = 0.0) -> float | None:
        """The store refused as a whole. Returns the seconds to the next try if this is news, else None.

        The next try is not before `at_least` seconds have passed.
        """
        news = self.out_since is None or reason != self.reason
        if self.out_since is None or now >= self._until:  # else it was under way when the store went out
            self._failures += 1
            pause = self.backoff.seconds(self._failures, u) or self.backoff.cap_seconds
            self._until = now + max(pause, at_least)
        self.out_since = now if self.out_since is None else self.out_since
        self.reason = reason
        return self._until - now if news else None

    def back(self, now: float) -> float | None:
        """The store took something. Returns the seconds that it was out, None where it was not."""
        if self.out_since is None:
            return None
        seconds = now - self.out_since
        self.out_since, self.reason, self._failures = None, "", 0
        return seconds
