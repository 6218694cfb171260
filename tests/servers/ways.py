"""What a fault does to a body on its way."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import assert_never

from tests.servers.faults import Flip, FlipAnswer, OnBody, Reset, Slow, Truncate

Pieces = Iterator[bytes]
Way = Callable[[Pieces], Pieces]


class Torn(Exception):
    """The connections are to be reset."""


class Ended(Exception):
    """The connections are to be closed in good order."""


def unchanged(pieces: Pieces) -> Pieces:
    """The same bytes."""
    return pieces


def ways(fault: OnBody | None, closing: threading.Event) -> tuple[Way, Way]:
    """What happens to the request's body, and to the answer's."""
    match fault:
        case None:
            return unchanged, unchanged
        case Reset(after):
            return partial(_cut, after=after, then=Torn), unchanged
        case Truncate(after):
            return unchanged, partial(_cut, after=after, then=Ended)
        case Flip(at):
            return partial(_flip, at=at), unchanged
        case FlipAnswer(at):
            return unchanged, partial(_flip, at=at)
        case Slow(rate):
            return (partial(_pace, rate=rate, closing=closing),) * 2
        case _:
            assert_never(fault)


def _cut(pieces: Pieces, after: int, then: type[Exception]) -> Pieces:
    for piece in pieces:
        if len(piece) >= after:
            if after:
                yield piece[:after]
            break
        yield piece
        after -= len(piece)
    raise then


def _flip(pieces: Pieces, at: int) -> Pieces:
    for piece in pieces:
        yield b"%b%c%b" % (piece[:at], piece[at] ^ 1, piece[at + 1 :]) if 0 <= at < len(piece) else piece
        at -= len(piece)
    assert at < 0, f"the byte to flip lies {at} bytes behind the body's end"


def _pace(pieces: Pieces, rate: float, closing: threading.Event) -> Pieces:
    step = max(1, int(rate / 20))
    for piece in pieces:
        for start in range(0, len(piece), step):
            part = piece[start : start + step]
            closing.wait(len(part) / rate)
            yield part
