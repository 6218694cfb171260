"""How long a busy server is waited for."""

import time

import pytest

from artifactd.clock import Clock
from artifactd.stores.base import Denied, StoreError, Unavailable
from artifactd.stores.objects.retry_after import LONGEST_PAUSE, Retry


class Busy:
    """Raises so often, then answers."""

    def __init__(self, times: float, error: StoreError) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


def retry(chance: float = 0.0) -> Retry:
    return Retry(Clock(time.monotonic, time.time, lambda: chance))


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_busy_server_is_asked_again(times: int) -> None:
    busy = Busy(times, Unavailable("busy", retry_after=0.001))
    assert retry()(busy) == "answer"
    assert busy.calls == times + 1


def test_the_repeats_are_bounded() -> None:
    busy = Busy(99, Unavailable("busy", retry_after=0.001))
    with pytest.raises(Unavailable):
        retry()(busy)
    assert busy.calls == 4


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_no_pause_is_shorter_than_the_server_asked_for(chance: float) -> None:
    began = time.monotonic()
    retry(chance)(Busy(1, Unavailable("busy", retry_after=0.2)))
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("error", [
    Unavailable("down"),
    Unavailable("busy", retry_after=LONGEST_PAUSE + 0.1),
    Denied("no"),
    StoreError("lost"),
])  # fmt: skip
def test_what_no_short_pause_mends_is_raised_at_once(error: StoreError) -> None:
    busy = Busy(99, error)
    with pytest.raises(StoreError) as raised:
        retry()(busy)
    assert raised.value is error
    assert busy.calls == 1


def test_its_end_ends_the_pauses() -> None:
    ended = retry()
    ended.end()
    busy = Busy(99, Unavailable("busy", retry_after=LONGEST_PAUSE))
    with pytest.raises(Unavailable):
        ended(busy)
    assert busy.calls == 1
