"""One kept connection to a server, in one request at a time."""

import os
import select
from collections.abc import Mapping
from typing import Final

from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.connect import Server, connected
from artifactd.stores.http.messages import (
    ANSWER_BYTES,
    HEAD_BYTES,
    Answer,
    Body,
    Piece,
    Unanswered,
    bounded,
    parsed_head,
    reason,
)

_PIECE: Final = 256 << 10
"""Bytes sent at a time without a throttle, and held in memory for each connection."""

_AT_ONCE: Final = 1 << 30
"""Bytes asked of sendfile(2), which takes no 2 GiB."""


class Connection:
    """A connection to the server, opened at once. One thread at a time uses it.

    Raises:
        Unavailable, Denied: see `connected`.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self.reusable = False
        """whether the last exchange ended so that another can follow"""
        self.heard = False
        """whether anything came back in the last exchange"""
        self._socket = connected(server)

    def stands(self) -> bool:
        """Whether the server has neither closed it nor said anything unasked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def exchange(self, head: bytes, body: Body, throttle: Throttle | None) -> Answer:
        """Send and receive. Raises as `Client.send`, but for what concerns connecting."""
        self.heard = self.reusable = False
        whole = True
        try:
            self._send(head, body, throttle)
        except _Cut as error:
            raise OSError(error.errno, error.strerror) from error
        except OSError as error:
            if isinstance(error, TimeoutError) and self.stands():
                raise self._unanswered(error) from error
            whole = False  # the server may have answered before it stopped listening
        try:
            answer, closing = self._receive()
        except (OSError, ValueError) as error:
            raise self._unanswered(error) from error
        self.reusable = whole and not closing and not self._received  # or the next one hears its echo
        return answer

    def _unanswered(self, error: Exception) -> Unanswered:
        return Unanswered(f"{self._server.host} did not answer: {reason(error)}")

    # --- sending ---

    def _send(self, head: bytes, body: Body, throttle: Throttle | None) -> None:
        if isinstance(body, bytes) and throttle is None and len(body) <= _PIECE:
            self._socket.sendall(head + body)  # in one packet where it fits
            return
        self._socket.sendall(head)
        if isinstance(body, bytes):
            whole = memoryview(body)  # in pieces: the time-out of sendall is for all that it sends
            step = _step(throttle)
            for start in range(0, len(body), step):
                self._paced(whole[start : start + step], throttle)
        elif self._server.tls is None and throttle is None:
            self._by_kernel(body)
        else:
            self._by_hand(body, throttle)

    def _paced(self, piece: bytes | memoryview, throttle: Throttle | None) -> None:
        if throttle is not None:
            throttle.wait(len(piece))
        self._socket.sendall(piece)

    def _by_kernel(self, body: Piece) -> None:
        sent = 0
        while sent < body.size:
            try:
                count = os.sendfile(
                    self._socket.fileno(), body.fd, body.offset + sent, min(_AT_ONCE, body.size - sent)
                )
            except BlockingIOError:
                self._wait_for_room()
                continue
            except ConnectionError:
                raise
            except OSError:  # some file systems cannot; where it is the file that fails, reading tells
                self._by_hand(Piece(body.fd, body.offset + sent, body.size - sent), None)
                return
            if count == 0:
                raise _cut()
            sent += count

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        if not poll.poll(self._server.read_seconds * 1000):
            raise TimeoutError

    def _by_hand(self, body: Piece, throttle: Throttle | None) -> None:
        sent = 0
        while sent < body.size:
            piece = _read(body.fd, min(_step(throttle), body.size - sent), body.offset + sent)
            self._paced(piece, throttle)
            sent += len(piece)

    # --- receiving ---

    def _receive(self) -> tuple[Answer, bool]:
        """The answer, and whether the connection ends with it."""
        while True:
            status, version, headers = parsed_head(self._until(b"\r\n\r\n", HEAD_BYTES))
            if status >= 200:  # noqa: PLR2004 - 1xx only announces (RFC 9110, 15.2)
                break
        body, ends = self._body(status, headers)
        closing = ends or "close" in headers.get("connection", "").lower() or version == b"HTTP/1.0"
        return Answer(status, headers, body), closing

    def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        if status in (204, 304):
            return b"", False
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks(), False
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"])), False
        body = self._received
        while piece := self._more():
            body += piece
            bounded(len(body), ANSWER_BYTES)
        return body, True

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n", 1024).split(b";")[0], 16):
            body += self._exactly(bounded(size, ANSWER_BYTES))
            self._exactly(2)
            bounded(len(body), ANSWER_BYTES)
        while self._until(b"\r\n", HEAD_BYTES):
            pass  # trailers say nothing that is needed
        return body

    def _until(self, end: bytes, most: int) -> bytes:
        while end not in self._received:
            bounded(len(self._received), most)
            self._received += self._next()
        line, _, self._received = self._received.partition(end)
        return line

    def _exactly(self, size: int) -> bytes:
        bounded(size, ANSWER_BYTES)
        while len(self._received) < size:
            self._received += self._next()
        content, self._received = self._received[:size], self._received[size:]
        return content

    def _next(self) -> bytes:
        return self._more() or _raise(ConnectionResetError(None, "it closed the connection"))

    def _more(self) -> bytes:
        piece = self._socket.recv(64 << 10)
        self.heard = self.heard or bool(piece)
        return piece


class _Cut(OSError):
    """The source ended before the size that was announced."""


def _step(throttle: Throttle | None) -> int:
    return _PIECE if throttle is None else throttle.piece


def _cut() -> _Cut:
    return _Cut(None, "it is shorter than it was")


def _read(fd: int, size: int, offset: int) -> bytes:
    try:
        piece = os.pread(fd, size, offset)
    except OSError as error:
        raise _Cut(error.errno, error.strerror) from error
    return piece or _raise(_cut())


def _raise(error: OSError) -> bytes:
    raise error
