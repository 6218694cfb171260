"""What makes a file durable, and gives it a name that nobody else has."""

import ctypes
import errno
import os
from typing import Final

_NOREPLACE: Final = 1  # RENAME_NOREPLACE of linux/fs.h

_CANNOT_LINK: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What link(2) says on a file system without links. Where we may not write, the rename has said so before."""

_START: Final = 2  # SYNC_FILE_RANGE_WRITE of linux/fs.h; with WAIT_BEFORE (1) and WAIT_AFTER (4) it waits
_WAIT: Final = 7

_libc = ctypes.CDLL(None, use_errno=True)


def _major_minor(release: str) -> tuple[int, int]:
    major, minor = release.split(".")[:2]
    return int(major), int(minor.partition("-")[0])


SYNCFS_TELLS: Final = _major_minor(os.uname().release) >= (5, 8)
"""Whether syncfs(2) tells that a file could not be written. Before Linux 5.8 it kept silent."""


def syncfs(fd: int) -> None:
    """Bring everything of the file system of `fd` to the disk.

    Raises:
        OSError: some file of it could not be written since `fd` was opened.
    """
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def rename_create_only(from_dir: int, from_name: bytes, to_dir: int, to_name: bytes) -> None:
    """Give the file its new name unless that name is taken.

    Raises:
        FileExistsError: it is taken. The file keeps its old name.
        OSError: as rename(2); EOPNOTSUPP where the file system knows no way to do it. The file keeps its old
            name.
    """
    if _libc.renameat2(from_dir, from_name, to_dir, to_name, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):  # NFS and old kernels cannot; they can link
        raise OSError(number, os.strerror(number), to_name)
    try:
        os.link(from_name, to_name, src_dir_fd=from_dir, dst_dir_fd=to_dir, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        reason = "This file system can neither rename a file without replacing another nor link it"
        raise OSError(errno.EOPNOTSUPP, reason, to_name) from error
    os.unlink(from_name, dir_fd=from_dir)


def write_back(fd: int, offset: int, size: int, *, wait: bool) -> None:
    """Start these bytes of the file on their way to the disk; `wait`: until they are there.

    That is no barrier: neither the file's size nor the disk's own cache is flushed. Where the file system
    does not know how, nothing happens.

    Raises:
        OSError: they could not be written.
    """
    flags = ctypes.c_uint(_WAIT if wait else _START)
    if _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(size), flags) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS, errno.ESPIPE):
        raise OSError(number, os.strerror(number))
