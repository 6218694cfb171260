"""What a file tells of itself once it is open: who else writes it, and whether a zip is whole."""

import errno
import fcntl
import os
import signal
import struct
from dataclasses import dataclass
from typing import Final

from artifactd.decisions.settle import Writers


def prepare() -> None:
    """Make this process fit to ask for leases: a broken lease must not kill it. Main thread only.

    A writer that opens the file in the microseconds in which the lease is held raises SIGIO here, whose
    default is to end the process (fcntl(2), F_SETLEASE).
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def writers(fd: int) -> Writers:
    """Whether any process has the file open, or mapped, for writing. `fd` is open for reading only.

    The kernel is asked by a read lease, given back at once. That needs the file's owner or CAP_LEASE, and a
    local file system; elsewhere the answer is UNKNOWN.

    Raises:
        OSError: the lease could not be given back; closing `fd` does that.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Writers.SOME if error.errno == errno.EAGAIN else Writers.UNKNOWN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writers.NONE


# The zip format, from PKWARE's APPNOTE.TXT 6.3.10: sections 4.3.7 (local header), 4.3.12 (an entry of the
# directory), 4.3.14 to 4.3.16 (the directory's ends).
_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL_MARK: Final = b"PK\x03\x04"
_ENTRY_MARK: Final = b"PK\x01\x02"
_LONGEST_COMMENT: Final = 0xFFFF
_DIRECTORY_BYTES: Final = 16 << 20
"""As much of a directory is walked: a hundred thousand entries and more. A hostile zip costs no more."""

_WINDOW: Final = 1 << 20
"""Bytes of a directory in memory at a time."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """Where a zip's end says that its directory is."""

    entries: int
    offset: int
    """bytes from where the zip starts, which need not be where the file starts"""
    length: int
    end: int
    """bytes from the start of the file"""

    @property
    def start(self) -> int:
        """Bytes from the start of the file."""
        return self.end - self.length


def zip_problem(fd: int, size: int) -> str | None:
    """Why the zip of `size` bytes is not whole; None where its directory reads. Nothing is ever inflated.

    What stands before the first entry (the program of a self-extracting zip) or behind the end is let pass.

    Raises:
        OSError: the file cannot be read.
    """
    tail_size = min(size, _END.size + _LONGEST_COMMENT)
    tail = os.pread(fd, tail_size, size - tail_size)
    at = _end_in(tail)
    if at is None:
        return "a zip without its end: cut short, or still being written"
    *_, entries, length, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment > len(tail):
        return "a zip whose end is cut short"
    end = size - tail_size + at
    found = _in_64_bits(fd, end) or _Directory(entries, offset, length, end)
    if found.start < 0 or found.offset > found.start:
        return "a zip whose directory is larger than the file"
    if found.offset != found.start and os.pread(fd, len(_LOCAL_MARK), 0) == _LOCAL_MARK:
        return "a zip whose end belongs to a zip inside it: cut short, or still being written"
    return None if _reads(fd, found) else "a zip whose directory does not read"


def _end_in(tail: bytes) -> int | None:
    """Where the end record starts in these last bytes of a file: the one that fits their end, or the last."""
    last = at = tail.rfind(b"PK\x05\x06", 0, max(0, len(tail) - _END.size + 4))
    while at >= 0:
        if at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return last if last >= 0 else None


def _in_64_bits(fd: int, end: int) -> _Directory | None:
    """The directory as the 64-bit record before the end record tells it; None where there is none."""
    record_end = end - _LOCATOR.size
    start = record_end - _END64.size
    if start < 0:
        return None
    both = os.pread(fd, _END64.size + _LOCATOR.size, start)
    if len(both) < _END64.size + _LOCATOR.size:
        return None
    if both[_END64.size :][:4] != b"PK\x06\x07" or both[:4] != b"PK\x06\x06":
        return None
    *_, entries, length, offset = _END64.unpack_from(both)
    return _Directory(entries, offset, length, start)


def _reads(fd: int, directory: _Directory) -> bool:
    """Walk the directory: its entries fill it exactly, and are as many as its end says (in 16 bits)."""
    at = window_at = count = 0
    window = b""
    while at < min(directory.length, _DIRECTORY_BYTES):
        if at + _ENTRY.size > window_at + len(window):
            window_at, window = at, os.pread(fd, min(_WINDOW, directory.length - at), directory.start + at)
        if not window.startswith(_ENTRY_MARK, at - window_at) or at + _ENTRY.size > window_at + len(window):
            return False
        *_, name, extra, comment, _, _, _, _ = _ENTRY.unpack_from(window, at - window_at)
        at += _ENTRY.size + name + extra + comment
        count += 1
    if directory.length > _DIRECTORY_BYTES:
        return True
    return at == directory.length and count % 0x10000 == directory.entries % 0x10000
