"""A directory: a disk, or a share that is mounted on this host."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from artifactd.config import values
from artifactd.config.destinations.kinds import Clash, Settings, StoreKind
from artifactd.config.values import Mode, Place, Table
from artifactd.decisions.layout import is_experiment

_DIRECTORY = "artifacts_file_system_directory"


@dataclass(frozen=True)
class FileSystemKeys(Table):
    """Driverless AI's."""

    artifacts_file_system_directory: Place = Path("tmp")


@dataclass(frozen=True)
class FileSystemTable(Table):
    """`[file_system]`."""

    file_mode: Annotated[Mode, values.mode(0o400)] = Mode(0o444)
    directory_mode: Annotated[Mode, values.mode(0o700)] = Mode(0o755)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A directory."""

    kind: ClassVar = StoreKind.FILE_SYSTEM
    directory: Path
    """absolute; its links are left as they are"""
    file_mode: int
    directory_mode: int


@dataclass(frozen=True, slots=True)
class FileSystemSettings(Settings):
    """What is set for it."""

    touches: ClassVar = True
    keys: FileSystemKeys
    table: FileSystemTable
    data_directory: Path
    """absolute, links resolved"""
    state_directory: Path
    """absolute"""

    def clashes(self) -> Iterator[Clash]:
        """As `Settings.clashes`."""
        if self._holds_experiments():
            mend = (
                "it is a folder of the data directory with experiments in it; choose a directory of its own"
            )
            yield Clash((_DIRECTORY,), mend)

        directory = self.keys.artifacts_file_system_directory
        state = Path(os.path.realpath(self.state_directory))
        if within(directory, state):
            mend = "it lies in the state directory, which is closed to all others; choose another directory"
            yield Clash((_DIRECTORY,), mend)
        elif within(state, Path(os.path.realpath(directory))):
            mend = "the state directory lies in it, among the exports; choose another directory"
            yield Clash((_DIRECTORY,), mend)

    def _holds_experiments(self) -> bool:
        """Whether it is a user's folder: everything in it would be passed over, artifacts too."""
        directory = self.keys.artifacts_file_system_directory
        if not within(directory, self.data_directory) or within(self.data_directory, directory):
            return False
        try:
            return any(is_experiment(os.fsencode(entry.name)) for entry in directory.iterdir())
        except OSError:
            return False  # not there yet, or not readable: `check` tells of that

    def doubts(self) -> Iterator[str]:
        """As `Settings.doubts`."""
        directory = self.keys.artifacts_file_system_directory
        if within(directory, self.data_directory):
            yield (
                f"{_DIRECTORY}: {directory} lies in the data directory; exports are never "
                "exported again, but Driverless AI's support advises to add nothing there"
            )

    def destination(self) -> FileSystem:
        """The directory, as its store takes it."""
        return FileSystem(
            self.keys.artifacts_file_system_directory, self.table.file_mode, self.table.directory_mode
        )


def within(path: Path, directory: Path) -> bool:
    """Whether `path`, its links resolved, is `directory` or lies below it."""
    return Path(os.path.realpath(path)).is_relative_to(directory)
