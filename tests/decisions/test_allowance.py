"""Nobody makes the record grow at will, and nobody loses anything by it."""

from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.allowance import ENTRIES, HOUR, Allowance, Versions


def test_a_user_has_so_many_entries_an_hour_and_more_the_more_files_he_has() -> None:
    allowance = Allowance()
    for _ in range(ENTRIES):
        assert not allowance.used_up("alice", 0, 5.0)
        allowance.spend("alice", 5.0)
    assert allowance.used_up("alice", 0, 5.0)
    assert not allowance.used_up("alice", 1, 5.0)
    assert not allowance.used_up("bob", 0, 5.0)
    assert not allowance.used_up("alice", 0, 5.0 + HOUR)


def test_that_somebody_has_to_wait_is_told_once_an_hour() -> None:
    allowance = Allowance()
    allowance.spend("alice", 0.0)
    assert allowance.held_back(599.0) == []
    assert allowance.news("alice", 600.0) == HOUR - 600.0
    assert allowance.news("alice", 601.0) is None
    assert allowance.held_back(601.0) == ["alice"]
    assert allowance.held_back(HOUR) == []
    assert allowance.news("alice", HOUR) == HOUR


def test_the_first_versions_go_at_once_and_the_next_ones_are_spaced_up_to_ten_minutes() -> None:
    versions, now, spaces = Versions(), 0.0, []
    for _ in range(12):
        at = versions.not_before(b"a")
        spaces.append(0.0 if at is None else at - now)
        now = now if at is None else at
        versions.exported(b"a", now)
    assert spaces == [0, 0, 0, 10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_after_an_hour_without_a_version_all_begins_anew() -> None:
    versions = Versions()
    for _ in range(5):
        versions.exported(b"a", 0.0)
    assert versions.not_before(b"a") is not None
    versions.exported(b"a", HOUR)
    assert versions.not_before(b"a") is None


def test_what_is_remembered_is_bounded() -> None:
    versions = Versions()
    for number in range(30_000):
        versions.exported(b"%d" % number, 0.0)
    assert len(versions._exported) == 20_000  # noqa: SLF001 - memory shows nowhere else


@given(st.lists(st.floats(0.0, 5.0), min_size=50, max_size=400))
def test_however_often_a_file_is_rewritten_few_of_its_versions_go_in_an_hour(gaps: list[float]) -> None:
    versions, now, gone = Versions(), 0.0, 0
    for gap in gaps:
        now += gap
        at = versions.not_before(b"a")
        if at is None or now >= at:
            versions.exported(b"a", now)
            gone += 1
    assert gone <= 3 + 7 + now / 600
