"""Which directories are watched: those where artifacts appear, and of nobody more than his share. Pure.

Users make directories, and the kernel keeps one limit of watches for all of them. What is not watched is
found by scans, later than by an event.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from artifactd.decisions.layout import place

TOP = b""
"""The data directory itself, relative to itself."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many directories are watched at most."""

    depth: int = 16
    """levels below an experiment's folder; Driverless AI writes artifacts one level deep"""
    experiment: int = 2_000
    """of one experiment"""
    user: int = 20_000
    """in one user's folder"""
    top: int = 20_000
    """users' folders, together with all of the experiments that lie in no user's folder"""


_LEAST = 1_000
"""No share is smaller: of so small a limit an administrator has to hear that it is reached."""


def shares(limit: int) -> Bounds:
    """The bounds where `limit` inotify watches may be held: an eighth for each user, a half for the top."""
    return Bounds(user=min(Bounds().user, max(_LEAST, limit // 8)), top=max(_LEAST, limit // 2))


@dataclass(frozen=True, slots=True)
class Watched:
    """It gets a watch."""

    counted: tuple[bytes, ...]
    """the folders in whose numbers of watched directories it counts"""
    files: bool
    """artifacts can lie in it: it is, or lies in, an experiment's folder"""


@dataclass(frozen=True, slots=True)
class Needless:
    """A neighbour: nothing in it can be an artifact."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """A bound is reached, for every directory beside it too."""

    folder: bytes
    """whose bound: an experiment's folder, a user's, or the data directory"""
    reason: str


def judge(path: bytes, watched: Mapping[bytes, int], bounds: Bounds) -> Watched | Needless | Beyond:
    """Whether the directory at `path`, relative to the data directory, gets a watch.

    Args:
        path: its parent has a watch.
        watched: how many directories are watched already, by the folder in whose number they count.
        bounds: what is too many, or too deep.
    """
    found = place(path + b"/")
    if found is None and b"/" in path:
        return Needless()
    numbers = {(found and found.user) or TOP: bounds.user if found and found.user else bounds.top}
    if found is not None:
        if found.inside.count(b"/") > bounds.depth:
            return Beyond(found.folder, f"deeper than {bounds.depth} directories")
        numbers[found.folder] = bounds.experiment
    for folder, most in numbers.items():
        if watched.get(folder, 0) >= most:
            return Beyond(folder, f"more than {most:,} directories")
    return Watched(tuple(numbers), files=found is not None)
