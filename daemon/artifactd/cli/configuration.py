"""The configuration that a command works with, and where the daemon on it is."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from artifactd.aside import aside
from artifactd.cli.exits import Exit
from artifactd.cli.options.loudness import detail
from artifactd.cli.terminal import fail
from artifactd.config import Config, ConfigError, chosen, load_beside, state_directories, unexamined
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

PATIENCE: Final = 30.0
"""Seconds for a look at the directories that the configuration names: a dead mount hangs for ever."""

Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a store that does not answer.")]


def configuration(
    path: Path | None,
    *,
    touching: bool = True,
    seconds: float = PATIENCE,
    besides: str = "",
    patient: bool = False,
) -> Config:
    """The configuration; where it is wrong, or takes longer than `seconds`, the command ends and says so.

    `touching`: see `load`; `patient`: without it where that takes longer, for who says which destination
    hangs. `besides`: what is said after the problems.
    """
    load = partial(load_beside, path, os.environ)
    try:
        found = aside(partial(load, touching=touching), "configuration").result(seconds)
    except ConfigError as error:
        fail(Exit.CONFIGURATION, "\n".join(filter(None, (str(error), besides))))
    except TimeoutError:
        if patient:
            return configuration(path, touching=False, seconds=seconds, besides=besides)
        problem = f"artifactd: {unexamined(seconds)}"
        fail(Exit.CONFIGURATION, "\n".join(filter(None, (problem, besides))))
    detail(f"configuration: {chosen(path, os.environ)}, digest {found.digest[:12]}")
    detail(f"data: {found.data_directory}")
    detail(f"state: {found.state_directory}")
    return found


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
