"""The configuration that a command works with."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from artifactd.aside import aside
from artifactd.cli.exits import Exit
from artifactd.cli.options.loudness import detail
from artifactd.cli.terminal import fail
from artifactd.config.assemble import load_beside
from artifactd.config.effective import Config
from artifactd.config.location import chosen
from artifactd.config.problem import ConfigError, unexamined

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
