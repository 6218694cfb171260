"""How often somebody may ask for something: a token bucket for each account. Pure.

Whoever asks less often than `per_second` is never refused, whatever the others do.
"""

from dataclasses import dataclass, field
from typing import Final

_REMEMBERED: Final = 1_000
"""Accounts. Of more, those that have asked for nothing lately are forgotten first."""


@dataclass(slots=True)
class Rate:
    """Lets each account ask `burst` times at once and `per_second` times a second, on the average."""

    per_second: float
    burst: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    """account → how often it could ask, and when that was: monotonic seconds"""

    def takes(self, account: str, now: float) -> bool:
        """Whether the account may ask once more, at `now` in monotonic seconds. If so, it has."""
        left, since = self._left.pop(account, (self.burst, now))
        left = min(self.burst, left + self.per_second * (now - since))
        self._left[account] = (left - (left >= 1.0), now)
        if len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]
        return left >= 1.0
