"""What is decided before a large copy is sent: its parts, and what can be gone on with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.stores.base import MOST_PARTS, Corrupt, Parts, Put, Source, size_of_parts
from artifactd.stores.objects.sending import in_parts, resumed
from artifactd.stores.objects.unfinished import Unfinished
from tests.support.harness import digest, pattern

CONTENT = pattern(1000)


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Put]:
    (tmp_path / "source").write_bytes(CONTENT)
    with (tmp_path / "source").open("rb") as file:
        yield Put(Key("k"), Source(len(CONTENT), fd=file.fileno()), digest(CONTENT))


@pytest.mark.parametrize("size", [1, 300, 500, 999, 1000, 4096])
def test_parts_are_the_whole_in_pieces(put: Put, size: int) -> None:
    pieces = [CONTENT[start : start + size] for start in range(0, len(CONTENT), size)]
    digests = tuple(bytes.fromhex(checksum.of_bytes(piece)) for piece in pieces)
    assert in_parts(put, size) == Parts(size, digests)


def test_parts_that_were_hashed_with_the_whole_are_taken(put: Put) -> None:
    given = Parts(300, (b"given",) * 4)
    assert in_parts(replace(put, source=replace(put.source, parts=given)), 300) is given


def test_parts_of_another_size_are_not(put: Put) -> None:
    given = replace(put, source=replace(put.source, parts=Parts(400, (b"given",) * 3)))
    assert in_parts(given, 300) == in_parts(put, 300)


def test_a_source_that_has_other_bytes_now_is_not_sent(put: Put) -> None:
    with pytest.raises(Corrupt):
        in_parts(replace(put, digest=digest(b"before")), 300)


def test_a_source_that_was_cut_is_an_error_of_the_source(put: Put) -> None:
    with pytest.raises(OSError, match="shorter than it was"):
        in_parts(replace(put, source=replace(put.source, size=2000)), 300)


def test_there_are_never_more_parts_than_a_server_takes() -> None:
    for size in (0, 1, 5 << 20, (5 << 20) * MOST_PARTS, (5 << 20) * MOST_PARTS + 1, 5 << 40):
        part = size_of_parts(size, 5 << 20)
        assert -(-size // part) <= MOST_PARTS
        assert part == 5 << 20 or size > (part // 2) * MOST_PARTS


ONE = Unfinished("s3", Key("k"), digest(CONTENT), 300, "upload", "attempt", 0.0, {1: "a"})


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([], None),
        ([ONE], ONE),
        ([replace(ONE, upload="older", part_size=200), ONE], ONE),
        ([replace(ONE, key=Key("other"))], None),
        ([replace(ONE, digest=digest(b"other bytes"))], None),
        ([replace(ONE, part_size=200)], None),
    ],
)
def test_only_the_same_bytes_in_the_same_parts_are_gone_on_with(
    put: Put, known: list[Unfinished], found: Unfinished | None
) -> None:
    assert resumed(put, in_parts(put, 300), known) is found
