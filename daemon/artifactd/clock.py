"""The clocks and the chance that effects need. `run` and `cli` give them, and alone ask the system."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time and the chance come from."""

    monotonic: Callable[[], float]
    """seconds from anywhere, never set back"""
    now: Callable[[], float]
    """seconds since the epoch"""
    chance: Callable[[], float]
    """a number in [0, 1)"""
