"""The clocks and the chance that effects need, and how a time is written.

Only this file asks the system for them.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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


def steady(clock: Clock) -> Callable[[], float]:
    """Seconds since the epoch that go on as they began, however the system's clock is set meanwhile."""
    began = clock.now() - clock.monotonic()
    return lambda: began + clock.monotonic()


@lru_cache(maxsize=16)  # one commit stamps hundreds of entries with one time
def rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_AGES: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: float) -> float:
    """Seconds since the epoch of a time that a person wrote; without an offset it is in UTC.

    It may be a date, a time in the form of RFC 3339, or so long before `now`: 90min, 2h, 3d, 1w.

    Raises:
        ValueError: it is none of these. The message shows each.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        if (unit := _AGES.get(text[len(number) :])) is not None:
            return now - timedelta(**{unit: float(number)}).total_seconds()
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!a} is no time: write 2026-11-24, 2026-11-24T18:30:00Z, or how long ago: 90min, 2h, 3d, 1w"
        ) from None
