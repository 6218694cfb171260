"""`artifactd explain`: all that is known of one file."""

import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options import paths
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.state import reading, stepped
from artifactd.cli.terminal import AsJson, fail, lines, on_terminal, width
from artifactd.clock import SYSTEM
from artifactd.config.effective import Config
from artifactd.inspection.explain import explanation
from artifactd.ledger.ledger import Ledger
from artifactd.service import control
from artifactd.service.control import NoDaemon


def explain(
    path: Annotated[str, typer.Argument(help=f"A file. {paths.HELP}")],
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Say what is known of one file: layout, rule, evidence that is missing, state, tries, last error.

    Without a ledger it says what will become of the file, and ends with 6.
    """
    settings = configuration(config, touching=False)
    with reading(settings, missing=Ledger.empty) as ledger:
        root = settings.data_directory
        inside = paths.located(root, path, lambda one: bool(ledger.of_sources([one])))
        if inside is None:
            fail(Exit.FAILED, paths.outside(root, path))
        said = explanation(settings, ledger, inside, SYSTEM.now(), _stepped(settings))
    if as_json:
        lines([said])
    else:
        _told(said)
    with reading(settings):  # that there is none is an error all the same
        pass


def _stepped(settings: Config) -> float:
    try:  # of no user's files: what waits is not asked for
        return stepped(next(control.ask(settings.state_directory, "waiting", _SECONDS, user="")))
    except NoDaemon:
        return 0.0


_SECONDS: Final = 1.0
"""For the daemon to tell how its clock stands. One that is silent has no tries either."""


def _told(said: Mapping[str, Any]) -> None:
    margin = max(len(key) for key in said) + 2
    for key, value in said.items():
        for number, line in enumerate(value if isinstance(value, list) else [value]):
            typer.echo(f"{key if number == 0 else '':<{margin}}{_broken(line, margin)}")


def _broken(line: str, margin: int) -> str:
    """The line, on a terminal broken where that ends, what follows a little further in than its beginning."""
    if not on_terminal():
        return line
    room = max(width() - margin - 2, 20)
    return f"\n{'':<{margin + 2}}".join(textwrap.wrap(line, room, break_on_hyphens=False))
