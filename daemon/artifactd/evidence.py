"""What a file tells of itself once it is open: who else writes it, and whether a zip is whole."""

import errno
import fcntl
import os
import signal
import struct
from typing import Final

from artifactd.settle import Writers


def prepare() -> None:
    """Make this process fit to ask for leases: a broken lease must not kill it. Main thread only.

    A writer that opens the file in the microseconds in which the lease is held raises SIGIO here, whose default is
    to end the process (fcntl(2), F_SETLEASE).
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def writers(fd: int) -> Writers:
    """Whether any process has the file open for writing, asked by a read lease that is given back at once.

    It needs to own the file, or CAP_LEASE, and a local file system; elsewhere the answer is UNKNOWN.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Writers.SOME if error.errno == errno.EAGAIN else Writers.UNKNOWN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writers.NONE


# The zip format, from PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.12 (central directory), 4.3.14 to 4.3.16 (its ends).
_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LONGEST_COMMENT: Final = 0xFFFF
_DIRECTORY_BYTES: Final = 64 << 20
"""Of a directory, as much is read: hundreds of thousands of entries, and a bound on what a hostile zip can cost."""


def zip_problem(fd: int, size: int) -> str | None:
    """Why the zip of `size` bytes is not whole; None where its directory reads. Nothing is ever inflated.

    Raises:
        OSError: the file cannot be read.
    """
    tail_size = min(size, _END.size + _LONGEST_COMMENT)
    tail = os.pread(fd, tail_size, size - tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return "a zip without its end: cut short, or still being written"
    _, _, _, _, entries, length, _, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment > len(tail):
        return "a zip whose end is cut short"
    end = size - tail_size + at
    if entries == 0xFFFF or length == 0xFFFFFFFF:  # noqa: PLR2004 - "look in the 64-bit record", 4.4.1.4
        found = _zip64(fd, end)
        if found is None:
            return "a zip whose 64-bit end does not read"
        entries, length, end = found
    start = end - length
    if start < 0:
        return "a zip whose directory is larger than the file"
    return _directory_problem(fd, start, length, entries)


def _zip64(fd: int, end: int) -> tuple[int, int, int] | None:
    """Entries, length and end of a directory that is told in 64 bits; None where it does not read."""
    at = end - _END64_LOCATOR.size
    if at < 0:
        return None
    locator = os.pread(fd, _END64_LOCATOR.size, at)
    end64 = at - _END64.size  # the record stands right before its locator unless it holds extra data
    if len(locator) < _END64_LOCATOR.size or locator[:4] != b"PK\x06\x07" or end64 < 0:
        return None
    record = os.pread(fd, _END64.size, end64)
    if record[:4] != b"PK\x06\x06":
        return None
    *_, entries, length, _ = _END64.unpack(record)
    return entries, length, end64


def _directory_problem(fd: int, start: int, length: int, entries: int) -> str | None:
    """Walk the directory's entries; they must fill its length exactly and be as many as its end says."""
    if length > _DIRECTORY_BYTES:
        first = os.pread(fd, 4, start)
        return None if first == b"PK\x01\x02" else "a zip whose directory does not read"
    directory = os.pread(fd, length, start)
    at = count = 0
    while at + _ENTRY.size <= len(directory) and directory.startswith(b"PK\x01\x02", at):
        *_, name, extra, comment, _, _, _, _ = _ENTRY.unpack_from(directory, at)
        at += _ENTRY.size + name + extra + comment
        count += 1
    if at != length or count % 0x10000 != entries % 0x10000:
        return "a zip whose directory does not read"
    return None
