"""`artifactd retry`: another try for what was refused, given up or found lost."""

from typing import Annotated

import typer

from artifactd.artifact import printable
from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.exits import Exit
from artifactd.cli.state import ends_well
from artifactd.cli.terminal import fail
from artifactd.clock import SYSTEM
from artifactd.mirror.by_hand import relative
from artifactd.service.replay import replay


def retry(
    paths: Annotated[list[str] | None, typer.Argument(help="Artifacts below the data directory.")] = None,
    config: ConfigPath = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was refused, lost or waits.")] = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Try again what was refused, given up or found lost. The running daemon takes it up within a second."""
    if bool(paths) == everything:
        fail(Exit.USAGE, "name artifacts, or --all")
    settings = configuration(config, touching=False)
    chosen = None if everything else {relative(settings.data_directory, path) for path in paths or ()}
    with ends_well():
        replayed = replay(settings, chosen, SYSTEM.now())
    for before, row in replayed:
        was = f"it was {before.state}: {before.reason}"
        typer.echo(f"{printable(row.artifact.path)} in {row.store}: tried again ({was})")
    if not replayed:
        typer.echo("nothing to try again", err=True)
        if not everything:
            raise typer.Exit(Exit.FAILED)
