"""A name is given once, and what was written gets to the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.linux.durable import rename_create_only, syncfs


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
