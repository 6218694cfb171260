"""What is shown to a person or a machine: lines, tables, and how it ended."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NoReturn

import typer

from artifactd.artifact import printable
from artifactd.cli.exits import Exit
from artifactd.cli.output import heard

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on each line, for machines.")]


def fail(code: Exit, message: str) -> NoReturn:
    """End with `code`, the message on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def on_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()


def lines(objects: Iterable[Mapping[str, Any]]) -> None:
    """Each as one line of JSON."""
    for one in objects:
        typer.echo(json.dumps(one))
        if not heard():
            break


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows for a person: a table on a terminal, parted by tabs elsewhere. Nothing in a cell is markup."""
    cells = (tuple(map(printable, row)) for row in rows)
    if on_terminal():
        from artifactd.cli.terminal import drawing  # noqa: PLC0415 - costs 50 ms, which only a terminal is worth

        drawing.table(columns, cells)
    else:
        for row in cells:
            typer.echo("\t".join(row))
            if not heard():
                break


NAME: Final = 24
"""Columns of a line of 80 for the name of a copy: nearly all names of Driverless AI's have fewer."""


def columns(
    rows: Iterable[Sequence[str]],
    most: Sequence[int],
    colours: Callable[[Sequence[str]], Mapping[int, str | None]],
) -> None:
    """Each row on one line of the terminal, on several where that is narrow; the first has the titles.

    Nothing in a cell is markup.

    `most`: columns of the terminal for each cell but the last. `colours`: which cells of a row have one.
    """
    from artifactd.cli.terminal.columns import fitted  # noqa: PLC0415 - as in `table`

    shown = (tuple(map(printable, row)) for row in rows)
    for number, row in enumerate(fitted(shown, most, width())):
        chosen = colours([cell.strip() for cell in row])
        cells = (style(cell, fg=chosen.get(place), bold=number == 0) for place, cell in enumerate(row))
        typer.echo("".join(cells).rstrip())
        if not heard():
            break


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns


def style(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """`text` in a colour; not for who has set NO_COLOR (no-color.org), or has a terminal without any."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not (fg or bold) else typer.style(text, fg=fg, bold=bold or None)


def age_of(seconds: float) -> str:
    """How long ago, for a person, in at most six characters."""
    amount = max(seconds, 0.0)
    for unit, of_the_next in (("s", 60), ("min", 60), ("h", 24)):
        if amount < of_the_next:
            return f"{amount:.0f} {unit}"
        amount /= of_the_next
    return f"{amount:.0f} d"
