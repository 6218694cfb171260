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


class AddressingStyle(StrEnum):
    """Where an S3 address names the bucket."""

    AUTO = "auto"
    """in the host's name where the bucket's name allows it"""
    PATH = "path"
    """in the path, as most servers that are not Amazon's want it"""
    VIRTUAL = "virtual"
    """in the host's name"""


class Encryption(StrEnum):
    """What S3 is told to encrypt an object with; the values are those of x-amz-server-side-encryption."""

    NONE = "none"
    """nothing is told: the bucket's own default holds"""
    S3 = "AES256"
    KMS = "aws:kms"


class LockMode(StrEnum):
    """S3's Object Lock: who may end the retention of an object early."""

    NONE = "none"
    """no retention is asked for: the bucket's own default holds"""
    GOVERNANCE = "governance"
    """those with a permission of its own"""
    COMPLIANCE = "compliance"
    """nobody"""


class Checksum(StrEnum):
    """How it is proven that S3 has the bytes that were read."""

    AUTO = "auto"
    """the best way that the server turns out to know"""
    SHA256 = "sha256"
    """the server computes SHA-256 itself and compares"""
    MD5 = "md5"
    """the server compares Content-MD5"""
    READ_BACK = "read_back"
    """the object is read again and hashed"""


class ImmutabilityMode(StrEnum):
    """Azure's immutability policy of a blob: who may end its retention early."""

    NONE = "none"
    """no retention is asked for: the container's own default holds"""
    UNLOCKED = "unlocked"
    """those with a permission of its own"""
    LOCKED = "locked"
    """nobody"""


Tags = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names."""


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
    prefix: str
    """before every key, as "a/b"; "": none"""
    region: str
    """"": what the SDK finds by itself"""
    endpoint_url: str
    """http or https; "": Amazon's"""
    addressing_style: AddressingStyle
    access_key_id: str
    """"": the SDK's own chain of credentials"""
    secret_access_key: SecretStr | None
    role_arn: str
    """the role to assume with these credentials; "": none"""
    use_ec2_role_credentials: bool
    """take the credentials of the instance's role, and no others"""
    skip_cert_verification: bool
    cert_location: Path | None
    """absolute; the certificates to check the server's with. None: the SDK's own"""
    storage_class: str
    """"": the bucket's default"""
    encryption: Encryption
    kms_key_id: str
    """only with KMS; "": the account's default key"""
    lock_mode: LockMode
    lock_days: int
    """0 exactly where `lock_mode` is NONE"""
    legal_hold: bool
    tags: Tags
    expected_bucket_owner: str
    """an account's 12 digits; "": anybody's bucket"""
    checksum: Checksum
    part_size: int
    """bytes"""
    connections: int
    bandwidth: int | None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: float
    read_timeout_seconds: float
    abandon_after_seconds: float
    """unfinished uploads of ours that are older are aborted"""


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
    """A container of Azure Blob Storage or of a server that speaks its protocol.

    The credentials are exactly one of: a connection string; an account key; a SAS token; none of them, which
    is azure-identity's default chain.
    """

    kind: ClassVar = StoreKind.AZURE
    container: str
    prefix: str
    """before every key, as "a/b"; "": none"""
    account_name: str
    """"": the connection string or `endpoint_url` says it"""
    account_key: SecretStr | None
    connection_string: SecretStr | None
    sas_token: SecretStr | None
    endpoint_url: str
    """http or https, the whole address of the blob service; "": made of account and suffix"""
    endpoint_suffix: str
    """of the cloud, such as core.windows.net"""
    cert_location: Path | None
    """absolute; the certificates to check the server's with. None: the SDK's own"""
    access_tier: str
    """"": the account's default"""
    immutability_mode: ImmutabilityMode
    immutability_days: int
    """0 exactly where `immutability_mode` is NONE"""
    legal_hold: bool
    tags: Tags
    block_size: int
    """bytes"""
    connections: int
    bandwidth: int | None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: float
    read_timeout_seconds: float


Destination = FileSystem | S3 | Bitbucket | Azure
