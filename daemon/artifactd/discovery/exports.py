"""Where our own exports lie beside the data directory: what is there is no artifact, and no news."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config


def identities(config: Config) -> frozenset[tuple[int, int]]:
    """The destinations' directories by (st_dev, st_ino), for whoever walks the tree and may meet one."""
    found = set()
    for _, directory in _directories(config):
        with suppress(OSError):
            status = directory.stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def inside(config: Config) -> frozenset[bytes]:
    """The destinations inside the data directory, relative to it: nothing that happens there is news."""
    data = config.data_directory
    below = (real for _, real in _directories(config) if real != data and real.is_relative_to(data))
    return frozenset(os.fsencode(real.relative_to(data)) for real in below)


def around(config: Config) -> frozenset[str]:
    """The stores that hold the data directory itself, and with it what this daemon never wrote."""
    return frozenset(
        store for store, real in _directories(config) if config.data_directory.is_relative_to(real)
    )


def _directories(config: Config) -> Iterator[tuple[str, Path]]:
    """Each store in a directory of this machine, by name; links are resolved, as in the data directory's."""
    for destination in config.destinations:
        if isinstance(destination, FileSystem):
            yield destination.kind.value, Path(os.path.realpath(destination.directory))
