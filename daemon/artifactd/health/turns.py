"""The longest turn of the deciding thread in the last minute: as long waited whatever came in. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

LATELY: Final = 60.0
"""Seconds. As often Prometheus asks at the least."""


@dataclass(slots=True)
class Turns:
    """The lengths of turns. All times are monotonic seconds."""

    _longest: deque[tuple[float, float]] = field(default_factory=deque)
    """when it ended, and its seconds: of the turns after which no longer one came, the longest first"""

    def took(self, seconds: float, now: float) -> None:
        """A turn ends that took so long, the waiting aside."""
        while self._longest and self._longest[-1][1] <= seconds:
            self._longest.pop()
        self._longest.append((now, seconds))

    def longest(self, now: float) -> float:
        """The seconds of the longest one that ended within `LATELY` of now; 0 where none did."""
        while self._longest and self._longest[0][0] < now - LATELY:
            self._longest.popleft()
        return self._longest[0][1] if self._longest else 0.0
