"""`artifactd retry`: another try for what was refused, given up or found lost."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import typer

from artifactd.artifact import printable
from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options import paths as files
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.options.loudness import remark
from artifactd.cli.state import ends_well, reading
from artifactd.cli.terminal import fail
from artifactd.clock import SYSTEM
from artifactd.config.effective import Config
from artifactd.decisions.lifecycle import Row
from artifactd.service.replay import replay


def retry(
    paths: Annotated[list[str] | None, typer.Argument(help=f"Artifacts. {files.HELP}")] = None,
    config: ConfigPath = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was refused, lost or waits.")] = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Try again what was refused, given up or found lost. The running daemon takes it up within a second.

    Where there is nothing to try again at one of the paths it says which and why, and ends with 1; the others
    are tried again all the same.
    """
    if bool(paths) == everything:
        fail(Exit.USAGE, "name artifacts, or --all")
    settings = configuration(config, touching=False)
    named = [] if everything else list(_named(settings, paths or []))
    with ends_well():
        replayed = replay(settings, None if everything else {one.path for one in named}, SYSTEM.now())
    for before, row in replayed:
        was = f"it was {before.state}: {before.reason}"
        typer.echo(f"{printable(row.artifact.path)} in {row.store}: tried again ({was})")
    if everything and not replayed:
        remark("nothing to try again")
    done = {row.artifact.path for _, row in replayed}
    if left := [one for one in named if one.path not in done]:
        fail(Exit.FAILED, "\n".join(line for one in left for line in _why_not(settings, one)))


class _Named(NamedTuple):
    """A file that was asked for."""

    given: str
    path: bytes | None
    """relative to the data directory; None where it does not lie below"""
    rows: list[Row]
    """its copies on record before"""


def _named(settings: Config, given: list[str]) -> Iterator[_Named]:
    with reading(settings) as ledger:
        for one in given:
            path = files.located(settings.data_directory, one, lambda path: bool(ledger.of_sources([path])))
            yield _Named(one, path, ledger.of_sources([path]).get(path, []) if path is not None else [])


def _why_not(settings: Config, one: _Named) -> Iterator[str]:
    if one.path is None:
        yield f"not tried again: {files.outside(settings.data_directory, one.given)}"
    elif not one.rows:
        hint = f"what is known of it: artifactd explain {printable(one.given)}"
        yield f"not tried again: {printable(one.path)} is not on record; {hint}"
    for row in one.rows:
        reason = f", {row.reason}" if row.reason else ""
        yield f"not tried again: {printable(one.path or b'')} in {row.store} is {row.state}{reason}"
