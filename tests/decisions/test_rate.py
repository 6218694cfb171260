"""Who asks within the rate is never refused, and nobody gets more than it."""

from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.rate import Rate

PER_SECOND, BURST = 2.0, 5

ASKED = st.lists(st.tuples(st.sampled_from(["dai", "eve", "root"]), st.floats(0.0, 3.0)), max_size=200)
"""Who asks, and how many seconds after the one before."""


def taken(asked: list[tuple[str, float]]) -> list[tuple[str, float, bool]]:
    rate, now, found = Rate(PER_SECOND, BURST), 100.0, []
    for account, pause in asked:
        now += pause
        found.append((account, now, rate.takes(account, now)))
    return found


@given(ASKED)
def test_in_no_stretch_of_time_an_account_gets_more_than_its_burst_and_its_rate(
    asked: list[tuple[str, float]],
) -> None:
    for account in ("dai", "eve", "root"):
        times = [now for name, now, ok in taken(asked) if name == account and ok]
        for first, since in enumerate(times):
            for number, until in enumerate(times[first:], 1):
                assert number <= BURST + PER_SECOND * (until - since) + 1e-6


@given(ASKED)
def test_nobody_is_refused_for_what_others_ask(asked: list[tuple[str, float]]) -> None:
    together = [(now, ok) for name, now, ok in taken(asked) if name == "dai"]
    rate = Rate(PER_SECOND, BURST)
    assert together == [(now, rate.takes("dai", now)) for now, _ in together]


@given(st.lists(st.floats(1.0 / PER_SECOND, 9.0)))
def test_who_keeps_to_the_rate_is_never_refused(pauses: list[float]) -> None:
    assert all(ok for _, _, ok in taken([("dai", pause) for pause in pauses]))


def test_accounts_are_not_remembered_without_a_bound() -> None:
    rate = Rate(PER_SECOND, BURST)
    for number in range(5_000):
        assert rate.takes(str(number), 0.0)
    assert len(rate._left) == 1_000  # noqa: SLF001 - nothing else shows what is kept
