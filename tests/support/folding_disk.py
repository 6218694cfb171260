"""Serves a directory as a file system that takes names which differ only in case for one.

It ends when that is unmounted.

A program of its own, `python -m tests.support.folding_disk BEHIND MOUNT`: mfusepy wants libfuse as soon as it
is imported. Like shares of Windows and macOS it keeps names as they were given, and like some of them it
numbers its inodes by name.
"""

import os
import sys
from pathlib import Path

import mfusepy  # type: ignore[import-untyped]  # it has no types


class Folding(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """What lies below `behind`, found by names in any case."""

    use_ns = True  # as mfusepy wants it told

    def __init__(self, behind: Path) -> None:
        self._behind = behind

    def _at(self, path: str) -> Path:
        here = self._behind
        for name in filter(None, path.split("/")):
            listed = (one.name for one in (here.iterdir() if here.is_dir() else ()))
            here /= next((one for one in listed if one.casefold() == name.casefold()), name)
        return here

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        status = self._at(path).lstat()
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid")
        times = {f"st_{kind}time": getattr(status, f"st_{kind}time_ns") for kind in "amc"}
        return {name: getattr(status, name) for name in names} | times

    def statfs(self, _path: str) -> dict[str, int]:
        status = os.statvfs(self._behind)
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize")
        return {name: getattr(status, name) for name in names} | {"f_namemax": 255}

    def readdir(self, path: str, _handle: int) -> list[str]:
        return [".", "..", *(one.name for one in self._at(path).iterdir())]

    def mkdir(self, path: str, mode: int) -> int:
        self._at(path).mkdir(mode)
        return 0

    def create(self, path: str, mode: int, _info: object = None) -> int:
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & os.O_ACCMODE)

    def read(self, _path: str, size: int, where: int, handle: int) -> bytes:
        return os.pread(handle, size, where)

    def write(self, _path: str, content: bytes, where: int, handle: int) -> int:
        return os.pwrite(handle, content, where)

    def truncate(self, path: str, length: int, _handle: int | None = None) -> int:
        os.truncate(self._at(path), length)
        return 0

    def fsync(self, _path: str, _data_only: int, handle: int) -> int:
        os.fsync(handle)
        return 0

    def release(self, _path: str, handle: int) -> int:
        os.close(handle)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self._at(path).chmod(mode)
        return 0

    def unlink(self, path: str) -> int:
        self._at(path).unlink()
        return 0

    def link(self, new: str, old: str) -> int:
        self._at(new).hardlink_to(self._at(old))  # where libfuse knows no rename that replaces nothing
        return 0

    def rename(self, old: str, new: str) -> int:
        self._at(old).rename(self._at(new))
        return 0


if __name__ == "__main__":
    mfusepy.FUSE(Folding(Path(sys.argv[1])), sys.argv[2], foreground=True, attr_timeout=0, entry_timeout=0)
