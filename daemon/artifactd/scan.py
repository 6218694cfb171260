"""What is really there. The scan is the truth; events only make it quick.

A listing that failed is never read as "nothing is there": what a scan meets is seen, or gone, or *unobservable*.
Only experiments' folders are walked; of every other folder at the top no more than the names in it is read.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactd.artifact import Identity, Sighting
from artifactd.beneath import directory
from artifactd.layout import is_experiment, place

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

    `skip` names directories by (st_dev, st_ino) that are passed over: the destination, where it lies in the tree.
    A scan is not atomic: a file renamed meanwhile may be missed, and is seen by the next.
    """
    try:
        with root(data_directory) as top:
            for experiment in _experiments(top, skip):
                if isinstance(experiment, Unobservable):
                    yield experiment
                else:
                    yield from walk(top, experiment, skip)
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
    """As `scan`, of the part of the tree at the directory `path` only: an experiment, a part of one, or a user's folder."""
    try:
        with root(data_directory) as top:
            if is_experiment(path.split(b"/")[0]) or b"/" in path:
                if place(path + b"/") is not None:
                    yield from walk(top, path, skip)
                return
            for experiment in _experiments_of(top, path, skip):
                if isinstance(experiment, Unobservable):
                    yield experiment
                else:
                    yield from walk(top, experiment, skip)
    except OSError as error:
        yield Unobservable(path, _why(error))


def walk(
    top: int, folder: bytes, skip: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Seen | Unobservable]:
    """Every file below `folder`, itself below the open directory `top`."""
    waiting = deque([folder])
    batch: list[Sighting] = []
    while waiting:
        here = waiting.popleft()
        try:
            with directory(top, here) as fd:
                if _is(fd, skip):
                    continue
                for entry in os.scandir(fd):
                    path = here + b"/" + os.fsencode(entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    elif (sighting := _sighted(path, entry)) is not None:
                        batch.append(sighting)
                        if len(batch) == BATCH:
                            yield Seen(tuple(batch))
                            batch.clear()
        except FileNotFoundError:
            continue  # deleted since its parent was listed
        except OSError as error:
            yield Unobservable(here, _why(error))
    if batch:
        yield Seen(tuple(batch))


def sight(top: int, path: bytes, known: Identity | None = None) -> Found:
    """What is at `path` below the open directory `top`; for a directory that it is there, as `Seen` of nothing.

    `known` is the file's last identity: if the tree now lies on another device, its disk is not mounted, and a
    missing file says nothing.
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
    is_directory = (status.st_mode & 0o170000) == 0o040000
    return Seen(() if is_directory else (Sighting(path, identity_of(status), status.st_mode),))


def identity_of(status: os.stat_result) -> Identity:
    """The identity in what stat(2) says."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _experiments(top: int, skip: frozenset[tuple[int, int]]) -> Iterator[bytes | Unobservable]:
    """The experiments' folders, with and without a user level."""
    for entry in os.scandir(top):
        name = os.fsencode(entry.name)
        if is_experiment(name):
            yield from _experiment(entry, name)
        elif entry.is_dir(follow_symlinks=False):
            yield from _experiments_of(top, name, skip)


def _experiments_of(
    top: int, user: bytes, skip: frozenset[tuple[int, int]]
) -> Iterator[bytes | Unobservable]:
    try:
        with directory(top, user) as fd:
            if _is(fd, skip):
                return
            for entry in os.scandir(fd):
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


def _sighted(path: bytes, entry: os.DirEntry[str]) -> Sighting | None:
    """The entry, looked at; None where it was deleted since it was listed."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Sighting(path, identity_of(status), status.st_mode)


def _why(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "another file system is mounted there: mounts are not crossed"
    if error.errno == errno.ELOOP:
        return "a link: links are not followed"
    return f"{error.strerror}" + (
        ": the daemon's account may not read it" if error.errno == errno.EACCES else ""
    )
