"""Which destination is meant: from its kind to what is set for it. Pure.

A closed union: what is done with a destination is decided by `match` over it.
"""

from typing import assert_never

from artifactd.config.destinations.azure import Azure, AzureSettings
from artifactd.config.destinations.file_system import FileSystem, FileSystemSettings
from artifactd.config.destinations.git import Bitbucket, GitSettings
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.destinations.s3 import S3, S3Settings
from artifactd.config.document import Document

Destination = FileSystem | S3 | Bitbucket | Azure


def chosen(
    kind: StoreKind, document: Document
) -> FileSystemSettings | S3Settings | GitSettings | AzureSettings:
    """What `document` says of the destination of this kind."""
    state = document.artifactd.state_directory
    match kind:
        case StoreKind.FILE_SYSTEM:
            return FileSystemSettings(document, document.file_system, document.data_directory, state)
        case StoreKind.S3:
            return S3Settings(document, document.s3)
        case StoreKind.BITBUCKET:
            return GitSettings(document, document.git, document.data_directory, state)
        case StoreKind.AZURE:
            return AzureSettings(document, document.azure)
        case _:
            assert_never(kind)
