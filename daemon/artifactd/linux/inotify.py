"""What inotify can do here: its limits, what is used of them, where it does not tell. Linux only."""

import ctypes
import errno
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_IN_DELETE_SELF = 0x400  # inotify(7)
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """What inotify(7) allows to one user."""

    watches: int
    """one is needed for each directory"""
    instances: int
    queued_events: int
    """of one instance; more that are unread are lost"""


def limits() -> Limits:
    """The limits that hold here: the lower of the machine's and the user namespace's.

    Raises:
        OSError: /proc/sys cannot be read.
    """

    def number(path: str) -> int:
        return int(Path("/proc/sys", path).read_text())

    return Limits(
        watches=min(number("fs/inotify/max_user_watches"), number("user/max_inotify_watches")),
        instances=min(number("fs/inotify/max_user_instances"), number("user/max_inotify_instances")),
        queued_events=number("fs/inotify/max_queued_events"),
    )


def inotify_watches() -> int | None:
    """How many inotify watches this process holds, by proc_pid_fdinfo(5); None where that cannot be read.

    It asks the kernel for a line per watch: for status and diagnosis, not for every second.
    """
    count = 0
    try:
        with os.scandir("/proc/self/fdinfo") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # closed meanwhile
                    count += Path(entry).read_bytes().count(b"inotify wd:")
    except OSError:
        return None
    return count


def shortage(directory: Path) -> str | None:
    """Why no further inotify watch can be had; None where one can. watchdog keeps silent about it."""
    descriptor = _LIBC.inotify_init1(os.O_CLOEXEC)
    if descriptor == -1:
        return f"no inotify instance can be had: {os.strerror(ctypes.get_errno())}"
    try:
        if _LIBC.inotify_add_watch(descriptor, os.fsencode(directory), _IN_DELETE_SELF) != -1:
            return None
        number = ctypes.get_errno()
    finally:
        os.close(descriptor)
    if number == errno.ENOSPC:
        return "the limit of inotify watches is reached: raise fs.inotify.max_user_watches"
    return f"no inotify watch can be had: {os.strerror(number)}"


_REMOTE = frozenset(
    b"9p afs beegfs ceph cifs fuse gfs2 glusterfs gpfs lustre nfs nfs4 ocfs2 orangefs pvfs2 smb3 smbfs "
    b"vboxsf virtiofs".split()
)
"""Others may write to these file systems, and inotify does not tell. "fuse" means "fuse.*" too."""


def file_system(mountinfo: bytes, path: bytes) -> bytes:
    """The type of the file system that holds the absolute `path`, by proc_pid_mountinfo(5). Pure."""
    found, longest = b"", -1
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(b" - ")
        point = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), fields.split()[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= longest:  # of two at one point the later one covers the other
            found, longest = rest.split()[0], len(point)
    return found


def remote_file_system(root: Path) -> str | None:
    """The type of the network or FUSE file system that `root` is on; None: hints come for all writes.

    Where it is not None, only a scan sees what other hosts write.

    Raises:
        OSError: /proc cannot be read.
    """
    kind = file_system(Path("/proc/self/mountinfo").read_bytes(), os.fsencode(os.path.realpath(root)))
    return kind.decode() if kind.split(b".")[0] in _REMOTE else None
