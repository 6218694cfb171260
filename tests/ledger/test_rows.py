from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Artifact, Digest, Identity, Kind
from artifactd.decisions.lifecycle import Row, State
from artifactd.ledger.rows import COLUMNS, Altered, check, decoded, encoded
from tests.support.rows import a_proven_row, a_row

text = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(0, 2**64 - 1)
sha256 = st.text("0123456789abcdef", min_size=64, max_size=64).map(Digest)
rows = st.builds(
    Row,
    store=text,
    artifact=st.builds(Artifact, st.binary(), text, text, st.binary(), st.sampled_from(Kind)),
    key=text,
    wanted_key=text,
    rule=text,
    state=st.sampled_from(State),
    identity=st.none() | st.builds(Identity, numbers, numbers, numbers, numbers, numbers),
    digest=st.none() | sha256,
    size=st.integers(0, 2**63 - 1),
    ours=st.lists(sha256, max_size=3).map(tuple),
    failures=st.integers(0, 1000),
    retry_at=st.none() | st.floats(0, 1e11),
    reason=text,
    evidence=text,
    proof=text,
    version=text,
    changed_at=st.floats(0, 1e11),
)


@given(rows)
def test_a_row_comes_back_as_it_was_written(row: Row) -> None:
    found = encoded(row)
    assert len(found) == len(COLUMNS.split(",")) + 1
    assert decoded(found) == row


@pytest.mark.parametrize("number", range(22), ids=[*COLUMNS.split(", "), "hash"])
def test_a_row_of_which_anything_was_changed_is_recognised(number: int) -> None:
    found = list(encoded(a_proven_row()))
    before = found[number]
    found[number] = before + type(before)(1) if isinstance(before, int | float) else b"x" if before else "x"
    assert found[number] != before
    with pytest.raises(Altered, match=r"is not the one that was written"):
        check(tuple(found))
    with pytest.raises(Altered):
        decoded(tuple(found))


def test_a_row_that_was_changed_is_named_by_its_path_as_everywhere() -> None:
    odd = replace(a_row(), artifact=replace(a_row().artifact, path=b"alice/caf\xe9\n.csv"))
    *columns, stored = encoded(odd)
    with pytest.raises(
        Altered, match=r"^the row of alice/caf\\xe9\\x0a.csv is not the one that was written$"
    ):
        check((*columns, bytes(len(stored))))


def test_values_that_moved_to_another_column_are_recognised() -> None:
    *columns, stored = encoded(replace(a_row(), evidence="a", proof=""))
    columns[17], columns[18] = columns[18], columns[17]
    with pytest.raises(Altered):
        decoded((*columns, stored))


def test_whole_seconds_are_the_same_after_a_column_of_real_numbers() -> None:
    found = encoded(replace(a_row(), retry_at=5, changed_at=7))
    assert [type(found[n]) for n in (15, 20)] == [float, float]


def test_names_that_are_no_text_are_kept_for_people_and_paths_as_they_are() -> None:
    odd = Artifact(b"\xff/x", "\udcff", "e\udcfe", b"x", Kind.OTHER)
    row = decoded(encoded(replace(a_row(), artifact=odd, reason="\udcff")))
    assert (row.artifact.path, row.artifact.user, row.artifact.experiment_id) == (
        b"\xff/x",
        "\\xff",
        "e\\xfe",
    )
    assert row.reason == "\\xff"
