import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.backoff import Backoff

BACKOFF = Backoff(first_seconds=1.0, cap_seconds=600.0, give_up_after=1000)


@pytest.mark.parametrize(
    ("failures", "u", "seconds"),
    [
        (1, 0.0, 0.5),
        (1, 0.5, 0.75),
        (2, 0.0, 1.0),
        (2, 0.5, 1.5),
        (5, 0.0, 8.0),
        (10, 0.0, 256.0),
        (11, 0.0, 300.0),
        (999, 0.0, 300.0),
        (1000, 0.0, None),
        (5000, 0.5, None),
    ],
)
def test_waits_double_up_to_the_cap_until_it_gives_up(failures: int, u: float, seconds: float | None) -> None:
    assert BACKOFF.seconds(failures, u) == seconds


@given(
    failures=st.integers(1, 999),
    u=st.floats(0, 1, exclude_max=True),
    first=st.floats(0.001, 3600),
    cap=st.floats(0.001, 86400),
)
def test_a_wait_is_never_at_once_and_never_past_the_cap(
    failures: int, u: float, first: float, cap: float
) -> None:
    seconds = Backoff(first, cap).seconds(failures, u)
    assert seconds is not None
    assert min(first, cap) / 2 <= seconds <= cap


def test_any_number_of_failures_can_be_told() -> None:
    assert Backoff(give_up_after=10**9).seconds(10**8, 0.0) == 300.0
