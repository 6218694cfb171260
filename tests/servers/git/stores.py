"""Stores of the tests on a repository."""

from pathlib import Path
from typing import TypedDict, Unpack

from artifactd.config.destinations.git import SUBJECT, Identity
from artifactd.config.destinations.git_address import Address
from artifactd.config.values import Hidden
from artifactd.stores.git.message import Signature
from artifactd.stores.git.remote import Remote
from artifactd.stores.git.store import GitStore
from tests.servers.git.repository import BRANCH

ARTIFACTD = Identity("artifactd", "artifactd@example.com")
SIGNATURE = Signature(ARTIFACTD, ARTIFACTD, SUBJECT)


class RemoteOptions(TypedDict, total=False):
    """As `Remote` takes them."""

    user: str
    password: Hidden
    ssh_key: Path
    known_hosts: Path
    ca_file: Path
    skip_cert_verification: bool
    seconds: float


class StoreOptions(TypedDict, total=False):
    """As `GitStore` takes them."""

    prefix: str
    window: float
    max_file_size: int
    lfs_threshold: int | None


def store_on(
    url: str,
    home: Path,
    remote: RemoteOptions | None = None,
    *,
    branch: str = BRANCH,
    **options: Unpack[StoreOptions],
) -> GitStore:
    """A store on the branch of the repository at `url`, with its clones below `home`."""
    there = Remote(Address.parse(url), branch, **(remote or {}))
    return GitStore(there, home, SIGNATURE, **options)
