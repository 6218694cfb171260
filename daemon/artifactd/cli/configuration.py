"""The configuration that a command works with, and where the daemon on it is."""

import os
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Annotated, Final

import typer

from artifactd.cli.exits import Exit
from artifactd.cli.terminal import fail
from artifactd.config import Config, ConfigError, load_beside, state_directories, unexamined
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


_SECONDS: Final = 30.0
"""For a look at the directories that the configuration names: a dead mount hangs for ever."""


def configuration(path: Path | None, *, touching: bool = True, seconds: float = _SECONDS) -> Config:
    """The configuration; where it is wrong, or takes longer than `seconds`, the command ends and says so.

    `touching`: see `load`.
    """
    loaded = Future[Config]()
    Thread(target=_load, args=(path, touching, loaded), name="configuration", daemon=True).start()
    try:
        return loaded.result(seconds)
    except ConfigError as error:
        fail(Exit.CONFIGURATION, str(error))
    except TimeoutError:
        fail(Exit.CONFIGURATION, f"artifactd: {unexamined(seconds)}")


def _load(path: Path | None, touching: bool, loaded: Future[Config]) -> None:  # noqa: FBT001 - a thread's argument
    try:
        loaded.set_result(load_beside(path, os.environ, touching=touching))
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        loaded.set_exception(error)


def state_of(path: Path | None) -> Path:
    """The state directory with a daemon, for what needs no more: the configuration may have problems.

    It may hold secrets that this account cannot read, or be changed badly while a daemon runs on it.
    """
    likely = state_directories(path, os.environ)
    return next((one for one in likely if (one / control.FILE).exists()), likely[0])
