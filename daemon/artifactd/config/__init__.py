"""`config.toml`, Driverless AI's configuration and the environment → one frozen `Config`, or all problems.

In the order a value goes: `sources` reads and merges, `document` says which keys there are and `values` what
they may hold, `assemble` checks the whole, `effective` is what the daemon uses. All that is configured of one
kind of destination stands in its file of `destinations`.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from artifactd.config import secrets
from artifactd.config.assemble import assemble
from artifactd.config.chosen import Destination
from artifactd.config.destinations.azure import Azure
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.destinations.git import Bitbucket
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.destinations.s3 import S3
from artifactd.config.document import FIELDS, Format, Health, Level, Limits, Log, Watch
from artifactd.config.effective import Config, Row
from artifactd.config.listen import Listen, Tcp, Unix
from artifactd.config.problem import ConfigError, Problem, unexamined
from artifactd.config.sources import gather, rescued_path
from artifactd.config.values import place

__all__ = [
    "S3",
    "Azure",
    "Bitbucket",
    "Config",
    "ConfigError",
    "Destination",
    "FileSystem",
    "Format",
    "Health",
    "Level",
    "Limits",
    "Listen",
    "Log",
    "Problem",
    "Row",
    "StoreKind",
    "Tcp",
    "Unix",
    "Watch",
    "chosen",
    "load",
    "load_beside",
    "state_directories",
    "unexamined",
]

DEFAULT_PATH = Path("/etc/artifactd/config.toml")


def load(path: Path | None, environ: Mapping[str, str], *, touching: bool = True) -> Config:
    """The configuration in the file at `path`; None: $ARTIFACTD_CONFIG, else /etc/artifactd/config.toml.

    Reads files and writes none. Unless `touching`, no destination is looked at, since its mount may hang: for
    who uses none. What is wrong with its place then stays unknown.

    Raises:
        ConfigError: something is wrong, a missing file included. It holds every problem and no secret.
    """
    return assemble(gather(chosen(path, environ), environ), touching=touching)


def load_beside(path: Path | None, environ: Mapping[str, str], *, touching: bool = True) -> Config:
    """`load` for a command: of the service's own configuration, with the secrets that the service gets."""
    if chosen(path, environ) == DEFAULT_PATH:
        environ = secrets.beside_the_service(environ)
    return load(path, environ, touching=touching)


def state_directories(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where the state may lie, while the configuration may have problems: the likeliest first.

    It is the way to a daemon that runs on what was good before: what the sources say now, then what can be
    made out in a file that is no TOML, systemd's $STATE_DIRECTORY (systemd.exec(5)), and the default.
    """
    key, file = "artifactd.state_directory", chosen(path, environ)
    setting = gather(file, environ).settings[key]
    found = [environ.get("STATE_DIRECTORY"), FIELDS[key].default]
    with suppress(ValueError):
        unsaid = setting.origin.name == "default"
        found.insert(0, rescued_path(file, key) if unsaid else place(setting.value))
    return tuple(Path(one) for one in found if one)


def chosen(path: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file that is meant; see `load`."""
    return path or Path(environ.get("ARTIFACTD_CONFIG") or DEFAULT_PATH)


def named(config: Config) -> Iterator[tuple[str, Destination]]:
    """The configured destinations with their stores' names."""
    return ((destination.kind.value, destination) for destination in config.destinations)
