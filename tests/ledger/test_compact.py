from dataclasses import replace

import pytest
from hypothesis import given

from artifactd.artifact import Artifact, Digest, Identity, Kind
from artifactd.decisions.lifecycle import Row
from artifactd.ledger.compact import CHANGING, FIXED, PLACE, compact, expanded, key_hash, source_hash
from artifactd.ledger.rows import Altered, encoded
from tests.ledger.test_rows import rows
from tests.support.rows import D1, D2, a_proven_row, a_row


@given(rows)
def test_columns_come_back_as_they_were(row: Row) -> None:
    stored = compact(encoded(row))
    assert tuple(map(len, stored)) == tuple(len(names.split(",")) for names in (PLACE, FIXED, CHANGING))
    assert expanded(*stored) == encoded(row)


@pytest.mark.parametrize("time", [-1, 2**64, 253402300799 * 10**9])
def test_times_that_few_file_systems_keep_come_back(time: int) -> None:
    row = replace(a_row(), identity=Identity(1, 2, 3, time, time))
    assert expanded(*compact(encoded(row))) == encoded(row)


@pytest.mark.parametrize("ours", [(), (D1,), (D2,), (D1, D2)])
@pytest.mark.parametrize("digest", [None, D1])
def test_digests_come_back_whether_they_are_the_copys_own_or_not(
    ours: tuple[Digest, ...], digest: Digest | None
) -> None:
    row = replace(a_row(), ours=ours, digest=digest)
    assert expanded(*compact(encoded(row))) == encoded(row)


def test_what_another_column_tells_is_not_kept_twice() -> None:
    place, fixed, changing = compact(encoded(a_proven_row(7)))
    assert place == ("alice", "e7", b"alice/h2oai_experiment_e7/")
    assert fixed[:2] == (b"mojo_pipeline/mojo.zip", None)
    assert (fixed[4], fixed[5]) == ("alice/e7/mojo.zip", None)
    assert changing[4] == bytes.fromhex(D1)
    assert changing[6] is None


def test_a_path_that_does_not_end_as_its_inside_says_comes_back_too() -> None:
    row = replace(a_row(), artifact=Artifact(b"a/b", "alice", "e", b"elsewhere", Kind.OTHER))
    assert expanded(*compact(encoded(row))) == encoded(row)


def test_what_cannot_have_been_written_is_told() -> None:
    place, fixed, changing = compact(encoded(a_proven_row()))
    for broken in (
        ((None, None, None), fixed, changing),
        (place, (1, *fixed[1:]), changing),
        (place, fixed, (*changing[:3], b"short", *changing[4:])),
        (place, fixed, (*changing[:4], "text", *changing[5:])),
    ):
        with pytest.raises(Altered, match="not the one that was written"):
            expanded(*broken)


def test_neighbours_lie_together_in_an_index() -> None:
    """One commit of many files of an experiment then writes few pages."""
    numbers = [source_hash(b"alice/h2oai_experiment_e/%d.csv" % n) for n in range(100)]
    assert len(set(numbers)) == 100
    assert len({number >> 40 for number in numbers}) == 1
    assert source_hash(b"alice/h2oai_experiment_f/0.csv") >> 40 != numbers[0] >> 40
    assert key_hash("s3", "alice/e/0.csv") >> 40 == key_hash("s3", "alice/e/1.csv") >> 40
    assert key_hash("s3", "alice/e/0.csv") != key_hash("azure", "alice/e/0.csv")
