"""SHA-256 of bytes and of open files."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Final

from artifactd.artifact import Digest

BUFFER: Final = 256 << 10
"""Bytes hashed at a time: fits a core's own cache, and leaves the interpreter's lock free for long."""


def of_bytes(content: bytes) -> Digest:
    """The digest of `content`."""
    return Digest(hashlib.sha256(content).hexdigest())


def of_chunks(chunks: Iterable[bytes], progress: Callable[[int], None] | None = None) -> Digest:
    """The digest of these chunks, one after the other. `progress` is told the bytes as they pass."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
        if progress is not None:
            progress(len(chunk))
    return Digest(sha256.hexdigest())


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


def of_parts(fd: int, size: int, part_size: int) -> tuple[Digest, tuple[bytes, ...], int]:
    """The digest of the first `size` bytes of the open file, that of each part (32 bytes), and bytes read.

    Whole and parts are hashed from the same buffer, so they speak of the same bytes. A file that was cut
    gives fewer bytes than `size`.

    Raises:
        OSError: it cannot be read.
    """
    whole, parts, read = hashlib.sha256(), list[bytes](), 0
    buffer = memoryview(bytearray(BUFFER))
    while read < size:
        part, end = hashlib.sha256(), min(size, read + part_size)
        while read < end and (count := os.preadv(fd, [buffer[: end - read]], read)):
            whole.update(buffer[:count])
            part.update(buffer[:count])
            read += count
        parts.append(part.digest())
        if read < end:
            break
    return Digest(whole.hexdigest()), tuple(parts), read
