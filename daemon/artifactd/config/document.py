"""Every key there is: Driverless AI's flat ones and our tables, each with its type and default. Pure.

`config.toml` in the project's root explains each key to its reader; a test keeps the two in step.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_origin

from artifactd.artifact import InvalidKey, Key
from artifactd.config import values
from artifactd.config.destinations import objects
from artifactd.config.destinations.azure import AzureKeys, AzureTable
from artifactd.config.destinations.file_system import FileSystemKeys, FileSystemTable
from artifactd.config.destinations.git import GitKeys, GitTable
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.destinations.s3 import S3Keys, S3Table
from artifactd.config.listen import Listen, host_names, listen_at
from artifactd.config.values import Hidden, MaybePlace, Place, Switch, Table
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import OnChange, Rule


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


@dataclass(frozen=True)
class Daemon(Table):
    """`[artifactd]`."""

    driverless_ai_config: MaybePlace = None
    state_directory: Place = Path("/var/lib/artifactd")
    on_change: Annotated[OnChange, values.one_of(OnChange)] = OnChange.REPLACE
    ignore_case: Switch = False


@dataclass(frozen=True)
class Watch(Table):
    """`[watch]`: how long to wait, in seconds."""

    quiet_seconds: Annotated[float, values.seconds(3600)] = 2.0
    rescan_seconds: Annotated[float, values.seconds(24 * 3600)] = 60.0
    max_wait_seconds: Annotated[float, values.seconds(7 * 24 * 3600)] = 3600.0


@dataclass(frozen=True)
class Layout(Table):
    """`[layout]`."""

    user: Annotated[str | None, values.optional(_user)] = None


@dataclass(frozen=True)
class Limits(Table):
    """`[limits]`."""

    max_file_size: Annotated[int | None, values.optional(values.size)] = None
    """bytes; None: no limit"""
    workers: Annotated[int, values.whole(1, 64)] = 2


@dataclass(frozen=True)
class Retry(Table):
    """`[retry]`: the fields of `Backoff`."""

    first_seconds: Annotated[float, values.seconds(3600)] = Backoff().first_seconds
    cap_seconds: Annotated[float, values.seconds(24 * 3600)] = Backoff().cap_seconds
    give_up_after: Annotated[int, values.whole(1, 1_000_000)] = Backoff().give_up_after


@dataclass(frozen=True)
class Log(Table):
    """`[log]`."""

    level: Annotated[Level, values.one_of(Level)] = Level.INFO
    format: Annotated[Format, values.one_of(Format)] = Format.AUTO


@dataclass(frozen=True)
class Health(Table):
    """`[health]`."""

    listen: Annotated[Listen | None, values.optional(listen_at)] = None
    """where to answer over HTTP; None: nowhere"""
    hosts: Annotated[tuple[str, ...], host_names] = ()
    """names beside the machine's own by which it may be asked"""
    max_pending_seconds: Annotated[float, values.seconds(30 * 24 * 3600)] = 3600.0
    """how old the oldest undelivered artifact may become before the daemon calls itself not ready"""


@dataclass(frozen=True)
class _Export(Table):
    """Driverless AI's keys that say whether and where to, and the first to be shown."""

    enable_artifacts_upload: Switch = False
    artifacts_store: Annotated[tuple[StoreKind, ...], values.names_of(StoreKind)] = (StoreKind.FILE_SYSTEM,)


@dataclass(frozen=True)
class _DriverlessAI(Table):
    """Its keys about itself."""

    data_directory: Place = Path("./tmp")
    user_config_directory: MaybePlace = None
    enable_dataset_downloading: Switch = True


@dataclass(frozen=True, kw_only=True)
class Document(AzureKeys, GitKeys, S3Keys, _DriverlessAI, FileSystemKeys, _Export):
    """All sources merged. The flat keys have Driverless AI's names, meanings and defaults.

    The fields of the last base come first: it is the order in which they are shown.
    """

    artifactd: Daemon
    watch: Watch
    layout: Layout
    limits: Limits
    retry: Retry
    file_system: FileSystemTable
    s3: S3Table
    azure: AzureTable
    git: GitTable
    log: Log
    health: Health
    policy: tuple[Rule, ...]

    @classmethod
    def of(cls, found: Mapping[str, Any], policy: tuple[Rule, ...]) -> Self:
        """The one in which keys of `FIELDS` have these values, as parsed; the others have their defaults."""
        tables: dict[str, Any] = {
            name: table(**{key: found[f"{name}.{key}"] for key in table.names() if f"{name}.{key}" in found})
            for name, table in TABLES.items()
        }
        return cls(**{key: found[key] for key in FLAT if key in found}, **tables, policy=policy)


@dataclass(frozen=True, slots=True)
class Field:
    """What a key may hold."""

    type: object
    parse: Callable[[object], object]
    """raises ValueError with what is allowed as its message"""
    default: Any


def _fields(table: type[Table]) -> Iterator[tuple[str, Field]]:
    for one in fields(table):
        if get_origin(one.type) is Annotated:
            kind, parse = get_args(one.type)
            yield one.name, Field(kind, parse, one.default)


TABLES: dict[str, type[Table]] = {
    one.name: one.type
    for one in fields(Document)
    if isinstance(one.type, type) and issubclass(one.type, Table)
}
"""Our tables by name, `[[policy]]` aside."""

FLAT = dict(_fields(Document))
"""Driverless AI's keys."""

FIELDS = FLAT | {f"{name}.{key}": field for name, table in TABLES.items() for key, field in _fields(table)}
"""Every key that holds one value, with its table's name before it: `watch.quiet_seconds`."""

PLACES = frozenset(key for key, field in FIELDS.items() if field.type in (Path, Path | None))
"""Keys that hold a path: a relative one means relative to where it is written."""

SECRETS = frozenset(key for key, field in FIELDS.items() if field.type == Hidden | None)
"""Keys whose value is never shown."""

DISCREET = SECRETS | {
    key for key, field in FIELDS.items() if field.parse in (values.address, objects.endpoint)
}
"""Keys whose value is not shown while it is wrong: an address may hold a password."""
