"""Output that finds no room, and readers who have had enough: no traceback, and an exit code that is true."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import typer

from artifactd.cli.exits import Exit


class Unprinted(Exception):
    """Standard output takes no more: its disk is full, for one. What is printed from now on is dropped."""


class Output(io.TextIOWrapper):
    """A standard stream, in place of `stream`. Where its reader has gone, what is printed is dropped.

    `needed`: that it takes no more for another reason is an error; else that is dropped, too, as on standard
    error, where there is no other place to tell it.

    Raises:
        Unprinted: see there. `write` and `flush` do.
    """

    def __init__(self, stream: io.TextIOWrapper, *, needed: bool) -> None:
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"  # names and sentences are not
        encoding, errors = ("utf-8", "replace") if ascii_only else (stream.encoding, stream.errors)
        lines = stream.isatty() or not needed
        super().__init__(stream.detach(), encoding, errors, line_buffering=lines)
        self.gone = False
        """whether nobody reads any more"""
        self._needed = needed

    def write(self, text: str, /) -> int:
        """Print. Returns the number of characters."""
        with self._dropping():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Print what is held back."""
        with self._dropping():
            super().flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - as os names it
                os.dup2(nowhere.fileno(), self.fileno())  # for what the buffer still holds, too
            self.gone = error.errno == errno.EPIPE
            if self._needed and not self.gone:
                raise Unprinted(error.strerror) from None


def heard() -> bool:
    """Whether anybody still reads what is printed. What takes long need not go on for nobody."""
    return not getattr(sys.stdout, "gone", False)


@contextmanager
def standard_streams() -> Iterator[None]:
    """For the length of the block, in which a command runs, they are as `Output` has it.

    One that the caller has closed leads nowhere: else the next file that is opened would take its number.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    sys.stdout = Output(_stream(sys.stdout, 1), needed=True)
    sys.stderr = Output(_stream(sys.stderr, 2), needed=False)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except Unprinted as error:
        typer.echo(f"artifactd: standard output takes no more: {error}", err=True)
        sys.exit(Exit.FAILED)


def _stream(standard: TextIO | None, number: int) -> io.TextIOWrapper:
    """What Python has of a standard stream; one of our own where it was closed."""
    return cast(io.TextIOWrapper, standard or os.fdopen(number, "w", closefd=False))
