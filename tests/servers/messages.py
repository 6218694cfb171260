"""HTTP/1.1 messages on a socket (RFC 9112): a head as it came, a body piece by piece in bounded memory."""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never

PIECE: Final = 256 * 1024
_LONGEST_HEAD: Final = 1024 * 1024


class LostError(Exception):
    """The peer ended or reset the connection within a message."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line and the headers."""

    raw: bytes
    """as it came, to be passed on untouched"""

    @property
    def first_line(self) -> list[str]:
        """Its three words: method, target, version, or version, status, reason."""
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def headers(self) -> dict[str, str]:
        """By name in lower case; of a name that comes twice, the last."""
        lines = self.raw.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.first_line[1])

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        return self.first_line[0] == "HTTP/1.0" or self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class Sized:
    """A body of so many bytes."""

    length: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """A body in chunks that say their size."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """A body that ends with the connection."""


Framing = Sized | Chunked | UntilClose


def framing_of_request(head: Head) -> Framing:
    """How the body ends; a request that says nothing has none."""
    headers = head.headers
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Chunked()
    return Sized(int(headers.get("content-length", "0")))


def framing_of_response(head: Head, method: str) -> Framing:
    """How the body ends; there is none after HEAD, and with 204 and 304, whatever the headers say."""
    headers = head.headers
    if method == "HEAD" or head.status in {204, 304}:
        return Sized(0)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Chunked()
    return Sized(int(headers["content-length"])) if "content-length" in headers else UntilClose()


class Stream:
    """A socket, read message by message."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        connected.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # or a body waits 40 ms behind its head
        self._buffer = b""

    def head(self) -> Head | None:
        """The next head; None where the peer ended the connection before it.

        Raises:
            LostError: it ended within the head, or was reset.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._receive():
                if self._buffer:
                    raise LostError("within a head")
                return None
            assert len(self._buffer) < _LONGEST_HEAD, "a head without an end"
        raw, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        return Head(raw)

    def pieces(self, framing: Framing) -> Iterator[bytes]:
        """The body, without its framing.

        Raises:
            LostError: as `head`.
        """
        match framing:
            case Sized(length):
                yield from self._sized(length)
            case Chunked():
                while length := int(self._line().split(b";")[0], 16):
                    yield from self._sized(length)
                    self._line()
                while self._line():  # trailers
                    pass
            case UntilClose():
                while piece := self._some(PIECE):
                    yield piece
            case _:
                assert_never(framing)

    def _sized(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._some(min(PIECE, length))
            if not piece:
                raise LostError(f"{length} bytes of a body never came")
            length -= len(piece)
            yield piece

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._receive():
                raise LostError("within a chunk's size")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _some(self, most: int) -> bytes:
        if not self._buffer:
            return self._come(most)
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    def _receive(self) -> bool:
        more = self._come(PIECE)
        self._buffer += more
        return bool(more)

    def _come(self, most: int) -> bytes:
        try:
            return self.socket.recv(most)
        except OSError as error:
            raise LostError(str(error)) from error

    def send(self, framing: Framing, pieces: Iterable[bytes]) -> None:
        """Send a body with its framing.

        Raises:
            OSError: the connection was lost.
        """
        for piece in pieces:
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == Chunked() else piece)
        if framing == Chunked():
            self.socket.sendall(b"0\r\n\r\n")
