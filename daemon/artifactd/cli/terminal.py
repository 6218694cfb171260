"""What is shown to a person or a machine: lines, tables, progress, and how it ended."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from artifactd.artifact import printable
from artifactd.cli.exits import Exit
from artifactd.cli.output import heard

if TYPE_CHECKING:
    from rich.progress import Progress

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
        from artifactd.cli import drawing  # noqa: PLC0415 - costs 50 ms, which only a terminal is worth

        drawing.table(columns, cells)
    else:
        for row in cells:
            typer.echo("\t".join(row))
            if not heard():
                break


@contextmanager
def progress(before: str, *after: str) -> Iterator["Progress | None"]:
    """A bar of bytes on a terminal, with these texts before and after it; None elsewhere."""
    if not on_terminal():
        yield None
        return
    from artifactd.cli import drawing  # noqa: PLC0415 - as in `table`

    with drawing.progress(before, *after) as shown:
        yield shown


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on a terminal, nothing elsewhere; the block tells it the bytes as they pass."""
    with progress("{task.description}") as shown:
        if shown is None:
            yield lambda _count: None
        else:
            task = shown.add_task(what, total=total)
            yield lambda count: shown.update(task, advance=count)
