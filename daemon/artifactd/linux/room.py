"""How much room a file system has, and what to say where it has none."""

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactd.artifact import size_of
from artifactd.linux.files import account

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""What the kernel says where there is no room."""


@dataclass(frozen=True, slots=True)
class Room:
    """Of the file system that a directory lies on."""

    free: int
    """bytes that this account may still write, its quota aside"""
    size: int
    """bytes"""
    files: int | None = None
    """that this account may still make: free inodes; None where they are made as they are needed"""

    @property
    def more_files(self) -> bool:
        """Whether another file can be made; not where inodes have run out."""
        return self.files is None or self.files > 0

    def __str__(self) -> str:
        return f"{size_of(self.free)} free of {size_of(self.size)}" + (
            "" if self.more_files else ", and its inodes have run out"
        )


def room(path: Path | str | int) -> Room:
    """The room at `path`, which may be open. It hangs where a mount is dead.

    Raises:
        OSError: as statvfs(2).
    """
    found = os.statvfs(path)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return Room(free, size, found.f_favail if found.f_files else None)


def no_room(number: int, path: Path | str) -> str:
    """What to say of an errno of `FULL`, met in the directory at `path`."""
    if number == errno.EDQUOT:
        return f"no room: the quota of {account()} at {path} is used up"
    with suppress(OSError):
        return f"no room: the file system of {path} has {room(path)}"
    return f"no room: the file system of {path} is full"
