"""From a directory in the configuration to its store."""

from artifactd.config.destinations.file_system import FileSystem
from artifactd.stores.filesystem.store import FileSystemStore
from artifactd.stores.surroundings import Surroundings


def file_system(destination: FileSystem, around: Surroundings) -> FileSystemStore:
    """The store for `destination`. Nothing is opened yet."""
    return FileSystemStore(
        destination.directory,
        owner=around.owner,
        used_before=around.used_before,
        file_mode=destination.file_mode,
        directory_mode=destination.directory_mode,
        ignore_case=around.ignore_case,
    )
