"""From a source to an open file, in the kernel where the file systems allow it.

What is written goes to the disk as it comes: else a barrier of a small copy beside it, which is one for the
whole file system, would have to wait for all of a large one.
"""

import errno
import os
from typing import Final

from artifactd.linux.durable import write_back
from artifactd.stores.base import Source

_WINDOW: Final = 32 << 20
"""Bytes that are on their way to the disk; as many again may be written meanwhile."""


def copy(source: Source, fd: int) -> None:
    """Write the source's bytes to `fd`, in the kernel where the file systems allow it.

    Raises:
        OSError: the source cannot be read or `fd` not be written.
    """
    if source.content is None and _copied_by_kernel(source, fd):
        return
    written = 0
    for chunk in source.chunks():
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(fd, rest) :]
        _pace(fd, written, written := written + len(chunk))


def _pace(fd: int, before: int, after: int) -> None:
    """Where a window was filled, start it on its way to the disk, and wait for the one before it."""
    full = after // _WINDOW
    if full > before // _WINDOW:
        write_back(fd, (full - 1) * _WINDOW, _WINDOW, wait=False)
        if full > 1:
            write_back(fd, (full - 2) * _WINDOW, _WINDOW, wait=True)


def _copied_by_kernel(source: Source, fd: int) -> bool:
    """Whether copy_file_range(2) did it; nothing is written where it did not."""
    offset = 0
    try:
        while offset < source.size:
            count = os.copy_file_range(source.fd, fd, min(_WINDOW, source.size - offset), offset, offset)
            if count == 0:
                return offset > 0
            _pace(fd, offset, offset := offset + count)
    except OSError as error:
        if offset == 0 and error.errno in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise
    return True
