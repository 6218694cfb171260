"""What a server says on a connection, read no further and kept no longer than it may be (RFC 9112).

Every number that a server says is checked before it is acted on, and everything that could go on without an
end has one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from artifactd.stores.http.messages import (
    HEAD_BYTES,
    bounded,
    chunk_size,
    is_chunked,
    length,
    parsed_fields,
    parsed_head,
)

_ANNOUNCEMENTS: Final = 16
"""Answers 1xx before the real one: servers send one, or one every few seconds while they work."""

_CHUNK_LINE_BYTES: Final = 1024


class Incoming:
    """The bytes of one connection. `receive` gives the next ones, and none once the server has ended it."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self.heard = False
        """whether anything came since it was last set to False"""
        self.ended = False
        """whether the server has ended the connection"""

    @property
    def drained(self) -> bool:
        """Whether all that came was read."""
        return not self._buffer

    def head(self) -> tuple[int, bytes, dict[str, str]]:
        """Status, version and headers of the next answer; 1xx only announces it (RFC 9110, 15.2).

        Raises:
            ValueError: this is no answer in HTTP.
            OSError: of `receive`; or the server ended the connection.
        """
        for _ in range(1 + _ANNOUNCEMENTS):
            status, version, headers = parsed_head(self._until(b"\r\n\r\n", HEAD_BYTES))
            if status >= 200:  # noqa: PLR2004 - RFC 9110, 15.3
                return status, version, headers
        raise ValueError("it announces an answer again and again")

    def body(self, status: int, headers: Mapping[str, str], most: int) -> Iterator[bytes]:
        """The pieces of the answer's body, as the headers say how it ends: `most` bytes in all.

        Raises:
            ValueError: the headers or the body are none of HTTP's, or it is longer.
            OSError: as `head`.
        """
        if status in (204, 304):
            return
        if is_chunked(headers):
            yield from self._chunks(most)
        elif (size := length(headers)) is not None:
            yield from self._exactly(bounded(size, most))
        else:
            while self._buffer or self._more():
                most -= bounded(len(self._buffer), most)
                yield self._take(len(self._buffer))

    def _chunks(self, most: int) -> Iterator[bytes]:
        while size := chunk_size(self._until(b"\r\n", _CHUNK_LINE_BYTES)):
            most -= bounded(size, most)
            yield from self._exactly(size)
            if b"".join(self._exactly(2)) != b"\r\n":
                raise ValueError("its chunks do not end where they say")
        self._trailers()

    def _trailers(self) -> None:
        """Read what stands behind a chunked body. It says nothing that is needed."""
        lines, size = list[bytes](), 0
        while line := self._until(b"\r\n", HEAD_BYTES):
            size = bounded(size + len(line) + 2, HEAD_BYTES)
            lines.append(line)
        parsed_fields(lines)

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._buffer:
                self._next()
            piece = self._take(min(size, len(self._buffer)))
            size -= len(piece)
            yield piece

    def _until(self, end: bytes, most: int) -> bytes:
        searched = 0
        while (place := self._buffer.find(end, searched)) < 0:
            bounded(len(self._buffer), most)
            searched = max(0, len(self._buffer) - len(end) + 1)
            self._next()
        line = self._take(bounded(place, most))
        del self._buffer[: len(end)]
        return line

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _next(self) -> None:
        if not self._more():
            raise ConnectionResetError(None, "it closed the connection")

    def _more(self) -> bool:
        piece = self._receive()
        self._buffer += piece
        self.heard, self.ended = self.heard or bool(piece), not piece
        return bool(piece)
