"""The local clone: bare, shallow, without blobs; a cache that may be deleted at any time.

Each process that opens the store takes a place of its own, `<home>/<remote>-<n>/`, and locks it. The lock
is inherited by every git it starts, so it lasts until the last of them is gone, however the process died: who
gets a place finds nobody at work in it, and whatever lock files lie there are stale.

A place is used again only if it was left in order since this machine was booted. After a kill or a power cut
it is emptied; so nothing in it is ever flushed to the disk, and nothing in it has to be repaired.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from artifactd.stores.git.process import Runner, Running
from artifactd.stores.git.remote import Remote

HEAD: Final = "refs/artifactd/head"
"""What the remote's branch was when it was last looked at."""

_NO_DELTAS: Final = "* -delta\n"
"""Artifacts are seldom alike: looking for it is most of the time that a push takes. Folders are alike."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_CLEAN: Final = "in-order"
_LOCK: Final = "lock"
_GROWTH: Final = 32 << 20
"""Bytes that the clone may grow by until it is made anew: the trees of some thousand commits."""


class Clone:
    """One place, locked for as long as this object is open.

    Raises:
        OSError, GitFailed, NoGit: there can be no clone in `home`.
    """

    def __init__(self, home: Path, remote: Remote, running: Running) -> None:
        self._remote = remote
        self._running = running
        self.place, self._lock = _locked(home, _name(remote))
        self._repository = self.place / "repository.git"
        self.index = self.place / "index"
        """the private index"""
        self.outgoing = self.place / "outgoing"
        """what is being pushed; emptied after each push"""
        self.git = Runner(self._repository, remote.seconds, running, held=(self._lock,))
        self.indexed: str | None = None
        """the commit that the private index is of; None: it is of none"""
        self.shallow: bool | None = None
        """whether a push tells the server which history is missing here; None: it was not tried yet"""
        self._fresh = 0
        try:
            self._prepare()
        except BaseException:
            self.close(in_order=False)
            raise

    def _prepare(self) -> None:
        if not _left_in_order(self.place / _CLEAN):
            for path in self.place.iterdir():
                if path.name != _LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            _init(self.git)
        (self._repository / "config").write_text(self._remote.settings())
        (self._repository / "info").mkdir(exist_ok=True)
        (self._repository / "info" / "attributes").write_text(_NO_DELTAS)
        self.sweep()

    @property
    def intact(self) -> bool:
        """Whether it is there at all."""
        return (self._repository / "HEAD").exists() and self.outgoing.exists()

    def local(self) -> dict[str, str]:
        """The environment of git's work on the clone, and on what is outgoing. No network is to be had."""
        return {
            "GIT_ALLOW_PROTOCOL": "",
            "GIT_INDEX_FILE": str(self.index),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.outgoing / "objects"),
        }

    def storing(self) -> dict[str, str]:
        """As `local`; new objects go to what is outgoing."""
        return self.local() | {
            "GIT_OBJECT_DIRECTORY": str(self.outgoing / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._repository / "objects"),
        }

    def online(self) -> dict[str, str]:
        """The environment of git's talk to the remote."""
        return self.local() | self._remote.env

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the commands of the store are ended."""
        self._running.pause(seconds)

    def sweep(self) -> None:
        """Forget what was outgoing."""
        if self.outgoing.exists():
            shutil.rmtree(self.outgoing)
        (self.outgoing / "objects").mkdir(parents=True)

    @property
    def overgrown(self) -> bool:
        """Whether it is time for a new clone. The first look is the measure of later ones."""
        size = _size(self._repository / "objects")
        self._fresh = self._fresh or size
        return size > 2 * self._fresh + _GROWTH

    @contextmanager
    def scratch(self) -> Iterator[Runner]:
        """An empty clone for one read: what is in it came from the remote just now."""
        directory = Path(mkdtemp(prefix="reading-", dir=self.place))
        try:
            runner = Runner(directory, self._remote.seconds, self._running, held=(self._lock,))
            _init(runner)
            (directory / "config").write_text(self._remote.settings())
            yield runner
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def close(self, *, in_order: bool) -> None:
        """Leave the place; `in_order`: the next may use what is in it."""
        with suppress(OSError):
            if in_order and _still_there(self.place / _LOCK, self._lock):
                self.sweep()
                (self.place / _CLEAN).write_bytes(_BOOT.read_bytes())
        os.close(self._lock)


def _init(git: Runner) -> None:
    git.directory.mkdir(exist_ok=True)
    git.run("init", "--quiet", "--bare", "--template=", str(git.directory))


def _name(remote: Remote) -> str:
    return hashlib.sha256(f"{remote.address.url} {remote.ref}".encode()).hexdigest()[:16]


def _locked(home: Path, name: str) -> tuple[Path, int]:
    """The first place that nobody uses, and its lock.

    Raises:
        OSError: it can be neither made nor opened.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in count():
        place = home / f"{name}-{number}"
        place.mkdir(exist_ok=True, mode=0o700)
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if _still_there(place / _LOCK, lock):
            return place, lock
        os.close(lock)
    raise AssertionError  # count() has no end


def _still_there(path: Path, fd: int) -> bool:
    """Whether `path` is the file that `fd` has open."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(status, os.fstat(fd))


def _left_in_order(stamp: Path) -> bool:
    """Whether the last user left it so since the machine was booted. It is not in order any more then."""
    try:
        in_order = stamp.read_bytes() == _BOOT.read_bytes()  # whatever bytes lie there
        stamp.unlink()
    except OSError:
        return False
    return in_order


def _size(directory: Path) -> int:
    """Bytes that it takes on the disk."""
    files = (Path(here) / name for here, _, names in os.walk(directory) for name in names)
    return sum(file.stat().st_blocks * 512 for file in files)
