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
        case Bitbucket():
            return _git(destination)
        case S3() | Azure():
            raise NotImplementedError(f"no store for {destination.kind}")
        case _:
            assert_never(destination)


def _git(destination: Bitbucket) -> Store:
    """GitPython is imported here and not before: nobody else pays for it."""
    from artifactd.stores.git import GitStore  # noqa: PLC0415 - see above
    from artifactd.stores.gitaddress import Address  # noqa: PLC0415 - with it
    from artifactd.stores.gitmessage import Identity, Signature  # noqa: PLC0415 - with it
    from artifactd.stores.gitremote import Remote  # noqa: PLC0415 - with it

    remote = Remote(
        Address.parse(destination.repo),
        destination.branch,
        user=destination.user,
        password=destination.password,
        ssh_key=destination.ssh_private_key_file,
        known_hosts=destination.known_hosts,
        ca_file=destination.ca_file,
        skip_cert_verification=destination.skip_cert_verification,
        seconds=destination.timeout_seconds,
    )
    author, committer = Identity.parse(destination.author), Identity.parse(destination.committer)
    return GitStore(
        remote,
        destination.clones,
        Signature(author, committer, destination.commit_subject),
        prefix=destination.prefix,
        window=destination.batch_window_seconds,
        lfs_threshold=destination.lfs_threshold,
        max_file_size=destination.max_file_size,
    )
