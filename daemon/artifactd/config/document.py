"""Every key there is: Driverless AI's flat ones and our tables, each with its type and default. Pure.

`config.toml` in the project's root explains each key to its reader; a test keeps the two in step.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr
from pydantic.fields import FieldInfo

from artifactd.artifact import InvalidKey, Key
from artifactd.config import objects, values
from artifactd.config.destination import (
    AddressingStyle,
    Checksum,
    Encryption,
    ImmutabilityMode,
    LockMode,
    StoreKind,
)
from artifactd.config.listen import Listen, listen_at
from artifactd.config.repository import GitTable
from artifactd.config.rules import RuleTable, tables
from artifactd.config.values import Mode, Table
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import OnChange

Switch = Annotated[bool, PlainValidator(values.boolean)]
Text = Annotated[str, PlainValidator(values.text)]
Word = Annotated[str, PlainValidator(objects.word)]
Place = Annotated[Path, PlainValidator(values.place)]
MaybePlace = Annotated[Path | None, PlainValidator(values.optional(values.place))]
Address = Annotated[str, PlainValidator(values.address)]
Endpoint = Annotated[str, PlainValidator(objects.endpoint)]
Region = Annotated[str, PlainValidator(objects.region)]
Prefix = Annotated[str, PlainValidator(objects.prefix)]
Connections = Annotated[int, PlainValidator(values.whole(1, 64))]
# A bare number is bytes: one that is meant as megabytes would stop all traffic, so small ones are refused.
Bandwidth = Annotated[int | None, PlainValidator(values.optional(values.size_within("1 kB", "1 TB")))]
ConnectSeconds = Annotated[float, PlainValidator(values.seconds(600))]
ReadSeconds = Annotated[float, PlainValidator(values.seconds(3600))]
Secret = Annotated[SecretStr | None, PlainValidator(values.secret)]


class Level(StrEnum):
    """The least important messages that the log shows."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """How the log looks."""

    AUTO = "auto"
    """console on a terminal, journald's fields under systemd, JSON elsewhere"""
    JSON = "json"
    CONSOLE = "console"


def _user(value: object) -> str:
    try:
        return Key.of(values.named(value)).text
    except InvalidKey as error:
        raise ValueError(f"a name that can be a folder in every store: {error}") from None


class Daemon(Table):
    """`[artifactd]`."""

    driverless_ai_config: MaybePlace = None
    state_directory: Place = Path("/var/lib/artifactd")
    on_change: Annotated[OnChange, PlainValidator(values.one_of(OnChange))] = OnChange.REPLACE


class Watch(Table):
    """`[watch]`: how long to wait, in seconds."""

    quiet_seconds: Annotated[float, PlainValidator(values.seconds(3600))] = 2.0
    rescan_seconds: Annotated[float, PlainValidator(values.seconds(24 * 3600))] = 60.0
    max_wait_seconds: Annotated[float, PlainValidator(values.seconds(7 * 24 * 3600))] = 3600.0


class Layout(Table):
    """`[layout]`."""

    user: Annotated[str | None, PlainValidator(values.optional(_user))] = None


class Limits(Table):
    """`[limits]`."""

    max_file_size: Annotated[int | None, PlainValidator(values.optional(values.size))] = None
    """bytes; None: no limit"""
    workers: Annotated[int, PlainValidator(values.whole(1, 64))] = 2


class Retry(Table):
    """`[retry]`: the fields of `Backoff`."""

    first_seconds: Annotated[float, PlainValidator(values.seconds(3600))] = Backoff().first_seconds
    cap_seconds: Annotated[float, PlainValidator(values.seconds(24 * 3600))] = Backoff().cap_seconds
    give_up_after: Annotated[int, PlainValidator(values.whole(1, 1_000_000))] = Backoff().give_up_after


class FileSystemTable(Table):
    """`[file_system]`."""

    file_mode: Annotated[Mode, PlainValidator(values.mode(0o400))] = Mode(0o444)
    directory_mode: Annotated[Mode, PlainValidator(values.mode(0o700))] = Mode(0o755)


class S3Table(Table):
    """`[s3]`. The sizes of a part are S3's own limits ("Amazon S3 multipart upload limits")."""

    prefix: Prefix = ""
    region: Region = ""
    endpoint_url: Endpoint = ""
    addressing_style: Annotated[AddressingStyle, PlainValidator(values.one_of(AddressingStyle))] = (
        AddressingStyle.AUTO
    )
    storage_class: Word = ""
    encryption: Annotated[Encryption, PlainValidator(values.one_of(Encryption))] = Encryption.NONE
    kms_key_id: Word = ""
    object_lock_mode: Annotated[LockMode, PlainValidator(values.one_of(LockMode))] = LockMode.NONE
    object_lock_days: Annotated[int, PlainValidator(values.whole(0, 36_500))] = 0
    legal_hold: Switch = False
    tags: Annotated[dict[str, str], PlainValidator(objects.s3_tags)] = Field(default_factory=dict)
    expected_bucket_owner: Annotated[str, PlainValidator(objects.bucket_owner)] = ""
    checksum: Annotated[Checksum, PlainValidator(values.one_of(Checksum))] = Checksum.AUTO
    part_size: Annotated[int, PlainValidator(values.size_within("5 MiB", "5 GiB"))] = 16 * 2**20
    """bytes"""
    connections: Connections = 8
    bandwidth: Bandwidth = None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: ConnectSeconds = 10.0
    read_timeout_seconds: ReadSeconds = 60.0
    abandon_after_days: Annotated[int, PlainValidator(values.whole(1, 3650))] = 7


