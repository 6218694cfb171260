"""Which configuration a command works with, and where the daemon on it is."""

import os
from pathlib import Path
from typing import Annotated

import typer

from artifactd.cli.options.loudness import detail
from artifactd.config.location import chosen, state_directories
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


def state_of(path: Path | None) -> Path:
    """The state directory with a daemon, for what needs no more: the configuration may have problems.

    It may hold secrets that this account cannot read, or be changed badly while a daemon runs on it.
    """
    likely = state_directories(path, os.environ)
    found = next(filter(_may_have_a_daemon, likely), likely[0])
    detail(f"configuration: {chosen(path, os.environ)}")
    detail(f"state: {found}")
    return found


def _may_have_a_daemon(state_directory: Path) -> bool:
    """Whether a daemon's socket is there, or this account may not look."""
    try:
        return (state_directory / control.FILE).exists()
    except PermissionError:
        return True
