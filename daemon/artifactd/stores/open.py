"""From a destination in the configuration to its store: one switch."""

from typing import assert_never

from artifactd.config.chosen import Destination
from artifactd.config.destinations.azure import Azure
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.destinations.git import Bitbucket
from artifactd.config.destinations.s3 import S3
from artifactd.stores.base import Store
from artifactd.stores.surroundings import Surroundings


def open_store(destination: Destination, around: Surroundings) -> Store:
    """The store for `destination`. Nothing is sent yet, so a store that is down does not matter here."""
    match destination:
        case FileSystem():
            from artifactd.stores.filesystem.open import file_system  # noqa: PLC0415 - only what is used is loaded

            return file_system(destination, around)
        case S3():
            from artifactd.stores.s3.open import s3  # noqa: PLC0415 - as above

            return s3(destination, around)
        case Azure():
            from artifactd.stores.azure.open import azure  # noqa: PLC0415 - as above

            return azure(destination, around)
        case Bitbucket():
            from artifactd.stores.git.open import git  # noqa: PLC0415 - as above

            return git(destination)
        case _:
            assert_never(destination)
