"""A directory that the company controls: a disk, or a share that is mounted on this host.

A batch of puts shares its barriers: every file is written under a temporary name and read back, then one
flush makes them all durable, then each is renamed to its key, then one flush makes the names durable. A
single file costs two fsyncs, a hundred files cost two syncfs. No barrier is ever repeated on a file whose
flush failed: the kernel may have dropped its pages already, so the next try writes a new file (PostgreSQL's
"fsyncgate").

`<directory>/.artifactd/` holds the temporary files. It is made at the first put and expected from then on:
where it is missing later, the share is not mounted. A put would fill the disk below the mount point, and a
read would find every copy gone.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote

from artifactd import checksum
from artifactd.artifact import Digest, InvalidKey, Key, size_of
from artifactd.linux.durable import SYNCFS_TELLS, syncfs
from artifactd.linux.open_beneath import DIRECTORY, READ, directory, open_beneath
from artifactd.linux.room import room
from artifactd.stores.base import Put, Result, Stat, Store, StoreError, Unavailable, no_progress
from artifactd.stores.filesystem.answers import Full, meaning
from artifactd.stores.filesystem.delivery import FileDelivery
from artifactd.stores.filesystem.spelling import demand, folds_case

OWN: Final = b".artifactd"
"""The store's own folder. No key starts with a dot, so none can lie in it."""

_TEMPORARY: Final = b"tmp"
_ABANDONED_SECONDS: Final = 86_400.0
"""A temporary file is written, read back once and given its name. What nobody wrote for a day, by the clock
of its own file system, is given none any more, whatever host began it: a container's changes its name with
each start. Who goes on with one after all finds it gone, and puts the copy again: nothing is lost."""

_OF_A_STORE: Final = re.compile(rb".+-\d+-[0-9a-f]+-\d+", re.DOTALL)
"""The names of temporary files: see `_new_name`."""

_FOLDS_CASE: Final = (
    "it takes names that differ only in case for one, and artifactd.ignore_case is off: the second of two "
    "such artifacts is refused, and nothing foresees it. Set artifactd.ignore_case = true, and `plan` does"
)

_SMALL: Final = 64 << 10
"""Bytes of a file that has to find room, or the directory counts as full."""

_NO_FILE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO)  # nothing, a file as a folder, a socket
_SHARED_BARRIER: Final = (
    4  # things from which one syncfs is cheaper than an fsync each (benchmarks/README.md)
)


