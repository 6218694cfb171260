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

from artifactd.artifact import Identity, Sighting
from artifactd.decisions.layout import is_experiment, place
from artifactd.linux.files import identity_of
from artifactd.linux.open_beneath import directory

BATCH: Final = 1000
"""Sightings told at a time: bounds the memory of a scan, whatever the size of the tree."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Files that are there."""

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
            yield from _walks(top, _experiments(top, skip), skip)
    except OSError as error:
        yield Unobservable(b"", _why(error))


def experiments(data_directory: Path) -> Iterator[bytes]:
    """The folders of all experiments that can be seen, relative to the data directory."""
    with suppress(OSError), root(data_directory) as top:
        for found in _experiments(top, frozenset()):
            if isinstance(found, bytes):
                yield found


def below(
    data_directory: Path, path: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """As `scan`, of the part of the tree at `path`: a user's folder, an experiment's, or one inside it."""
    try:
        with root(data_directory) as top:
            if place(path + b"/") is not None:
                yield from walk(top, path, skip)
            elif path and b"/" not in path:
                yield from _walks(top, _experiments_of(top, path, skip), skip)
    except OSError as error:
        yield Unobservable(path, _why(error))


def walk(
    top: int, folder: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """Every file below `folder`, itself below the open directory `top`. A missing folder holds none."""
    return _batched(_walk(top, folder, skip))


def _walks(
    top: int, folders: Iterable[bytes | Unobservable], skip: frozenset[tuple[int, int]]
) -> Iterator[Seen | Unobservable]:
    """As `walk`, of several folders: small experiments share a batch, and what it costs."""
    return _batched(
        found
        for folder in folders
        for found in ((folder,) if isinstance(folder, Unobservable) else _walk(top, folder, skip))
    )


def _batched(found: Iterable[Sighting | Unobservable]) -> Iterator[Seen | Unobservable]:
    batch: list[Sighting] = []
    for one in found:
        if isinstance(one, Unobservable):
            yield one
            continue
        batch.append(one)
        if len(batch) == BATCH:
            yield Seen(tuple(batch))
            batch.clear()
    if batch:
        yield Seen(tuple(batch))


def _walk(top: int, folder: bytes, skip: frozenset[tuple[int, int]]) -> Iterator[Sighting | Unobservable]:
    waiting = [folder]
    while waiting:
        for found in _listed(top, waiting.pop(), skip):
            if isinstance(found, bytes):
                waiting.append(found)
            else:
                yield found


def _listed(
    top: int, here: bytes, skip: frozenset[tuple[int, int]]
) -> Iterator[Sighting | bytes | Unobservable]:
    """What is in the directory `here`: files, paths of directories, and at most one thing unobservable."""
    hidden: OSError | None = None
    try:
        with directory(top, here) as fd, os.scandir(fd) as entries:
            if _is(fd, skip):
                return
            for entry in entries:
                path = here + b"/" + os.fsencode(entry.name)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield path
                    else:
                        status = entry.stat(follow_symlinks=False)
                        yield Sighting(path, identity_of(status), status.st_mode)
                except FileNotFoundError:
                    pass  # deleted since it was listed
                except OSError as error:
                    hidden = error  # one file that cannot be looked at hides no other
    except FileNotFoundError:
        return  # deleted since its parent was listed
    except OSError as error:
        hidden = error
    if hidden is not None:
        yield Unobservable(here, _why(hidden))


def sight(top: int, path: bytes, known: Identity | None = None) -> Found:
    """What is at `path` below the open directory `top`. A directory is `Seen` of nothing.

    `known` is the file's last identity: if the tree now lies on another device, its disk is not mounted, and
    a missing file says nothing.
    """
    folder, _, name = path.rpartition(b"/")
    try:
        with directory(top, folder) as parent:
            return _found(path, os.stat(name, dir_fd=parent, follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        if known is not None and known.dev != os.fstat(top).st_dev:
            return Unobservable(path, "another file system is mounted at the data directory")
        return Gone(path)
    except OSError as error:
        return Unobservable(path, _why(error))


def _found(path: bytes, status: os.stat_result) -> Seen:
    return Seen(
        () if stat.S_ISDIR(status.st_mode) else (Sighting(path, identity_of(status), status.st_mode),)
    )


def _experiments(top: int, skip: frozenset[tuple[int, int]]) -> Iterator[bytes | Unobservable]:
    """The experiments' folders, with and without a user level."""
    with os.scandir(top) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if is_experiment(name):
                yield from _experiment(entry, name)
            elif entry.is_dir(follow_symlinks=False):
                yield from _experiments_of(top, name, skip)


def _experiments_of(
    top: int, user: bytes, skip: frozenset[tuple[int, int]]
) -> Iterator[bytes | Unobservable]:
    try:
        with directory(top, user) as fd, os.scandir(fd) as entries:
            if _is(fd, skip):
                return
            for entry in entries:
                name = os.fsencode(entry.name)
                if is_experiment(name):
                    yield from _experiment(entry, user + b"/" + name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Unobservable(user, _why(error))


def _experiment(entry: os.DirEntry[str], path: bytes) -> Iterator[bytes | Unobservable]:
    if entry.is_dir(follow_symlinks=False):
        yield path
    elif entry.is_symlink():
        yield Unobservable(path, "a link: links are not followed")


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
