"""`config.toml`, Driverless AI's configuration and the environment → one frozen `Config`, or all problems.

In the order a value goes: `sources` reads and merges, `document` says which keys there are and `values` what
they may hold, `assemble` checks the whole, `effective` is what the daemon uses.
"""

from collections.abc import Mapping
from pathlib import Path

from artifactd.config.assemble import assemble
from artifactd.config.destination import (
    S3,
    Azure,
    Bitbucket,
    Checksum,
    Destination,
    Encryption,
    FileSystem,
    ImmutabilityMode,
    LockMode,
    StoreKind,
)
from artifactd.config.document import Format, Health, Level, Limits, Log, Watch
from artifactd.config.effective import Config, Row
from artifactd.config.listen import Listen, Tcp, Unix
from artifactd.config.problem import ConfigError, Problem
from artifactd.config.sources import gather

__all__ = [
    "S3",
    "Azure",
    "Bitbucket",
    "Checksum",
    "Config",
    "ConfigError",
    "Destination",
    "Encryption",
    "FileSystem",
    "Format",
    "Health",
    "ImmutabilityMode",
    "Level",
    "Limits",
    "Listen",
    "LockMode",
    "Log",
    "Problem",
    "Row",
    "StoreKind",
    "Tcp",
    "Unix",
    "Watch",
    "load",
]

DEFAULT_PATH = Path("/etc/artifactd/config.toml")


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at `path`; None: $ARTIFACTD_CONFIG, else /etc/artifactd/config.toml.

    Reads files and writes none.

    Raises:
        ConfigError: something is wrong, a missing file included. It holds every problem and no secret.
    """
    return assemble(gather(path or Path(environ.get("ARTIFACTD_CONFIG") or DEFAULT_PATH), environ))