class FileSystemStore(Store):
    """Copies as files below `root`, read-only once they are there.

    `used_before` says that copies or anchors were put here earlier, so a missing `.artifactd` means a missing
    mount. `owner` starts the names of this daemon's temporary files: what a crash left of them is removed at
    the first put. The process's umask is taken from `directory_mode`, not from `file_mode`. `ignore_case`
    says that whoever puts lets no two keys of an experiment differ only in case.
    """

    def __init__(
        self,
        root: Path,
        *,
        owner: str,
        used_before: bool = False,
        file_mode: int = 0o444,
        directory_mode: int = 0o755,
        ignore_case: bool = False,
        name: str = "file_system",
    ) -> None:
        self.name = name
        self._root = root
        self._owner = owner.encode()
        self._used_before = used_before
        self._file_mode = file_mode
        self._directory_mode = directory_mode
        self._ignore_case = ignore_case
        self._folds_case = False
        self._numbers = count()
        self._cleaning = Lock()
        self._cleaned = False

    # --- puts ---

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        try:
            return self._put_together(puts)
        except Full as full:
            return self._one_by_one(puts) if len(puts) > 1 else [self._without_room(puts[0], full)]

    def _one_by_one(self, puts: Sequence[Put]) -> list[Result]:
        """Each that has room, until there is none for any."""
        results = list[Result]()
        for put in puts:
            out = bool(results) and isinstance(results[-1], Unavailable)
            results += results[-1:] if out else self._put([put])
        return results

    def _without_room(self, put: Put, full: Full) -> StoreError:
        """What it means that there is none for this one: of the store only where small files have none."""
        with suppress(OSError):
            there = room(self._root)
            if put.size > _SMALL and there.free >= _SMALL and there.more_files:
                return StoreError(f"{full.reason}, and this file has {size_of(put.size)}", put.key)
        return full

    def _put_together(self, puts: Sequence[Put]) -> list[Result]:
        """All of them or, where there is no room for their bytes, none. Raises Full then."""
        deliveries = [FileDelivery(put) for put in puts]
        try:
            # An error gets its words while the temporary files lie there: they are what fills a full disk.
            said = _as_store_error(str(self._root))
            with self._open() as root, self._workshop(root) as temporary, ExitStack() as opened, said:
                for delivery in deliveries:
                    opened.callback(delivery.discard, temporary)
                self._folds_case = folds_case(root, OWN)
                folders = _Folders(root, self._directory_mode, opened, folds_case=self._folds_case)
                self._deliver(deliveries, temporary, folders)
        except (OSError, StoreError) as error:
            if isinstance(error, Full) and not any(delivery.published for delivery in deliveries):
                raise
            met = meaning(error, str(self._root)) if isinstance(error, OSError) else error
            for delivery in deliveries:
                delivery.fail(met)
        return [delivery.result or StoreError("not reached", delivery.put.key) for delivery in deliveries]

    def _deliver(self, deliveries: list[FileDelivery], temporary: int, folders: "_Folders") -> None:
        """Write, flush, publish, flush.

        Raises:
            StoreError, OSError: something that speaks of the whole batch.
        """
        shared = SYNCFS_TELLS and len(deliveries) >= _SHARED_BARRIER
        for delivery in deliveries:
            with delivery.own_errors():
                delivery.folder = folders.open(delivery.put.key.text.encode().rpartition(b"/")[0])
                delivery.folds_case = folders.folds_case
                delivery.look(flush=not shared)
                if delivery.result is None:
                    _demand_room(temporary, delivery.put.size)
                    delivery.write(temporary, self._new_name(), self._file_mode, flush=not shared)
        if shared:
            syncfs(folders.root)
        for delivery in deliveries:
            if delivery.result is None:
                with delivery.own_errors():
                    delivery.publish(temporary)
        folders.flush({delivery.folder for delivery in deliveries if delivery.delivered})

    def _new_name(self) -> bytes:
        return b"%b-%d-%x-%d" % (self._owner, os.getpid(), id(self), next(self._numbers))

    # --- the directory itself ---

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The root, and known to be the one that copies went to before.

        Raises:
            Unavailable: it is not there.
            StoreError: it cannot be opened.
        """
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unavailable(
                f"{self._root} does not exist. "
                f"Is it mounted? Make it, or mend artifacts_file_system_directory"
            ) from None
        except NotADirectoryError:
            mend = "Mend artifacts_file_system_directory"
            raise Unavailable(f"{self._root} is a file, or lies below one. {mend}") from None
        except OSError as error:
            raise meaning(error, str(self._root)) from error
        try:
            if self._used_before and not _exists(root, OWN):
                raise Unavailable(
                    f"{self._root} has no folder {OWN.decode()}, though artifactd has written to it before. "
                    f"Is it mounted? If it was emptied on purpose: mkdir {self._root}/{OWN.decode()}"
                )
            yield root
        finally:
            os.close(root)

    @contextmanager
    def _workshop(self, root: int) -> Iterator[int]:
        """The folder of temporary files, made where it is missing and cleared of an earlier crash's."""
        own = f"{self._root}/{OWN.decode()}"
        with ExitStack() as opened:
            with _as_store_error(own):
                if not self._used_before:
                    with suppress(FileExistsError):
                        os.mkdir(OWN, 0o755, dir_fd=root)
                        os.fsync(root)
                    self._used_before = True
                here = opened.enter_context(directory(root, OWN))
                with suppress(FileExistsError):
                    os.mkdir(_TEMPORARY, 0o700, dir_fd=here)
            with _as_store_error(f"{own}/{_TEMPORARY.decode()}"):
                temporary = opened.enter_context(directory(here, _TEMPORARY))
                self._clean(temporary)
            yield temporary

    def _clean(self, temporary: int) -> None:
        with self._cleaning:  # or one thread would take what another has just written for a leftover
            if self._cleaned:
                return
            others = list[bytes]()
            for name in map(os.fsencode, os.listdir(temporary)):
                if name.rsplit(b"-", 3)[:-3] == [self._owner]:
                    os.unlink(name, dir_fd=temporary)
                elif _OF_A_STORE.fullmatch(name):
                    others.append(name)
            if others:
                self._clean_others(temporary, others)
            self._cleaned = True

    def _clean_others(self, temporary: int, names: Sequence[bytes]) -> None:
        """Remove those of other daemons that nobody writes any more, as far as they are this account's."""
        mine = self._new_name()
        os.close(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=temporary))
        try:
            now = os.stat(mine, dir_fd=temporary, follow_symlinks=False)
            for name in names:
                with suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=temporary, follow_symlinks=False)
                    ours = stat.S_ISREG(found.st_mode) and found.st_uid == now.st_uid
                    if ours and now.st_mtime - found.st_mtime > _ABANDONED_SECONDS:
                        os.unlink(name, dir_fd=temporary)
        finally:
            os.unlink(mine, dir_fd=temporary)

    # --- reads ---

    def uri(self, key: Key) -> str:
        """A file: URI (RFC 8089)."""
        return "file://" + quote(os.fsencode(self._root) + b"/" + key.text.encode())

    def stat(self, key: Key) -> Stat | None:
        """As `Store.stat`."""
        with self._copy(key) as fd:
            return None if fd is None else Stat(os.fstat(fd).st_size)

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """As `Store.digest`."""
        with self._copy(key) as fd:
            return None if fd is None else checksum.of_file(fd, progress)[0]

    @contextmanager
    def _copy(self, key: Key) -> Iterator[int | None]:
        """The copy, open; None where there is none. An OSError of the block becomes a StoreError."""
        with _as_store_error(str(key)), self._open() as root, ExitStack() as opened:
            try:
                fd = open_beneath(root, key.text.encode(), READ)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
                yield None
                return
            opened.callback(os.close, fd)
            yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None

    def keys(self, prefix: str = "") -> Iterator[Key]:
        """As `Store.keys`. A folder that vanishes meanwhile is passed over."""
        with _as_store_error(str(self._root)), self._open() as root:
            for path in _files(root, prefix.rpartition("/")[0].encode()):
                with suppress(InvalidKey, UnicodeDecodeError):
                    key = Key(path.decode())
                    if key.text.startswith(prefix):
                        yield key

    def doubts(self) -> Sequence[str]:
        """As `Store.doubts`."""
        return (_FOLDS_CASE,) if self._folds_case and not self._ignore_case else ()


