import hashlib
from pathlib import Path

import pytest

from artifactd import checksum

VECTORS = {  # FIPS 180-4, as NIST publishes its examples
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
}


@pytest.mark.parametrize(("content", "digest"), VECTORS.items())
def test_the_digest_of_bytes_is_their_sha256(content: bytes, digest: str) -> None:
    assert checksum.of_bytes(content) == digest


@pytest.mark.parametrize(
    "size", [0, 1, checksum.BUFFER - 1, checksum.BUFFER, checksum.BUFFER + 1, 3 * checksum.BUFFER + 7]
)
def test_a_file_is_read_from_start_to_end_wherever_its_position_is(tmp_path: Path, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    told = list[int]()
    with (tmp_path / "file").open("rb", buffering=0) as file:
        file.seek(size // 2)
        assert checksum.of_file(file.fileno(), told.append) == (hashlib.sha256(content).hexdigest(), size)
        assert checksum.of_file(file.fileno())[0] == checksum.of_bytes(content)
        assert file.tell() == size // 2
    assert sum(told) == size


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="Bad file descriptor"):
        checksum.of_file(file.fileno())


@pytest.mark.parametrize("at_most", [1, 5, checksum.BUFFER, checksum.BUFFER + 5])
def test_no_more_of_a_growing_file_is_read_than_was_asked_for(at_most: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * (checksum.BUFFER // 64)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert checksum.of_file(file.fileno(), at_most=at_most) == (
            checksum.of_bytes(content[:at_most]),
            at_most,
        )


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 3 * checksum.BUFFER + 7])
@pytest.mark.parametrize("part", [1000, checksum.BUFFER + 3])
def test_parts_and_whole_are_hashed_in_one_pass(size: int, part: int, tmp_path: Path) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        whole, parts, read = checksum.of_parts(file.fileno(), size, part)
    assert (whole, read) == (checksum.of_bytes(content), size)
    cut = [content[start : start + part] for start in range(0, size, part)]
    assert parts == tuple(hashlib.sha256(one).digest() for one in cut)


def test_of_a_file_that_was_cut_fewer_bytes_are_read_than_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1500)
    with (tmp_path / "file").open("rb") as file:
        assert checksum.of_parts(file.fileno(), 5000, 1000)[2] == 1500


def test_chunks_have_the_digest_of_what_they_are_together() -> None:
    told = list[int]()
    assert checksum.of_chunks([b"ab", b"", b"c"], told.append) == VECTORS[b"abc"]
    assert sum(told) == 3
