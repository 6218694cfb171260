"""The configuration that a command works with, and where the daemon on it is."""

import os
from pathlib import Path
from typing import Annotated

import typer

from artifactd.cli.exits import Exit
from artifactd.cli.terminal import fail
from artifactd.config import Config, ConfigError, load_beside, state_directories
from artifactd.service import control

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ARTIFACTD_CONFIG",
        help="The configuration file. Default: /etc/artifactd/config.toml",
        show_default=False,
    ),
]


def configuration(path: Path | None) -> Config:
    """The configuration; where it is wrong the command ends with every problem listed."""
    try:
        return load_beside(path, os.environ)
    except ConfigError as error:
        fail(Exit.CONFIGURATION, str(error))


def state_of(path: Path | None) -> Path:
    """The state directory with a daemon, for what needs no more: the configuration may have problems.

    It may hold secrets that this account cannot read, or be changed badly while a daemon runs on it.
    """
    likely = state_directories(path, os.environ)
    return next((one for one in likely if (one / control.FILE).exists()), likely[0])
