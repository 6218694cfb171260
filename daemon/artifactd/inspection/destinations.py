"""How much room the destinations have that are directories of this machine, found out in bounded time."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from artifactd.aside import aside
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config, named
from artifactd.linux.room import Room, room


def rooms(config: Config, seconds: float) -> Mapping[str, Room]:
    """Store → its room. One that cannot be looked at, or hangs for so many seconds, is left out."""
    found: dict[str, Room] = {}
    for name, destination in named(config):
        if isinstance(destination, FileSystem):
            with suppress(OSError, TimeoutError):
                found[name] = aside(partial(room, destination.directory), f"room-{name}").result(seconds)
    return found
