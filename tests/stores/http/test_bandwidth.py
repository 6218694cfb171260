"""The throttle's arithmetic, on a clock of the test's own."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.http.bandwidth import Throttle


@dataclass
class Time:
    """A clock that pauses set forward."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_the_first_bytes_go_at_once_and_the_next_ones_when_these_are_paid_for() -> None:
    time = Time()
    throttle = Throttle(100, time.monotonic, time.pause)
    asyncio.run(throttle.wait(50))
    assert time.pauses == []
    asyncio.run(throttle.wait(200))
    asyncio.run(throttle.wait(1))
    assert time.pauses == [pytest.approx(0.5), pytest.approx(2.0)]


def test_what_was_not_used_is_not_saved_up() -> None:
    time = Time()
    throttle = Throttle(100, time.monotonic, time.pause)
    asyncio.run(throttle.wait(100))
    time.now += 3600
    asyncio.run(throttle.wait(100))
    asyncio.run(throttle.wait(100))
    assert time.pauses == [pytest.approx(1.0)]


@given(
    rate=st.integers(1, 10**9),
    waits=st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 10)), max_size=30),
)
def test_no_more_than_the_rate_is_granted_in_any_time(rate: int, waits: list[tuple[int, float]]) -> None:
    time, granted = Time(), list[tuple[float, int]]()
    throttle = Throttle(rate, time.monotonic, time.pause)
    for count, idle in waits:
        time.now += idle
        asyncio.run(throttle.wait(count))
        granted.append((time.now, count))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            seconds = granted[last][0] - granted[first][0]
            before_the_last = sum(count for _, count in granted[first:last])
            assert before_the_last <= rate * seconds * (1 + 1e-6) + 1e-3


def test_a_pause_that_is_cut_short_lets_go() -> None:
    cut: list[float] = []

    async def pause(seconds: float) -> None:
        cut.append(seconds)

    throttle = Throttle(1, lambda: 0.0, pause)
    asyncio.run(throttle.wait(100))
    asyncio.run(throttle.wait(100))
    assert cut == [100.0]


@pytest.mark.parametrize(("rate", "piece"), [(1, 1), (1600, 100), (1 << 30, 256 << 10)])
def test_a_piece_is_small_enough_for_many_connections_to_take_turns(rate: int, piece: int) -> None:
    assert Throttle(rate, lambda: 0.0, asyncio.sleep).piece == piece
