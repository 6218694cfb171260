"""SHA-256 of bytes and of open files."""

import hashlib
import os
import sys
from collections.abc import Callable
from typing import Final

from artifactd.artifact import Digest

BUFFER: Final = 256 << 10
"""Bytes hashed at a time: fits a core's own cache, and leaves the interpreter's lock free for long."""


def of_bytes(content: bytes) -> Digest:
    """The digest of `content`."""
    return Digest(hashlib.sha256(content).hexdigest())


def of_file(
    fd: int, progress: Callable[[int], None] | None = None, *, at_most: int = sys.maxsize
) -> tuple[Digest, int]:
    """The digest and the size in bytes of what the open file `fd` holds, from its start to its end.

    Of a file that grows as fast as it is read, `at_most` bytes are read. The descriptor's position stays
    where it is. `progress` is told the bytes as they pass.

    Raises:
        OSError: it cannot be read.
    """
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(BUFFER))
    size = 0
    while size < at_most and (count := os.preadv(fd, [buffer[: at_most - size]], size)):
        sha256.update(buffer[:count])
        size += count
        if progress is not None:
            progress(count)
    return Digest(sha256.hexdigest()), size
