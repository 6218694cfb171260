"""What is really there. The scan is the truth; events only make it quick.

A listing that failed is never read as "nothing is there": what a scan meets is seen, gone, or *unobservable*.
Only experiments' folders are walked; of every other folder at the top no more than the names in it is read.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactd.artifact import Sighting
from artifactd.decisions.layout import is_experiment, place
from artifactd.linux.files import identity_of
from artifactd.linux.open_beneath import directory

BATCH: Final = 128
"""Sightings told at a time."""

_ENTRIES: Final = 512
_LISTINGS: Final = 32
"""After so many entries, or directories, that were no files a scan gives back control: some milliseconds."""

DEPTH: Final = 32
"""Directories below each other in an experiment. Driverless AI makes four; deeper ones are left out."""

DIRECTORIES: Final = 10_000
"""Directories of one experiment that are looked into. Driverless AI makes some dozens."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Files that are there. None in it says only that the scan goes on."""

    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing is at the path, in a tree that could be looked at."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Unobservable:
    """Whether something is at the path cannot be known now. Nothing follows from it."""

    path: bytes
    reason: str


Found = Seen | Gone | Unobservable


@contextmanager
def root(data_directory: Path) -> Iterator[int]:
    """The data directory, open for the length of the block.

    Raises:
        OSError: it is not there, no directory, or not readable.
    """
    descriptor = os.open(data_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def scan(data_directory: Path, skip: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Found]:
    """Everything in every experiment's folder, as it is met. Never raises for what a tree can hold.

    `skip` names directories by (st_dev, st_ino) that are passed over: a destination that lies in the tree.
    A scan is not atomic: a file renamed meanwhile may be missed, and is seen by the next.
    """
    try:
        with root(data_directory) as top:
            for found in folders(top):
                match found:
                    case Folder(path, of_a_user=True):
                        yield from walks(top, experiments_of(top, path, skip), skip)
                    case Folder(path):
                        yield from walk(top, path, skip)
                    case Unobservable():
                        yield found
                    case None:
                        pass
    except OSError as error:
        yield unreadable(error)


def experiments(data_directory: Path) -> Iterator[bytes]:
    """The folders of all experiments that can be seen, relative to the data directory."""
    with suppress(OSError), root(data_directory) as top:
        for found in folders(top):
            match found:
                case Folder(path, of_a_user=True):
                    yield from (one for one in experiments_of(top, path) if isinstance(one, bytes))
                case Folder(path):
                    yield path
                case _:
                    pass


def experiments_called(data_directory: Path, name: bytes) -> Iterator[bytes]:
    """The folders called `name` of experiments, of whichever users, relative to the data directory."""
    if not is_experiment(name) or b"/" in name or b"\0" in name:
        return
    with suppress(OSError), root(data_directory) as top:
        for found in folders(top):
            match found:
                case Folder(path, of_a_user=True):
                    if isinstance(folder := sight(top, path + b"/" + name), Seen) and not folder.sightings:
                        yield path + b"/" + name
                case Folder(path) if path == name:
                    yield path
                case _:
                    pass


def below(
    data_directory: Path, path: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """As `scan`, of the part of the tree at `path`: a user's folder, an experiment's, or one inside it."""
    try:
        with root(data_directory) as top:
            if place(path + b"/") is not None:
                yield from walk(top, path, skip)
            elif path and b"/" not in path:
                yield from walks(top, experiments_of(top, path, skip), skip)
    except OSError as error:
        yield Unobservable(path, _why(error))


def unreadable(error: OSError) -> Unobservable:
    """What `error`, met at the data directory itself, means."""
    return Unobservable(b"", _why(error))


def walk(
    top: int, folder: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """Every file below `folder`, itself below the open directory `top`. A missing folder holds none.

    Each step takes some milliseconds, whatever the folder holds.
    """
    return _batched(_walk(top, folder, skip))


def walks(
    top: int, found: Iterable[bytes | Unobservable | None], skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """As `walk`, of several folders: small experiments share a batch, and what it costs."""
    return _batched(
        item
        for folder in found
        for item in (_walk(top, folder, skip) if isinstance(folder, bytes) else (folder,))
    )


def _batched(found: Iterable[Sighting | Unobservable | None]) -> Iterator[Seen | Unobservable]:
    """The sightings in batches; None counts as a directory that was looked into."""
    batch: list[Sighting] = []
    listings = 0
    for one in found:
        if isinstance(one, Unobservable):
            yield one
            continue
        if one is None:
            listings += 1
        else:
            batch.append(one)
        if len(batch) == BATCH or listings == _LISTINGS:
            yield Seen(tuple(batch))
            batch.clear()
            listings = 0
    if batch:
        yield Seen(tuple(batch))


def _walk(
    top: int, folder: bytes, skip: frozenset[tuple[int, int]]
) -> Iterator[Sighting | Unobservable | None]:
    waiting, tree = [folder], os.fstat(top).st_dev
    levels, directories, too_deep = folder.count(b"/") + DEPTH, 1, False
    while waiting:
        for found in _listed(top, tree, waiting.pop(), skip):
            if not isinstance(found, bytes):
                yield found
            elif found.count(b"/") > levels:
                too_deep = True
            else:
                directories += 1
                if directories <= DIRECTORIES:
                    waiting.append(found)
        yield None
    if too_deep:
        yield Unobservable(folder, f"directories lie more than {DEPTH} deep in it: what is in those stays")
    if directories > DIRECTORIES:
        yield Unobservable(folder, f"it holds more than {DIRECTORIES} directories: what is in the rest stays")


def _listed(
    top: int, tree: int, here: bytes, skip: frozenset[tuple[int, int]]
) -> Iterator[Sighting | bytes | Unobservable | None]:
    """What is in the directory `here`: files, paths of directories, and at most one thing unobservable."""
    hidden: OSError | None = None
    try:
        with directory(top, here) as fd, os.scandir(fd) as entries:
            if _is(fd, skip):
                return
            for number, entry in enumerate(entries, 1):
                path = here + b"/" + os.fsencode(entry.name)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield path
                    else:
                        status = entry.stat(follow_symlinks=False)
                        yield _sighting(path, status, tree)
                except FileNotFoundError:
                    pass  # deleted since it was listed
                except OSError as error:
                    hidden = error  # one file that cannot be looked at hides no other
                if number % (_ENTRIES // _LISTINGS) == 0:
                    yield None
    except FileNotFoundError:
        return  # deleted since its parent was listed
    except OSError as error:
        hidden = error
    if hidden is not None:
        yield Unobservable(here, _why(hidden))


def sight(top: int, path: bytes) -> Found:
    """What is at `path` below the open directory `top`. A directory is `Seen` of nothing."""
    folder, _, name = path.rpartition(b"/")
    try:
        with directory(top, folder) as parent:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return Gone(path)
    except OSError as error:
        return Unobservable(path, _why(error))
    if stat.S_ISDIR(status.st_mode):
        return Seen(())
    return Seen((_sighting(path, status, os.fstat(top).st_dev),))


def _sighting(path: bytes, status: os.stat_result, tree: int) -> Sighting:
    """One lstat of the file at `path`, in a data directory on the device `tree`."""
    return Sighting(path, identity_of(status, tree), status.st_mode, status.st_nlink)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder at the top of the data directory."""

    path: bytes
    of_a_user: bool = False
    """whether it may hold experiments' folders, as opposed to being one"""


def folders(top: int) -> Iterator[Folder | Unobservable | None]:
    """What lies in the open data directory `top`. None gives back control.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(top) as entries:
        for number, entry in enumerate(entries, 1):
            name = os.fsencode(entry.name)
            if is_experiment(name):
                found = _experiment(entry, name)
                yield Folder(found) if isinstance(found, bytes) else found
            elif entry.is_dir(follow_symlinks=False):
                yield Folder(name, of_a_user=True)
            if number % _ENTRIES == 0:
                yield None


def experiments_of(
    top: int, user: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[bytes | Unobservable | None]:
    """The experiments' folders in the folder `user`. None gives back control. Only names are read."""
    try:
        with directory(top, user) as fd, os.scandir(fd) as entries:
            if _is(fd, skip):
                return
            for number, entry in enumerate(entries, 1):
                name = os.fsencode(entry.name)
                if is_experiment(name):
                    yield _experiment(entry, user + b"/" + name)
                if number % _ENTRIES == 0:
                    yield None
    except FileNotFoundError:
        return
    except OSError as error:
        yield Unobservable(user, _why(error))


def _experiment(entry: os.DirEntry[str], path: bytes) -> bytes | Unobservable | None:
    if entry.is_dir(follow_symlinks=False):
        return path
    return Unobservable(path, "a link: links are not followed") if entry.is_symlink() else None


def _is(fd: int, skip: frozenset[tuple[int, int]]) -> bool:
    """Whether the open directory is one to pass over."""
    if not skip:
        return False
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino) in skip


def _why(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "another file system is mounted there: mounts are not crossed"
    if error.errno == errno.ELOOP:
        return "a link: links are not followed"
    if error.errno == errno.EACCES:
        return f"{error.strerror}: the daemon's account may not read it"
    return str(error.strerror)
