"""How much room there is, and what is said where there is none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifactd.linux.files import account
from artifactd.linux.room import Room, no_room, room


def test_the_room_is_what_the_file_system_says(tmp_path: Path, tmpfs: Callable[[Path, str], Path]) -> None:
    small = tmpfs(tmp_path / "small", "1m,nr_inodes=9")
    assert room(small) == Room(1 << 20, 1 << 20, 8)
    (small / "file").write_bytes(bytes(4096))
    assert room(small) == Room((1 << 20) - 4096, 1 << 20, 7)


def test_a_file_system_without_inodes_left_is_told(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    small = tmpfs(tmp_path / "small", "1m,nr_inodes=2")
    (small / "file").touch()
    with pytest.raises(OSError, match="No space left") as caught:
        (small / "other").touch()
    told = f"no room: the file system of {small} has 1.0 MiB free of 1.0 MiB, and its inodes have run out"
    assert no_room(caught.value.errno or 0, small) == told


def test_a_quota_is_told_with_whose_it_is_and_a_place_that_is_gone_is_told_all_the_same(
    tmp_path: Path,
) -> None:
    assert no_room(errno.EDQUOT, tmp_path) == f"no room: the quota of {account()} at {tmp_path} is used up"
    gone = tmp_path / "gone"
    assert not os.path.lexists(gone)
    assert no_room(errno.ENOSPC, gone) == f"no room: the file system of {gone} is full"
