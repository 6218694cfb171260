"""What need not be asked of the ledger again, and that it never says so of a file that has changed."""

import stat
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Identity, Sighting
from artifactd.mirror.known import Known


def a_sighting(number: int = 0) -> Sighting:
    identity = Identity(2**64 - 1, 2**64 - 1 - number, number, -1, 2**62)
    return Sighting(b"alice/h2oai_experiment_one/%d.csv" % number, identity, stat.S_IFREG)


def test_a_file_is_known_as_it_is_and_not_as_it_was() -> None:
    known, sighting = Known(), a_sighting()
    assert known.of(sighting) is None
    known.add(sighting, 2)
    assert known.of(sighting) == 2
    for field, value in {"size": 9, "mtime_ns": 0, "ctime_ns": 0, "ino": 1}.items():
        assert known.of(replace(sighting, identity=replace(sighting.identity, **{field: value}))) is None
    assert known.of(replace(sighting, path=sighting.path + b"x")) is None


def test_a_file_of_which_nothing_is_wanted_is_known_too() -> None:
    known = Known()
    known.add(a_sighting(), 0)
    assert known.of(a_sighting()) == 0


def test_more_copies_than_there_are_bits_for_are_asked_for_again() -> None:
    known = Known()
    known.add(a_sighting(), 15)
    assert known.of(a_sighting()) is None


def test_what_a_scan_does_not_meet_is_forgotten_at_the_end_of_the_next() -> None:
    known = Known()
    for number in (1, 2):
        known.add(a_sighting(number), 1)
    known.scanned()
    assert known.of(a_sighting(1)) == 1
    known.scanned()
    assert (known.of(a_sighting(1)), known.of(a_sighting(2))) == (1, None)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 14)), max_size=3000))
def test_the_last_word_on_a_file_holds_however_many_there_are(said: list[tuple[int, int]]) -> None:
    known, last = Known(), dict[int, int]()
    for number, copies in said:
        known.add(a_sighting(number), copies)
        last[number] = copies
    assert {number: known.of(a_sighting(number)) for number in last} == last
    assert known.of(a_sighting(9999)) is None


def test_a_file_costs_16_to_32_bytes() -> None:
    known = Known()
    for number in range(100_000):
        known.add(a_sighting(number), 1)
    assert 16 * 100_000 <= 8 * len(known._present._words) <= 32 * 100_000  # noqa: SLF001 - memory shows nowhere else
