"""Where the ledger lies: what its directory has to be, and what to say where it cannot be used."""

import errno
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from artifactd.linux.files import account, as_account, in_command
from artifactd.linux.room import FULL, no_room, room

_NOT_LET_IN: Final = (errno.EACCES, errno.EPERM)
_NO_DIRECTORY: Final = (errno.ENOTDIR, errno.EEXIST)

_NOT_OPENED: Final = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
)
_PERHAPS_FULL: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
"""What SQLite also says where the file that it puts beside the ledger finds no room."""

_LEAST_BYTES: Final = 64 << 10
"""Twice what the smallest of those files takes."""

_PRIMARY: Final = 0xFF
"""Bits of SQLite's code that say what kind of error it is (sqlite.org/rescode.html)."""


def refused(directory: Path) -> str | None:
    """Why this process must not export from the state in `directory`; None: it may, as far as is known.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        found = directory.stat()
    except FileNotFoundError:
        return None
    if found.st_mode & stat.S_IWOTH:
        below = "or, where that is a volume which stays open, let artifactd.state_directory lie below it"
        return (
            f"every account may write in {directory}, and so forge the record: chmod o-w {directory}; {below}"
        )
    if os.geteuid() == 0 != found.st_uid:
        owner, command = account(found.st_uid), f"{as_account(found.st_uid)} artifactd …"
        return f"{directory} is {owner}'s, and what root makes would lock {owner} out. Run it so: {command}"
    return None


class OpenFile:
    """The `file` of a ledger that is open, and SQLite's log beside it.

    SQLite itself goes on with a file that was deleted. All that it writes is lost with the process.
    """

    def __init__(self, file: Path) -> None:
        log = file.with_name(f"{file.name}-wal")
        self._files = {path: found for path in (file, log) if (found := _inode(path)) is not None}

    def left(self) -> str | None:
        """What to say where it lies there no more; None: it does, as far as is known. It takes 5 µs."""
        for path, inode in self._files.items():
            try:
                if _inode(path) == inode:
                    continue
            except OSError:
                continue  # it cannot be looked at, which proves nothing
            return (
                f"{path} was deleted, moved or replaced while this artifactd uses it: nothing would stay on"
                " record. Put it back; or restart artifactd, which takes the ledger that lies there then, or"
                " begins a new one and fills it from source and store"
            )
        return None


def _inode(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any other; None: there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def unusable(directory: Path, error: OSError) -> str:
    """What to say of `error`, met where the state in `directory` was to be used."""
    if error.errno in FULL:
        return f"{no_room(error.errno or 0, directory)}. Make room for the state there"
    if error.errno in _NOT_LET_IN:
        return _not_let_in(directory)
    if error.errno in _NO_DIRECTORY:
        return f"{directory} is no directory, or lies below a file. Mend artifactd.state_directory"
    return f"{directory}: {error.strerror}. The state directory has to be writable"


def unusable_file(file: Path, error: sqlite3.OperationalError) -> str:
    """What to say of SQLite's `error` with the ledger in `file`."""
    code = error.sqlite_errorcode & _PRIMARY
    if code == sqlite3.SQLITE_FULL or (code in _PERHAPS_FULL and _has_no_room(file)):
        return f"{no_room(errno.ENOSPC, file.parent)}. Make room for the ledger there"
    if code in _NOT_OPENED:
        return _not_let_in(file)
    if code == sqlite3.SQLITE_IOERR:  # SQLite tells no quota from a broken disk
        return f"the ledger {file}: {error}. The disk is broken, or a quota used up: see the kernel's log"
    return f"the ledger {file}: {error}"


def _has_no_room(file: Path) -> bool:
    """Whether this account may use `file`, and nothing finds room beside it."""
    with suppress(OSError):
        found = room(file.parent)
        full = found.free < _LEAST_BYTES or not found.more_files
        return full and os.access(file, os.R_OK | os.W_OK)
    return False


def _not_let_in(path: Path) -> str:
    """That this account may not use `path`, whose it is, and what to do."""
    who = account()
    try:
        uid, flags = path.stat().st_uid, os.statvfs(path).f_flag
    except OSError as error:
        return f"{who} does not get to {path}: {error.strerror}. See the directories above it"
    if flags & os.ST_RDONLY:
        return f"{path} lies on a file system that is mounted read-only"
    if uid == os.geteuid():
        return f"{who} may not use {path}, though it is its own: chmod u+rwX {path}"
    owner = f"run it as its owner, {as_account(uid)} artifactd …"
    give = f"chown {in_command()} {path}"
    return f"{who} may not use {path}, which is {account(uid)}'s: {owner}, or give it away, {give}"
