"""What the file system store asks of Linux, and what Linux's errors mean to it."""

import ctypes
import errno
import os
from typing import Final

from artifactd.stores.base import Conflict, Denied, Source, StoreError, Unacceptable, Unavailable

_NOREPLACE: Final = 1  # RENAME_NOREPLACE of linux/fs.h

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
        OSError: as rename(2). The file keeps its old name.
    """
    if _libc.renameat2(from_dir, from_name, to_dir, to_name, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):  # NFS and old kernels cannot; they can link
        raise OSError(number, os.strerror(number), to_name)
    os.link(from_name, to_name, src_dir_fd=from_dir, dst_dir_fd=to_dir, follow_symlinks=False)
    os.unlink(from_name, dir_fd=from_dir)


def copy(source: Source, fd: int) -> None:
    """Write the source's bytes to `fd`, in the kernel where the file systems allow it.

    Raises:
        OSError: the source cannot be read or `fd` not be written.
    """
    if source.content is None and _copied_by_kernel(source, fd):
        return
    for chunk in source.chunks():
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(fd, rest) :]


def _copied_by_kernel(source: Source, fd: int) -> bool:
    """Whether copy_file_range(2) did it; nothing is written where it did not."""
    offset = 0
    try:
        while offset < source.size:
            count = os.copy_file_range(source.fd, fd, source.size - offset, offset, offset)
            if count == 0:
                return offset > 0
            offset += count
    except OSError as error:
        if offset == 0 and error.errno in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise
    return True


def meaning(error: OSError, what: str) -> StoreError:
    """What `error`, met at `what`, means to whoever asked."""
    said = f"{what}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EMFILE | errno.ENFILE:
            return Unavailable(said)
        case errno.ESTALE | errno.ENODEV | errno.ENOTCONN | errno.EHOSTDOWN:
            return Unavailable(f"{said}. Is it mounted?")
        case errno.EACCES | errno.EPERM:
            return Denied(f"{said}. The daemon's account needs to write there")
        case errno.ELOOP | errno.ENOTDIR | errno.EXDEV | errno.EISDIR | errno.ENXIO:
            return Conflict(f"{said}. A link, a file or a mount stands in its way")
        case errno.ENAMETOOLONG | errno.EFBIG | errno.EILSEQ:
            return Unacceptable(said)
        case _:
            return StoreError(said)
