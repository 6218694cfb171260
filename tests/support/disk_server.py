"""Serves the disks of `logged_disk` until they are unmounted.

A program of its own, `python -m tests.support.disk_server DIRECTORY LOG IMAGE…`: mfusepy wants libfuse as
soon as it is imported.
"""

import errno
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import mfusepy  # type: ignore[import-untyped]  # it has no types

from tests.support.logged_disk import Step, What, packed


class Served(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """The file system below the loop devices: a file for each disk, and `mark`, which logs what it hears."""

    use_ns = True  # as mfusepy wants it told

    def __init__(self, log: Path, images: Sequence[Path]) -> None:
        self._log = log.open("ab", buffering=0)
        self._images = {f"/{disk}": os.open(image, os.O_RDWR) for disk, image in enumerate(images)}

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == "/mark":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1}
        if path not in self._images:
            raise mfusepy.FuseOSError(errno.ENOENT)
        size = os.fstat(self._images[path]).st_size
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}

    def readdir(self, _path: str, _handle: int) -> list[str]:
        return [".", "..", "mark", *(path[1:] for path in self._images)]

    def truncate(self, _path: str, _length: int, _handle: int | None = None) -> int:
        return 0  # `mark` is opened so

    def read(self, path: str, size: int, where: int, _handle: int) -> bytes:
        return os.pread(self._images[path], size, where)

    def write(self, path: str, content: bytes, where: int, _handle: int) -> int:
        if path == "/mark":
            self._log.write(packed(Step(What.MARKED, content=content)))
        else:
            os.pwrite(self._images[path], content, where)
            self._log.write(packed(Step(What.WRITTEN, int(path[1:]), where, content)))
        return len(content)

    def fsync(self, path: str, _data_only: int, _handle: int) -> int:
        self._log.write(packed(Step(What.FLUSHED, int(path[1:]))))
        return 0


if __name__ == "__main__":
    mfusepy.FUSE(
        Served(Path(sys.argv[2]), [Path(image) for image in sys.argv[3:]]),
        sys.argv[1],
        foreground=True,
        nothreads=True,  # one order for all
        direct_io=True,  # each write comes here as the loop device makes it
    )