class AzureTable(Table):
    """`[azure]`. Block sizes and days are Azure's own limits ("Put Block", "immutable storage")."""

    container: Annotated[str, PlainValidator(objects.container)] = ""
    prefix: Prefix = ""
    endpoint_url: Endpoint = ""
    endpoint_suffix: Annotated[str, PlainValidator(objects.suffix)] = "core.windows.net"
    cert_location: MaybePlace = None
    access_tier: Word = ""
    immutability_mode: Annotated[ImmutabilityMode, PlainValidator(values.one_of(ImmutabilityMode))] = (
        ImmutabilityMode.NONE
    )
    immutability_days: Annotated[int, PlainValidator(values.whole(0, 146_000))] = 0
    legal_hold: Switch = False
    tags: Annotated[dict[str, str], PlainValidator(objects.azure_tags)] = Field(default_factory=dict)
    block_size: Annotated[int, PlainValidator(values.size_within("64 KiB", "4000 MiB"))] = 8 * 2**20
    """bytes"""
    connections: Connections = 8
    bandwidth: Bandwidth = None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: ConnectSeconds = 10.0
    read_timeout_seconds: ReadSeconds = 60.0


class Log(Table):
    """`[log]`."""

    level: Annotated[Level, PlainValidator(values.one_of(Level))] = Level.INFO
    format: Annotated[Format, PlainValidator(values.one_of(Format))] = Format.AUTO


class Health(Table):
    """`[health]`."""

    listen: Annotated[Listen | None, PlainValidator(values.optional(listen_at))] = None
    """where to answer over HTTP; None: nowhere"""
    max_pending_seconds: Annotated[float, PlainValidator(values.seconds(30 * 24 * 3600))] = 3600.0
    """how old the oldest undelivered artifact may become before the daemon calls itself not ready"""


class Document(Table):
    """All sources merged. The flat keys have Driverless AI's names, meanings and defaults."""

    enable_artifacts_upload: Switch = False
    artifacts_store: Annotated[tuple[StoreKind, ...], PlainValidator(values.names_of(StoreKind))] = (
        StoreKind.FILE_SYSTEM,
    )
    artifacts_file_system_directory: Place = Path("tmp")
    data_directory: Place = Path("./tmp")
    user_config_directory: MaybePlace = None
    enable_dataset_downloading: Switch = True
    artifacts_s3_bucket: Annotated[str, PlainValidator(objects.bucket)] = ""
    aws_access_key_id: Word = ""
    aws_secret_access_key: Secret = None
    aws_role_arn: Word = ""
    aws_default_region: Region = ""
    aws_s3_endpoint_url: Endpoint = ""
    aws_use_ec2_role_credentials: Switch = False
    s3_skip_cert_verification: Switch = False
    s3_connector_cert_location: MaybePlace = None
    artifacts_git_repo: Address = ""
    artifacts_git_branch: Text = "dev"
    artifacts_git_user: Text = "git"
    artifacts_git_password: Secret = None
    artifacts_git_ssh_private_key_file_location: MaybePlace = None
    bitbucket_skip_cert_verification: Switch = False
    bitbucket_tmp_relative_dir: Text = ""
    artifacts_azure_blob_account_name: Annotated[str, PlainValidator(objects.account)] = ""
    artifacts_azure_blob_account_key: Secret = None
    artifacts_azure_connection_string: Secret = None
    artifacts_azure_sas_token: Secret = None

    artifactd: Daemon = Daemon()
    watch: Watch = Watch()
    layout: Layout = Layout()
    limits: Limits = Limits()
    retry: Retry = Retry()
    file_system: FileSystemTable = FileSystemTable()
    s3: S3Table = S3Table()
    azure: AzureTable = AzureTable()
    git: GitTable = GitTable()
    log: Log = Log()
    health: Health = Health()
    policy: Annotated[tuple[RuleTable, ...], BeforeValidator(tables)] = ()


def _tables() -> Iterator[tuple[str, type[Table]]]:
    for name, field in Document.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            yield name, field.annotation


TABLES = dict(_tables())
"""Our tables by name, `[[policy]]` aside."""

FLAT = {name: field for name, field in Document.model_fields.items() if name not in {*TABLES, "policy"}}
"""Driverless AI's keys."""

FIELDS: dict[str, FieldInfo] = FLAT | {
    f"{name}.{key}": field for name, table in TABLES.items() for key, field in table.model_fields.items()
}
"""Every key that holds one value, with its table's name before it: `watch.quiet_seconds`."""

PLACES = frozenset(key for key, field in FIELDS.items() if field.annotation in (Path, Path | None))
"""Keys that hold a path: a relative one means relative to where it is written."""

SECRETS = frozenset(key for key, field in FIELDS.items() if field.annotation == SecretStr | None)
"""Keys whose value is never shown."""

DISCREET = SECRETS | {
    key
    for key, field in FIELDS.items()
    if not {PlainValidator(values.address), PlainValidator(objects.endpoint)}.isdisjoint(field.metadata)
}
"""Keys whose value is not shown while it is wrong: an address may hold a password."""
