"""How much a command says beside its result: `--quiet` and `--verbose`, the same for every command."""

from contextvars import ContextVar
from enum import IntEnum
from typing import Annotated, Final

import typer


class Loudness(IntEnum):
    """How much is said."""

    QUIET = 0
    """the result, and what is wrong"""
    NORMAL = 1
    """progress, and remarks that may help"""
    VERBOSE = 2
    """what the command works with, and each thing that it does"""


_CHOSEN: Final = ContextVar("loudness", default=Loudness.NORMAL)


def loudness() -> Loudness:
    """Of the command that runs."""
    return _CHOSEN.get()


def remark(text: str) -> None:
    """Say, on standard error, what may help; not if it is to be quiet."""
    if loudness() > Loudness.QUIET:
        typer.echo(text, err=True)


def detail(text: str) -> None:
    """Say, on standard error, what only who asked for it wants to know."""
    if loudness() is Loudness.VERBOSE:
        typer.echo(text, err=True)


def log_level() -> str | None:
    """The level of the log; None: the configured one."""
    return {Loudness.QUIET: "warning", Loudness.VERBOSE: "debug"}.get(loudness())


def _choose(chosen: Loudness, *, given: bool) -> None:
    if given:
        _CHOSEN.set(chosen)


def options(
    quiet: Annotated[  # noqa: FBT002 - typer's way to a flag
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Only the result, and what is wrong. Of a log: only warnings and errors.",
            callback=lambda given: _choose(Loudness.QUIET, given=given),
            expose_value=False,
        ),
    ] = False,
    verbose: Annotated[  # noqa: FBT002 - typer's way to a flag
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also what it works with, and each thing that it does. Of a log: all that is for debugging.",
            callback=lambda given: _choose(Loudness.VERBOSE, given=given),
            expose_value=False,
        ),
    ] = False,
) -> None:
    """What every command takes. Its parameters are all there is to it."""