class _Folders:
    """The folders of one batch, each open as long as the batch lasts."""

    def __init__(self, root: int, mode: int, opened: ExitStack, *, folds_case: bool) -> None:
        self.root = root
        self.folds_case = folds_case
        self._mode = mode
        self._opened = opened
        self._descriptors = {b"": root}
        self._changed: set[int] = set()

    def open(self, path: bytes) -> int:
        """The folder at `path` below the root, made where it is missing.

        Raises:
            Conflict: another one is there, whose name differs only in case: another user's, perhaps.
            OSError: as `open_beneath` and mkdir(2).
        """
        try:
            return self._found(path)
        except FileNotFoundError:
            return self._made(path)

    def _found(self, path: bytes) -> int:
        if path not in self._descriptors:
            here = open_beneath(self.root, path, DIRECTORY)
            self._opened.callback(os.close, here)
            if self.folds_case:
                parent, _, name = path.rpartition(b"/")
                demand(self._found(parent), name, path.decode())
            self._descriptors[path] = here
        return self._descriptors[path]

    def _made(self, path: bytes) -> int:
        here = self.root
        parts = path.split(b"/")
        for depth, name in enumerate(parts, start=1):
            with suppress(FileExistsError):
                os.mkdir(name, self._mode, dir_fd=here)
                self._changed.add(here)
            here = self._found(b"/".join(parts[:depth]))
        return here

    def flush(self, published: set[int]) -> None:
        """Bring the names in `published`, and those of the folders that were made, to the disk.

        Raises:
            OSError: it is not known that they got there.
        """
        folders = self._changed | published
        if SYNCFS_TELLS and len(folders) >= _SHARED_BARRIER:
            syncfs(self.root)
            return
        for folder in folders:
            os.fsync(folder)


def _demand_room(folder: int, size: int) -> None:
    """See that a file of this size has room, before it takes all that small ones have.

    Raises:
        OSError: it has none.
    """
    if size > _SMALL and (there := room(folder)).size and there.free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _as_store_error(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise meaning(error, what) from error


def _exists(parent: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _files(root: int, folder: bytes) -> Iterator[bytes]:
    """Every regular file below `folder`, relative to `root`, where a key can lie; no link is followed."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            directory(root, here) as fd,
            os.scandir(fd) as entries,
        ):
            for entry in entries:
                path = here + b"/" + os.fsencode(entry.name) if here else os.fsencode(entry.name)
                if entry.is_file(follow_symlinks=False):
                    yield path
                elif entry.is_dir(follow_symlinks=False) and _may_hold_keys(path):
                    waiting.append(path)


def _may_hold_keys(folder: bytes) -> bool:
    """Whether to list it: not snapshots and the like, nor what belongs to the file system itself."""
    return not folder.rpartition(b"/")[2].startswith(b".") and folder != b"lost+found"
