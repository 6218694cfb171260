"""The longest of the last minute is what looking at all of them would find."""

from hypothesis import given
from hypothesis import strategies as st

from artifactd.health.turns import LATELY, Turns


@given(st.lists(st.tuples(st.floats(0.0, 40.0), st.floats(0.0, 2.0)), max_size=60))
def test_it_is_the_longest_of_those_that_ended_within_the_last_minute(
    took: list[tuple[float, float]],
) -> None:
    turns, now, ended = Turns(), 1_000.0, []
    for pause, seconds in took:
        now += pause
        turns.took(seconds, now)
        ended.append((now, seconds))
        assert turns.longest(now) == max(one for at, one in ended if at >= now - LATELY)
    assert turns.longest(now + LATELY + 1.0) == 0.0


def test_a_million_turns_of_a_minute_are_not_all_remembered() -> None:
    turns = Turns()
    for number in range(10_000):
        turns.took(number % 100 / 1_000, number / 1_000)
    assert len(turns._longest) <= 100  # noqa: SLF001 - nothing else shows what is kept
    assert turns.longest(10.0) == 0.099
