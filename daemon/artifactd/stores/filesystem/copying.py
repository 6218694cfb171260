"""From a source to an open file, in the kernel where the file systems allow it."""

import errno
import os

from artifactd.stores.base import Source


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
