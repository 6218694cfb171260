"""`artifactd completion`: what lets a shell complete our command lines."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from artifactd.cli import COMPLETE, learn_shells, root


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")]) -> None:
    """Print a script that has the shell complete commands, options and their values.

    At each press of the key the shell asks artifactd itself.
    """
    learn_shells()
    os.environ[COMPLETE] = f"source_{shell}"
    root()(prog_name="artifactd", complete_var=COMPLETE)
