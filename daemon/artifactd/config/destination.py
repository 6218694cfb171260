"""The places that artifacts are exported to, as the configuration describes them. Pure.

A closed union: what is done with a destination is decided by `match` over it.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr


class StoreKind(StrEnum):
    """The names of Driverless AI's `artifacts_store`."""

    FILE_SYSTEM = "file_system"
    S3 = "s3"
    BITBUCKET = "bitbucket"
    AZURE = "azure"


SUPPORTED = (StoreKind.FILE_SYSTEM, StoreKind.BITBUCKET)
"""The kinds this version has a store for. The others are read and checked, and then refused."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A directory."""

    kind: ClassVar = StoreKind.FILE_SYSTEM
    directory: Path
    """absolute; its links are left as they are"""
    file_mode: int
    directory_mode: int


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket of Amazon S3 or of a server that speaks its protocol."""

    kind: ClassVar = StoreKind.S3
    bucket: str
    region: str
    endpoint_url: str
    access_key_id: str
    secret_access_key: SecretStr | None
    role_arn: str
    use_ec2_role_credentials: bool
    skip_cert_verification: bool
    cert_location: Path | None


@dataclass(frozen=True, slots=True)
class Bitbucket:
    """A branch of a git repository; the fields from `prefix` on are those of `[git]`."""

    kind: ClassVar = StoreKind.BITBUCKET
    repo: str
    branch: str
    user: str
    password: SecretStr | None
    ssh_private_key_file: Path | None
    skip_cert_verification: bool
    clones: Path
    """the directory of the local clones"""
    prefix: str
    author: str
    committer: str
    commit_subject: str
    lfs_threshold: int | None
    """bytes; None: nothing goes to LFS"""
    max_file_size: int
    """bytes"""
    batch_window_seconds: float
    timeout_seconds: float
    ca_file: Path | None
    known_hosts: Path | None


@dataclass(frozen=True, slots=True)
class Azure:
    """An account of Azure Blob storage."""

    kind: ClassVar = StoreKind.AZURE
    account_name: str
    account_key: SecretStr | None
    connection_string: SecretStr | None
    sas_token: SecretStr | None


Destination = FileSystem | S3 | Bitbucket | Azure
