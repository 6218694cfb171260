"""One exporter for each state: a lock that the kernel lets go of with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifactd.ledger.place import refused, unusable
from artifactd.ledger.schema import LedgerError, Unwritable


class InUse(LedgerError):
    """Another artifactd works on this state."""


@contextmanager
def lock(state_directory: Path) -> Iterator[None]:
    """Be the only one who exports from this state, for the length of the block or of the process.

    Raises:
        InUse: another process is. Nothing was written.
        Unwritable: the state directory cannot be written, or must not be (see `refused`).
    """
    fd = -1
    try:
        if (reason := refused(state_directory)) is not None:
            raise Unwritable(reason)
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(fd)
        if fd >= 0:
            os.close(fd)
        if isinstance(error, BlockingIOError):
            raise InUse(f"another artifactd ({owner}) already works on {state_directory}") from None
        raise Unwritable(unusable(state_directory, error)) from error
    try:
        with suppress(OSError):  # no space: the lock holds, and only its message to others is poorer
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def held(state_directory: Path) -> bool:
    """Whether a process exports from this state, as far as this account can see."""
    try:
        fd = os.open(state_directory / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _owner(fd: int) -> str:
    """Who says in the lock's file to hold it."""
    pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip() if fd >= 0 else ""
    return f"process {pid}" if pid else "its process is not known"
