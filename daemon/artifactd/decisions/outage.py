"""The way to one store: how much goes there at once, and what happens while the store as a whole is out.

Each store has a state of its own, so that one that is dead or hangs holds up nothing but itself. While it is
out, one artifact at a time is tried, less and less often: one alert, no hammering, and it recovers by itself.
Pure.
"""

from dataclasses import dataclass
from typing import Final

from artifactd.decisions.backoff import Backoff

FILES_AT_ONCE: Final = 512
"""Files of one store that may be under way."""


@dataclass(slots=True)
class StoreState:
    """How it goes with one store. All times are monotonic seconds."""

    store: str
    backoff: Backoff
    under_way: int = 0
    behind: bool = False
    """whether something was passed over while the store took nothing: the next scan has to find it"""
    out_since: float | None = None
    reason: str = ""
    _failures: int = 0
    _until: float = 0.0

    def room(self, now: float) -> int:
        """How many files may be sent now."""
        if self.out_since is None:
            return max(0, FILES_AT_ONCE - self.under_way)
        return 1 if self.under_way == 0 and now >= self._until else 0

    def open(self, now: float) -> bool:
        """Whether anything may be sent now."""
        return self.room(now) > 0

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
