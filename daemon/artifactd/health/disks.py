"""How much room there is for the state and in destinations that are directories, looked at on the side."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifactd.aside import aside
from artifactd.clock import Clock
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config, named
from artifactd.health.verdict import DiskFacts
from artifactd.linux.room import room

STATE: Final = "state"

_EVERY_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Disk:
    """One directory's. It has a thread of its own, since its mount may be dead."""

    name: str
    directory: Path
    known: DiskFacts | None = None
    _looking: Future[DiskFacts] | None = None

    def look(self) -> None:
        """Take what the last look came to, and begin another one, unless it hangs: then nothing is known."""
        if self._looking is not None and not self._looking.done():
            self.known = None
            return
        self.taken()
        with suppress(RuntimeError):  # no thread can be had now
            self._looking = aside(self._found, f"room-{self.name}")

    def taken(self) -> DiskFacts | None:
        """What the last look came to; None: it is not known."""
        if self._looking is not None and self._looking.done():
            self.known = None if self._looking.exception() else self._looking.result()
        return self.known

    def _found(self) -> DiskFacts:
        found = room(self.directory)
        return DiskFacts(self.name, found.free, found.size)


@dataclass(slots=True)
class Disks:
    """All of one configuration, looked at once a minute. For the main thread only; it never waits."""

    config: Config
    clock: Clock
    _disks: list[_Disk] = field(init=False)
    _next: float = 0.0

    def __post_init__(self) -> None:
        stores = ((name, one) for name, one in named(self.config) if isinstance(one, FileSystem))
        self._disks = [_Disk(STATE, self.config.state_directory)]
        self._disks += [_Disk(name, one.directory) for name, one in stores]

    def facts(self) -> Iterator[DiskFacts]:
        """What is known now."""
        if (now := self.clock.monotonic()) >= self._next:
            self._next = now + _EVERY_SECONDS
            for disk in self._disks:
                disk.look()
        yield from (known for disk in self._disks if (known := disk.taken()) is not None)
