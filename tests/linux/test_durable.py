"""A name is given once, and what was written gets to the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.linux.durable import rename_create_only, syncfs, write_back


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_free_name_is_taken(tmp_path: Path, folder: int) -> None:
    (tmp_path / "old").write_text("content")
    rename_create_only(folder, b"old", folder, b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("new", "content")]


def test_a_name_that_is_taken_stays_with_who_has_it(tmp_path: Path, folder: int) -> None:
    (tmp_path / "old").write_text("content")
    (tmp_path / "new").write_text("other")
    with pytest.raises(FileExistsError):
        rename_create_only(folder, b"old", folder, b"new")
    assert (tmp_path / "old").read_text() == "content"
    assert (tmp_path / "new").read_text() == "other"


def test_a_file_that_is_gone_is_an_error_of_its_own(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename_create_only(folder, b"old", folder, b"new")


def test_a_file_system_is_brought_to_the_disk_by_any_file_of_it(folder: int) -> None:
    syncfs(folder)
    with pytest.raises(OSError, match="Bad file descriptor"):
        syncfs(-1)


def test_what_was_written_is_started_on_its_way_and_waited_for(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        write_back(file.fileno(), 0, 1 << 19, wait=False)
        write_back(file.fileno(), 0, 1 << 20, wait=True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_back(-1, 0, 1, wait=True)


def test_where_a_file_cannot_be_started_on_its_way_nothing_happens() -> None:
    read, write = os.pipe()
    write_back(write, 0, 1, wait=True)
    os.close(read)
    os.close(write)
