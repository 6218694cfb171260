import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.flooding import FIRST_TERM, LONGEST_TERM, LOOK, MOST, WINDOW, Flooding

M, B = b"mallory", b"bob"


def burst(flooding: Flooding, user: bytes, events: int, now: float) -> bool:
    """Whether the last of so many events sets him aside."""
    return [flooding.happened(user, now) for _ in range(events)][-1]


@pytest.mark.parametrize(
    ("bursts", "aside"),
    [
        ([(M, MOST, 0.0)], []),
        ([(M, MOST + 1, 0.0)], [M]),
        ([(M, MOST, 0.0), (M, 1, 0.9)], [M]),
        ([(M, MOST, 0.0), (M, MOST, WINDOW)], []),
        ([(M, MOST, 0.0), (B, MOST, 0.0)], []),
        ([(M, MOST + 1, 0.0), (B, MOST, 0.5)], [M]),
        ([(M, MOST + 1, 0.0), (B, MOST + 1, 5.0)], [M, B]),
    ],
)
def test_who_makes_more_events_in_a_window_than_are_told_is_set_aside(
    bursts: list[tuple[bytes, int, float]], aside: list[bytes]
) -> None:
    flooding = Flooding()
    for user, events, now in bursts:
        burst(flooding, user, events, now)
    assert flooding.users == aside


def test_he_is_looked_at_every_few_seconds_until_he_is_freed_once() -> None:
    flooding = Flooding()
    burst(flooding, M, MOST + 1, 100.0)
    looks = [now for now in range(100, 130) if flooding.due(now)]
    assert looks == list(range(103, 130, int(LOOK)))
    assert flooding.freed(100.0 + FIRST_TERM - 0.1) == []
    assert flooding.freed(100.0 + FIRST_TERM) == [M]
    assert (flooding.freed(200.0), flooding.due(200.0), flooding.users) == ([], [], [])


def test_who_floods_again_soon_is_set_aside_for_twice_as_long_each_time() -> None:
    flooding, now, terms = Flooding(most=1), 0.0, []
    for _ in range(7):
        assert burst(flooding, M, 2, now)
        began = now
        while not flooding.freed(now):
            now += 1.0
        terms.append(now - began)
    assert terms == [30, 60, 120, 240, 480, LONGEST_TERM, LONGEST_TERM]


@pytest.mark.parametrize(("after", "term"), [(FIRST_TERM - 1, 2 * FIRST_TERM), (FIRST_TERM, FIRST_TERM)])
def test_after_as_long_without_a_flood_the_term_is_short_again(after: float, term: float) -> None:
    flooding = Flooding(most=1)
    burst(flooding, M, 2, 0.0)
    flooding.freed(FIRST_TERM)
    again = FIRST_TERM + after
    flooding.freed(again)
    burst(flooding, M, 2, again)
    assert flooding.freed(again + term - 1) == []
    assert flooding.freed(again + term) == [M]


@given(st.lists(st.tuples(st.sampled_from([M, B]), st.floats(0.0, 20.0)), max_size=200))
def test_nobody_is_set_aside_for_what_another_does_nor_for_ever_nor_left_unlooked_at(
    steps: list[tuple[bytes, float]],
) -> None:
    flooding, now = Flooding(most=2), 0.0
    happened: dict[bytes, list[float]] = {M: [], B: []}
    looked: dict[bytes, float] = {}
    for user, pause in steps:
        for seconds in [1.0] * int(pause) + [pause % 1.0]:
            now += seconds
            for freed in flooding.freed(now):
                del looked[freed]
            looked |= dict.fromkeys(flooding.due(now), now)
            assert looked.keys() == set(flooding.users)
            assert all(now - at < LOOK + 1.0 for at in looked.values())
        before = flooding.aside(user)
        happened[user].append(now)
        if flooding.happened(user, now) and not before:
            assert sum(at > now - WINDOW for at in happened[user]) > flooding.most
            looked[user] = now
    assert set(flooding.freed(now + LONGEST_TERM)) == looked.keys()
    assert flooding.users == []
