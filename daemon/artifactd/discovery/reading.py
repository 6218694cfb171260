"""Open an artifact beneath the data directory, prove it complete, hash it, refuse what changed meanwhile."""

import errno
import math
import os
import stat
from dataclasses import dataclass
from typing import Final

from artifactd import checksum
from artifactd.artifact import Digest, Identity
from artifactd.decisions.settle import Complete, Incomplete, Settled, Writers, verdict
from artifactd.discovery.evidence import writers, zip_problem
from artifactd.linux.files import identity_of
from artifactd.linux.open_beneath import READ, open_beneath
from artifactd.stores.base import Parts, Source, size_of_parts

SMALL: Final = 256 << 10
"""Bytes up to which a file's content is kept in memory and its descriptor closed: it is read once only."""

OTHER_NAMES: Final = "it has more than one name (hard links), and another may lie elsewhere"

_NOT_WRITTEN: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""What fsync(2) says where bytes did not reach the disk. Anything else: this file system cannot be asked."""

_SPARSE_FROM: Final = 64 << 20
_SPARSE_RATIO: Final = 100  # a hole reaches any number


@dataclass(frozen=True, slots=True)
class Reading:
    """A complete artifact, hashed. Its `source` is open until `close`."""

    settled: Settled
    identity: Identity
    digest: Digest
    source: Source
    evidence: str

    def close(self) -> None:
        """Close the source."""
        if self.source.fd >= 0:
            os.close(self.source.fd)

    def unchanged(self) -> bool:
        """Whether the file can be shown to be the one that was hashed. Content in memory cannot change."""
        if self.source.fd < 0:
            return True
        try:
            return identity_of(os.fstat(self.source.fd)) == self.identity
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class NotYet:
    """The file is not complete, or changed while it was looked at."""

    settled: Settled
    identity: Identity
    incomplete: Incomplete


@dataclass(frozen=True, slots=True)
class Unfit:
    """The file cannot be exported as it is. Nothing of it was read."""

    settled: Settled
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """The file is no longer there."""

    settled: Settled


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file could not be read; that may pass."""

    settled: Settled
    reason: str


Outcome = Reading | NotYet | Unfit | Missing | Unreadable


def read(  # noqa: PLR0917 - each of a type of its own
    root: int,
    settled: Settled,
    quiet_seconds: float,
    max_size: int | None,
    part_size: int | None = None,
    written_back: float = -math.inf,
) -> Outcome:
    """Open, probe and hash the artifact below the open data directory `root`.

    A file of more than `part_size` bytes is hashed in parts, too: for stores that send it in parts.

    It never raises for what a file can be. A `Reading` is a snapshot: the identity was the same before the
    first byte was read and after the last, and nobody had the file open for writing, as far as is known. Its
    bytes are on the disk, so that a power cut does not take from the file what a copy was made of: one that
    changed after `written_back`, in seconds since the epoch, is flushed, as its writer may not have done.
    """
    sighting = settled.sighting
    if not stat.S_ISREG(sighting.mode):
        kind = _KINDS.get(stat.S_IFMT(sighting.mode), "no regular file")
        return Unfit(settled, f"{kind}: only regular files are exported")
    try:
        fd = open_beneath(root, sighting.path, READ)
    except FileNotFoundError:
        return Missing(settled)
    except OSError as error:
        return _not_opened(settled, error)
    try:
        outcome = _examine(fd, settled, quiet_seconds, max_size, part_size)
        if isinstance(outcome, Reading) and outcome.identity.ctime_ns > written_back * 1e9:
            outcome = _flushed(fd, outcome)
    except OSError as error:
        outcome = Unreadable(settled, f"it cannot be read: {error.strerror}")
    if not (isinstance(outcome, Reading) and outcome.source.fd == fd):
        os.close(fd)
    return outcome


def _flushed(fd: int, found: Reading) -> Outcome:
    """What was read, once it is on the disk. A file may be flushed by whoever may read it."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in _NOT_WRITTEN:
            return Unreadable(found.settled, f"it cannot be brought to its own disk: {error.strerror}")
    after = identity_of(os.fstat(fd), found.identity.dev)
    if after != found.identity:  # the server of a share gives what it was sent new times
        return NotYet(found.settled, after, Incomplete("it changed while it was flushed"))
    return found


_KINDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _not_opened(settled: Settled, error: OSError) -> Outcome:
    match error.errno:
        case errno.ELOOP:
            return Unfit(settled, "a link on its path: links are not followed")
        case errno.EXDEV:
            return Unfit(settled, "it lies on another file system: mounts are not crossed")
        case errno.ENOTDIR:
            return Missing(settled)
        case errno.EAGAIN:
            busy = Incomplete("another process holds a lease on it")
            return NotYet(settled, settled.sighting.identity, busy)
        case _:
            return Unreadable(settled, f"it cannot be opened: {error.strerror}")


def _examine(
    fd: int, settled: Settled, quiet_seconds: float, max_size: int | None, part_size: int | None
) -> Outcome:
    status = os.fstat(fd)
    identity = identity_of(status, settled.sighting.identity.dev)
    if reason := _unfit(fd, status, max_size):
        return Unfit(settled, reason)
    if identity != settled.sighting.identity:
        return NotYet(settled, identity, Incomplete("it changed since it was seen"))
    found = writers(fd)
    is_zip = settled.sighting.path.lower().endswith(b".zip")
    problem = zip_problem(fd, identity.size) if is_zip and found is not Writers.SOME else None
    match verdict(settled, found, problem, quiet_seconds):
        case Incomplete() as incomplete:
            return NotYet(settled, identity, incomplete)
        case Complete(evidence):
            source, digest = _hashed(fd, identity.size, part_size)
    after = identity_of(os.fstat(fd), identity.dev)
    if after != identity or source.size != identity.size or writers(fd) is Writers.SOME:
        return NotYet(settled, after, Incomplete("it changed while it was read"))
    return Reading(settled, identity, digest, source, evidence)


def _unfit(fd: int, status: os.stat_result, max_size: int | None) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "something else than a regular file took its place"
    if status.st_nlink > 1:
        return OTHER_NAMES
    if max_size is not None and status.st_size > max_size:
        return f"its {status.st_size} bytes are over limits.max_file_size ({max_size} bytes)"
    held = 512 * status.st_blocks
    if status.st_size >= max(_SPARSE_FROM, _SPARSE_RATIO * held) and _has_a_hole(fd, status.st_size):
        return f"it claims {status.st_size} bytes and holds {held}: a sparse file"
    return None


def _has_a_hole(fd: int, size: int) -> bool:
    """Whether a part of the file was never written. Few blocks alone say little.

    ZFS counts blocks seconds late, FUSE may not count them at all, and file systems compress.
    """
    return os.lseek(fd, 0, os.SEEK_HOLE) < size


def _hashed(fd: int, size: int, part_size: int | None) -> tuple[Source, Digest]:
    """The bytes, to be put, and their digest. `Source.size` is what was really read."""
    if size <= SMALL:
        content = os.pread(fd, size + 1, 0)
        return Source(len(content), content), checksum.of_bytes(content)
    if part_size is not None and size > part_size:
        each = size_of_parts(size, part_size)
        digest, digests, read_size = checksum.of_parts(fd, size, each)
        return Source(read_size, fd=fd, parts=Parts(each, digests)), digest
    digest, read_size = checksum.of_file(fd, at_most=size + 1)
    return Source(read_size, fd=fd), digest
