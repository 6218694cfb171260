"""What `git cat-file --batch` answers, taken apart. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.git.lfs.content import Batch, Take


def taken(answer: bytes, cuts: list[int]) -> tuple[list[tuple[str, bytes]], str]:
    """The blobs, by the pieces that the answer comes in, and what is missing."""
    blobs = list[tuple[str, bytearray]]()

    def begin(name: str) -> Take:
        blobs.append((name, bytearray()))
        return blobs[-1][1].extend

    batch = Batch(begin)
    ends = sorted({*(cut for cut in cuts if cut < len(answer)), len(answer)})
    for start, end in zip([0, *ends], ends, strict=False):
        batch.take(answer[start:end])
    return [(name, bytes(content)) for name, content in blobs], batch.missing


@given(
    st.lists(st.tuples(st.text("0123456789abcdef", min_size=40, max_size=40), st.binary(max_size=50))),
    st.lists(st.integers(0, 500)),
)
def test_blobs_come_out_as_they_went_in_however_they_are_cut(
    blobs: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    answer = b"".join(b"%s blob %d\n%s\n" % (name.encode(), len(one), one) for name, one in blobs)
    assert taken(answer, cuts) == (blobs, "")


@pytest.mark.parametrize("said", ["missing", "ambiguous", "tree 7"])
def test_what_is_no_blob_is_missing(said: str) -> None:
    answer = f"aa blob 1\nx\nbb {said}\n".encode()
    assert taken(answer, []) == ([("aa", b"x")], f"bb {said}")
