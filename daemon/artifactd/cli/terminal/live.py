"""One line on standard error that is written over again and again; nothing where that is no terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer

from artifactd.artifact import printable
from artifactd.cli.options.loudness import Loudness, loudness
from artifactd.cli.terminal import width
from artifactd.cli.terminal.progress import Progress
from artifactd.clock import SYSTEM

_EVERY: Final = 0.2
"""Seconds between two looks of the line."""

_AWAY: Final = "\r\x1b[K"  # to the line's begin, and nothing behind it


class Line:
    """The line. Its text is never wider than the terminal."""

    def __init__(self) -> None:
        self._next, self._text = 0.0, ""

    def due(self) -> bool:
        """Whether it is time for another text."""
        return SYSTEM.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Write this over what is there."""
        self._next = SYSTEM.monotonic() + _EVERY
        if text != self._text:
            from artifactd.cli.terminal.columns import cut  # noqa: PLC0415 - with rich, for who sees the line

            self._text = text
            typer.echo(f"{_AWAY}{cut(printable(text), width() - 1)}", nl=False, err=True)

    def above(self, text: str) -> None:
        """Leave this line of text above."""
        typer.echo(f"{_AWAY}{printable(text)}", err=True)
        text, self._text = self._text, ""
        self.show(text)

    def clear(self) -> None:
        """Take it away."""
        if self._text:
            typer.echo(_AWAY, nl=False, err=True)


@contextmanager
def line() -> Iterator[Line | None]:
    """A line for the length of the block; None where nobody would see it."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or loudness() is Loudness.QUIET:
        yield None
        return
    shown = Line()
    try:
        yield shown
    finally:
        shown.clear()


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A line that says how far it is with `total` bytes; the block tells how many have passed."""
    state = Progress(bytes=total, whole=True)
    with line() as shown:

        def told(size: int) -> None:
            nonlocal state
            state = state.ended(size, copies=0)
            if shown is not None and shown.due():
                state = state.at(SYSTEM.monotonic())
                shown.show(f"{what} {state.sentence()}")

        yield told
