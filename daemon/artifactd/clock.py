"""The clocks and the chance that effects need, and how a time is written.

`service` and `cli` give the clocks, and alone ask the system.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time and the chance come from."""

    monotonic: Callable[[], float]
    """seconds from anywhere, never set back"""
    now: Callable[[], float]
    """seconds since the epoch"""
    chance: Callable[[], float]
    """a number in [0, 1)"""


@lru_cache(maxsize=16)  # one commit stamps hundreds of entries with one time
def rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
