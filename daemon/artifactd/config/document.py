"""Every key there is: Driverless AI's flat ones and our tables, each with its type and default. Pure.

`config.toml` in the project's root explains each key to its reader; a test keeps the two in step.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PlainValidator, SecretStr
from pydantic.fields import FieldInfo

from artifactd.artifact import InvalidKey, Key
from artifactd.backoff import Backoff
from artifactd.config import values
from artifactd.config.destination import StoreKind
from artifactd.config.repository import GitTable
from artifactd.config.rules import RuleTable, tables
from artifactd.config.values import Mode, Table
from artifactd.policy import OnChange

Switch = Annotated[bool, PlainValidator(values.boolean)]
Text = Annotated[str, PlainValidator(values.text)]
Place = Annotated[Path, PlainValidator(values.place)]
MaybePlace = Annotated[Path | None, PlainValidator(values.optional(values.place))]
Address = Annotated[str, PlainValidator(values.address)]
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
    """console on a terminal, JSON elsewhere"""
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


class Log(Table):
    """`[log]`."""

    level: Annotated[Level, PlainValidator(values.one_of(Level))] = Level.INFO
    format: Annotated[Format, PlainValidator(values.one_of(Format))] = Format.AUTO


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
    artifacts_s3_bucket: Text = ""
    aws_access_key_id: Text = ""
    aws_secret_access_key: Secret = None
    aws_role_arn: Text = ""
    aws_default_region: Text = ""
    aws_s3_endpoint_url: Address = ""
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
    artifacts_azure_blob_account_name: Text = ""
    artifacts_azure_blob_account_key: Secret = None
    artifacts_azure_connection_string: Secret = None
    artifacts_azure_sas_token: Secret = None

    artifactd: Daemon = Daemon()
    watch: Watch = Watch()
    layout: Layout = Layout()
    limits: Limits = Limits()
    retry: Retry = Retry()
    file_system: FileSystemTable = FileSystemTable()
    git: GitTable = GitTable()
    log: Log = Log()
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
    key for key, field in FIELDS.items() if PlainValidator(values.address) in field.metadata
}
"""Keys whose value is not shown while it is wrong: an address may hold a password."""
