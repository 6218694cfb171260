"""The clocks and the chance that effects need, and how a time is written.

Only this file asks the system for them.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time and the chance come from."""

    monotonic: Callable[[], float]
    """seconds from anywhere, never set back"""
    now: Callable[[], float]
    """seconds since the epoch"""
    chance: Callable[[], float]
    """a number in [0, 1)"""


SYSTEM: Final = Clock(time.monotonic, time.time, random.random)
"""The real clocks, and real chance: it spreads retries and guards no secret."""


@lru_cache(maxsize=16)  # one commit stamps hundreds of entries with one time
def rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
