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
from artifactd.config import values
from artifactd.config.destinations import objects
from artifactd.config.destinations.azure import AzureKeys, AzureTable
from artifactd.config.destinations.file_system import FileSystemKeys, FileSystemTable
from artifactd.config.destinations.git import GitKeys, GitTable
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.destinations.s3 import S3Keys, S3Table
from artifactd.config.listen import Listen, host_names, listen_at
from artifactd.config.rules import RuleTable, tables
from artifactd.config.values import MaybePlace, Place, Switch, Table
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import OnChange


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
    ignore_case: Switch = False


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


class Log(Table):
    """`[log]`."""

    level: Annotated[Level, PlainValidator(values.one_of(Level))] = Level.INFO
    format: Annotated[Format, PlainValidator(values.one_of(Format))] = Format.AUTO


class Health(Table):
    """`[health]`."""

    listen: Annotated[Listen | None, PlainValidator(values.optional(listen_at))] = None
    """where to answer over HTTP; None: nowhere"""
    hosts: Annotated[tuple[str, ...], PlainValidator(host_names)] = ()
    """names beside the machine's own by which it may be asked"""
    max_pending_seconds: Annotated[float, PlainValidator(values.seconds(30 * 24 * 3600))] = 3600.0
    """how old the oldest undelivered artifact may become before the daemon calls itself not ready"""


class _Export(Table):
    """Driverless AI's keys that say whether and where to, and the first to be shown."""

    enable_artifacts_upload: Switch = False
    artifacts_store: Annotated[tuple[StoreKind, ...], PlainValidator(values.names_of(StoreKind))] = (
        StoreKind.FILE_SYSTEM,
    )


class _DriverlessAI(Table):
    """Its keys about itself."""

    data_directory: Place = Path("./tmp")
    user_config_directory: MaybePlace = None
    enable_dataset_downloading: Switch = True


class Document(AzureKeys, GitKeys, S3Keys, _DriverlessAI, FileSystemKeys, _Export):
    """All sources merged. The flat keys have Driverless AI's names, meanings and defaults.

    pydantic keeps the fields of the last base first: it is the order in which they are shown.
    """

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
