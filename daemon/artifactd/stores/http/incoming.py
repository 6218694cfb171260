"""What a server says on a connection, kept no longer than it may be (RFC 9112).

It is fed with the bytes as they come, and waits for nothing itself. Every number that a server says is
checked before it is acted on, and everything that could go on without an end has one.
"""

from collections.abc import Generator, Mapping
from typing import Final, TypeVar

from artifactd.stores.http.messages import (
    ANSWER_BYTES,
    HEAD_BYTES,
    Answer,
    bounded,
    chunk_size,
    is_chunked,
    length,
    parsed_fields,
    parsed_head,
)

T = TypeVar("T")

_Reading = Generator[None, None, T]
"""What is read of the buffer; it stops where it needs more."""

_ANNOUNCEMENTS: Final = 16
"""Answers 1xx before the real one: servers send one, or one every few seconds while they work."""

_CHUNK_LINE_BYTES: Final = 1024


class Incoming:
    """The bytes of one connection: one answer after the other, with a body of `most` bytes at most."""

    def __init__(self, most: int = ANSWER_BYTES) -> None:
        self._most = most
        self._buffer = bytearray()
        self.expect()

    def expect(self, *, bodiless: bool = False) -> None:
        """The next answer is to come: one to CONNECT or HEAD is `bodiless`, whatever its headers say."""
        self.heard = False
        """whether anything came of it"""
        self.body = bytearray()
        """what came of its body"""
        self.last = False
        """whether the connection ends with it; known once it is whole"""
        self._bodiless = bodiless
        self._ended = False
        self._reading = self._answer()

    @property
    def drained(self) -> bool:
        """Whether all that came was read."""
        return not self._buffer

    def feed(self, piece: bytes) -> Answer | None:
        """Take the next bytes, none where the server has ended the connection. The answer, once it is whole.

        Raises:
            ValueError: this is no answer in HTTP, or a longer one.
            ConnectionResetError: the server ended the connection before the answer.
        """
        self._buffer += piece
        self.heard, self._ended = self.heard or bool(piece), not piece
        try:
            next(self._reading)
        except StopIteration as whole:
            answer: Answer = whole.value
            return answer
        return None

    def _answer(self) -> _Reading[Answer]:
        """1xx only announces it (RFC 9110, 15.2)."""
        for _ in range(1 + _ANNOUNCEMENTS):
            status, version, headers = parsed_head((yield from self._until(b"\r\n\r\n", HEAD_BYTES)))
            if status >= 200:  # noqa: PLR2004 - RFC 9110, 15.3
                break
        else:
            raise ValueError("it announces an answer again and again")
        if not self._bodiless:
            yield from self._read_body(status, headers)
        closing = "close" in headers.get("connection", "").lower() or version == b"HTTP/1.0"
        self.last = closing or self._ended
        return Answer(status, headers, bytes(self.body))

    def _read_body(self, status: int, headers: Mapping[str, str]) -> _Reading[None]:
        """Read it, as the headers say how it ends."""
        if status in (204, 304):
            return
        if is_chunked(headers):
            yield from self._chunks()
        elif (size := length(headers)) is not None:
            yield from self._exactly(bounded(size, self._most))
        else:
            while self._buffer or (yield from self._more()):
                bounded(len(self.body) + len(self._buffer), self._most)
                self.body += self._take(len(self._buffer))

    def _chunks(self) -> _Reading[None]:
        while size := chunk_size((yield from self._until(b"\r\n", _CHUNK_LINE_BYTES))):
            bounded(len(self.body) + size, self._most)
            yield from self._exactly(size)
            while len(self._buffer) < 2:  # noqa: PLR2004 - the line's end
                yield from self._next()
            if self._take(2) != b"\r\n":
                raise ValueError("its chunks do not end where they say")
        yield from self._trailers()

    def _trailers(self) -> _Reading[None]:
        """Read what stands behind a chunked body. It says nothing that is needed."""
        lines, size = list[bytes](), 0
        while line := (yield from self._until(b"\r\n", HEAD_BYTES)):
            size = bounded(size + len(line) + 2, HEAD_BYTES)
            lines.append(line)
        parsed_fields(lines)

    def _exactly(self, size: int) -> _Reading[None]:
        """So many bytes more of the body."""
        while size:
            if not self._buffer:
                yield from self._next()
            piece = self._take(min(size, len(self._buffer)))
            self.body += piece
            size -= len(piece)

    def _until(self, end: bytes, most: int) -> _Reading[bytes]:
        searched = 0
        while (place := self._buffer.find(end, searched)) < 0:
            bounded(len(self._buffer), most)
            searched = max(0, len(self._buffer) - len(end) + 1)
            yield from self._next()
        line = self._take(bounded(place, most))
        del self._buffer[: len(end)]
        return line

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _next(self) -> _Reading[None]:
        if not (yield from self._more()):
            raise ConnectionResetError(None, "it closed the connection")

    def _more(self) -> _Reading[bool]:
        if not self._ended:
            yield
        return not self._ended
