"""A bucket of Amazon S3 or of a server that speaks its protocol. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from artifactd.config import values
from artifactd.config.destinations import objects
from artifactd.config.destinations.kinds import Clash, Missing, Settings, StoreKind, pair
from artifactd.config.values import MaybePlace, Secret, Switch, Table, plain

_ACCESS, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_EC2 = "aws_use_ec2_role_credentials"

bucket_name = objects.matching(
    r"(?!.*\.\.|(\d+\.){3}\d+\Z)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "a bucket's name alone: 3 to 63 lower-case letters, digits, dots and dashes",
)
"""A name by Amazon's "General purpose bucket naming rules"."""

region = objects.matching(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", 'a region such as "eu-central-1"')
"""A part of a host's name: it becomes one."""

bucket_owner = objects.matching(r"\d{12}", "the 12 digits of an AWS account in quotes")

s3_tags = objects.tags(
    r"\w +\-=.:/@",
    'letters, digits, spaces and + - = . _ : / @; no name starts with "aws:"',
    start="(?!aws:)",
)
"""Tags by Amazon's "Object tagging"."""

Region = Annotated[str, region]


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


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """Where the bucket is, and how to reach it."""

    bucket: str
    region: str = ""
    """"": what the SDK finds by itself"""
    url: str = ""
    """http or https; "": Amazon's"""
    addressing: AddressingStyle = AddressingStyle.AUTO
    verify: bool = True
    """whether to check the server's certificate"""
    authorities: Path | None = None
    """file with the certificates to check it with; None: $AWS_CA_BUNDLE, else those that come with the SDK"""
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    connections: int = objects.MOST_CONNECTIONS
    """that the SDK keeps"""


@dataclass(frozen=True, slots=True)
class S3Access:
    """Who asks. Without keys, a role or the instance's word, the SDK's own chain finds credentials."""

    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    role_arn: str = ""
    """the role to assume with these credentials"""
    instance_role: bool = False
    """take the credentials of the EC2 instance's role, and no others"""


@dataclass(frozen=True)
class S3Keys(Table):
    """Driverless AI's."""

    artifacts_s3_bucket: Annotated[str, bucket_name] = ""
    aws_access_key_id: objects.Word = ""
    aws_secret_access_key: Secret = None
    aws_role_arn: objects.Word = ""
    aws_default_region: Region = ""
    aws_s3_endpoint_url: objects.Endpoint = ""
    aws_use_ec2_role_credentials: Switch = False
    s3_skip_cert_verification: Switch = False
    s3_connector_cert_location: MaybePlace = None


@dataclass(frozen=True)
class S3Table(Table):
    """`[s3]`. What is empty or NONE is left to the bucket.

    The sizes of a part are S3's own limits ("Amazon S3 multipart upload limits").
    """

    prefix: objects.Prefix = ""
    region: Region = ""
    endpoint_url: objects.Endpoint = ""
    addressing_style: Annotated[AddressingStyle, values.one_of(AddressingStyle)] = AddressingStyle.AUTO
    storage_class: objects.Word = ""
    encryption: Annotated[Encryption, values.one_of(Encryption)] = Encryption.NONE
    kms_key_id: objects.Word = ""
    """only with KMS; "": the account's default key"""
    object_lock_mode: Annotated[LockMode, values.one_of(LockMode)] = LockMode.NONE
    object_lock_days: Annotated[int, values.whole(0, 36_500)] = 0
    """0 exactly where there is no mode"""
    legal_hold: Switch = False
    tags: Annotated[dict[str, str], s3_tags] = field(default_factory=dict)
    expected_bucket_owner: Annotated[str, bucket_owner] = ""
    checksum: Annotated[Checksum, values.one_of(Checksum)] = Checksum.AUTO
    part_size: Annotated[int, values.size_within("5 MiB", "5 GiB")] = 16 * 2**20
    """bytes"""
    connections: objects.Connections = "auto"
    bandwidth: objects.Bandwidth = None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: objects.ConnectSeconds = 10.0
    read_timeout_seconds: objects.ReadSeconds = 60.0
    abandon_after_days: Annotated[int, values.whole(1, 3650)] = 7
    """unfinished uploads of ours that are older are aborted"""


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket."""

    kind: ClassVar = StoreKind.S3
    endpoint: S3Endpoint
    access: S3Access
    table: S3Table


@dataclass(frozen=True, slots=True)
class S3Settings(Settings):
    """What is set for it."""

    keys: S3Keys
    table: S3Table

    def missing(self) -> Iterator[Missing]:
        """As `Settings.missing`."""
        if not self.keys.artifacts_s3_bucket:
            yield Missing(("artifacts_s3_bucket",), "a bucket")

    def clashes(self) -> Iterator[Clash]:
        """As `Settings.clashes`."""
        keys, table = self.keys, self.table
        yield from pair(_ACCESS, keys.aws_access_key_id, _SECRET, keys.aws_secret_access_key)
        if keys.aws_use_ec2_role_credentials and keys.aws_access_key_id:
            yield Clash((_EC2, _ACCESS), f"{_ACCESS} is set as well; remove one of the two")
        if table.kms_key_id and table.encryption is not Encryption.KMS:
            mend = 'it needs encryption = "aws:kms"; set that, or remove s3.kms_key_id'
            yield Clash(("s3.kms_key_id", "s3.encryption"), mend)
        if table.checksum is Checksum.READ_BACK and objects.asleep(table.storage_class):
            mend = f"what lies in {table.storage_class} cannot be read back; choose another of the two"
            yield Clash(("s3.checksum", "s3.storage_class"), mend)
        locked = table.object_lock_mode is not LockMode.NONE
        yield from pair("s3.object_lock_mode", locked, "s3.object_lock_days", table.object_lock_days)

    def doubts(self) -> Iterator[str]:
        """As `Settings.doubts`."""
        if self.keys.s3_skip_cert_verification:
            yield (
                "s3_skip_cert_verification: certificates of the S3 endpoint are not checked; anybody on the "
                "way can take its place; mend: name the certificates in s3_connector_cert_location"
            )
        if self.keys.s3_skip_cert_verification and self.keys.s3_connector_cert_location:
            yield "s3_connector_cert_location: not used, because s3_skip_cert_verification is true"
        if objects.in_the_open(self._url):
            yield f"the S3 endpoint {self._url} is http: {objects.OPEN}"
        if objects.asleep(self.table.storage_class):
            yield f"s3.storage_class: {objects.UNREADABLE}"

    def secrets(self) -> Iterator[str]:
        """As `Settings.secrets`."""
        yield from filter(None, [plain(self.keys.aws_secret_access_key)])

    @property
    def _url(self) -> str:
        return self.table.endpoint_url or self.keys.aws_s3_endpoint_url

    def destination(self) -> S3:
        """The bucket, as its store takes it."""
        keys, table = self.keys, self.table
        return S3(
            S3Endpoint(
                keys.artifacts_s3_bucket,
                region=table.region or keys.aws_default_region,
                url=self._url,
                addressing=table.addressing_style,
                verify=not keys.s3_skip_cert_verification,
                authorities=keys.s3_connector_cert_location,
                connect_seconds=table.connect_timeout_seconds,
                read_seconds=table.read_timeout_seconds,
                connections=objects.kept(table.connections),
            ),
            S3Access(
                keys.aws_access_key_id,
                plain(keys.aws_secret_access_key),
                keys.aws_role_arn,
                keys.aws_use_ec2_role_credentials,
            ),
            table,
        )
