"""`artifactd manual`: the pages of the manual."""

from pathlib import Path
from typing import Annotated

import typer

from artifactd import __version__
from artifactd.cli import ABOUT, commands
from artifactd.cli.exits import Exit
from artifactd.cli.help import roff
from artifactd.cli.terminal import fail


def manual(
    directory: Annotated[Path, typer.Argument(help="Where the pages go. It is made if it is missing.")],
) -> None:
    """Write the pages of the manual: one for artifactd, and one for each command.

    They are made of the same words as --help.
    """
    found = commands()
    texts = {
        "artifactd": roff.overview(ABOUT, {path: one.help or "" for path, one in found.items()}, __version__)
    }
    for path, command in found.items():
        texts[f"artifactd-{path.replace(' ', '-')}"] = roff.command_page(path, command.real(), __version__)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / f"{name}.1").write_text(text, encoding="utf-8")
    except OSError as error:
        fail(Exit.FAILED, f"artifactd: {error.filename}: {error.strerror}")
    typer.echo(f"{len(texts)} pages are in {directory}")
