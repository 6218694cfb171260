"""What passes through the pipes of a process: piece by piece, kept no longer than it may be, for so long."""

import os
import subprocess
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import IO, Final

from artifactd.clock import SYSTEM

_CHUNK: Final = 256 << 10
_PIPE: Final = 4096
"""Bytes that a pipe which is ready takes without waiting (PIPE_BUF of pipe(7))."""


class TooMuch(Exception):
    """The process wrote more than it may."""


def into(output: bytearray, most: int) -> Callable[[bytes], None]:
    """Collect what is written in `output`, which raises TooMuch beyond `most` bytes."""

    def take(piece: bytes) -> None:
        if len(output) + len(piece) > most:
            raise TooMuch(f"it wrote more than {most} bytes")
        output.extend(piece)

    return take


def converse(
    process: "subprocess.Popen[bytes]", stdin: bytes, take: Callable[[bytes], None], said: int, seconds: float
) -> bytes:
    """Feed the process, hand its output to `take`, and wait for its end.

    Returns the last `said` bytes of what it wrote to its standard error, however much that was.

    Raises:
        TimeoutError: it took more than `seconds` in all, or somebody else held its pipes for so long.
        Whatever `take` raises. Unless it returns, the process goes on.
    """
    assert process.stdin is not None  # noqa: S101 - for mypy: all three are pipes
    assert process.stdout is not None  # noqa: S101 - as above
    assert process.stderr is not None  # noqa: S101 - as above
    until, end = SYSTEM.monotonic() + seconds, bytearray()

    def keep(piece: bytes) -> None:
        end.extend(piece)
        del end[:-said]

    with DefaultSelector() as pipes:
        pipes.register(process.stdin, EVENT_WRITE, _writing(process.stdin, stdin))
        pipes.register(process.stdout, EVENT_READ, _reading(process.stdout, take))
        pipes.register(process.stderr, EVENT_READ, _reading(process.stderr, keep))
        while pipes.get_map():
            ready = pipes.select(_left(until))
            for key, _ in ready:
                goes_on: Callable[[], bool] = key.data
                if not goes_on():
                    pipes.unregister(key.fileobj)
                    if key.fileobj is process.stdin:
                        process.stdin.close()  # or it waits for more
    try:
        process.wait(_left(until))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return bytes(end)


def _left(until: float) -> float:
    if (left := until - SYSTEM.monotonic()) <= 0:
        raise TimeoutError
    return left


def _writing(pipe: IO[bytes], content: bytes) -> Callable[[], bool]:
    """Writes the next bytes; whether there are more."""
    rest = memoryview(content)

    def write() -> bool:
        nonlocal rest
        try:
            rest = rest[os.write(pipe.fileno(), rest[:_PIPE]) :]
        except BrokenPipeError:  # it wants no more; how it ends tells why
            rest = rest[:0]
        return bool(rest)

    return write


def _reading(pipe: IO[bytes], take: Callable[[bytes], None]) -> Callable[[], bool]:
    """Reads the next bytes; whether there may be more."""

    def read() -> bool:
        if piece := os.read(pipe.fileno(), _CHUNK):
            take(piece)
        return bool(piece)

    return read
