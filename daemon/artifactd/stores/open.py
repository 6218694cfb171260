"""From a destination in the configuration to its store. SDKs are imported where needed."""

from typing import assert_never

from artifactd.config import S3, Azure, Bitbucket, Destination, FileSystem
from artifactd.stores.base import Store
from artifactd.stores.filesystem import FileSystemStore


def open_store(destination: Destination, *, owner: str, used_before: bool) -> Store:
    """The store for `destination`. Nothing is sent yet, so a store that is down does not matter here.

    `owner` tells this daemon's unfinished business in the store from another's; `used_before` says that
    copies are on record there.

    Raises:
        NotImplementedError: this version has no store of the kind. The configuration tells people before.
    """
    match destination:
        case FileSystem():
            return FileSystemStore(
                destination.directory,
                owner=owner,
                used_before=used_before,
                file_mode=destination.file_mode,
                directory_mode=destination.directory_mode,
            )
        case S3() | Azure() | Bitbucket():
            raise NotImplementedError(f"no store for {destination.kind}")
        case _:
            assert_never(destination)
