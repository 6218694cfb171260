"""From a branch in the configuration to its store."""

from artifactd.config.destinations.git import Bitbucket, Identity
from artifactd.stores.git.message import Signature
from artifactd.stores.git.remote import Remote
from artifactd.stores.git.store import GitStore


def git(destination: Bitbucket) -> GitStore:
    """The store for `destination`. Nothing is started yet."""
    table = destination.table
    author, committer = Identity.parse(table.author), Identity.parse(table.committer)
    return GitStore(
        Remote.of(destination.repository),
        destination.clones,
        Signature(author, committer, table.commit_subject),
        prefix=table.prefix,
        window=table.batch_window_seconds,
        lfs_threshold=table.lfs_threshold,
        max_file_size=table.max_file_size,
    )
