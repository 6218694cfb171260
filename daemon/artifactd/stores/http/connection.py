"""One kept connection to a server, in one request at a time."""

import os
import select
from typing import Final

from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.connect import Server, connected
from artifactd.stores.http.deadline import Deadline
from artifactd.stores.http.incoming import Incoming
from artifactd.stores.http.messages import ANSWER_BYTES, Answer, Body, Piece, Unanswered

_PIECE: Final = 256 << 10
"""Bytes sent at a time without a throttle, and held in memory for each connection."""

_AT_ONCE: Final = 1 << 30
"""Bytes asked of sendfile(2), which takes no 2 GiB."""


class Connection:
    """A connection to the server, opened at once. One thread at a time uses it.

    Raises:
        Unavailable, Denied: see `connected`.
    """

    def __init__(self, server: Server, deadline: Deadline) -> None:
        self._server = server
        self._deadline = deadline
        self._incoming = Incoming(self._next)
        self.reusable = False
        """whether the last exchange ended so that another can follow"""
        self._socket = connected(server, deadline)

    @property
    def heard(self) -> bool:
        """Whether anything came back in the last exchange."""
        return self._incoming.heard

    def stands(self) -> bool:
        """Whether the server has neither closed it nor said anything unasked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def exchange(self, head: bytes, body: Body, throttle: Throttle | None, deadline: Deadline) -> Answer:
        """Send and receive before `deadline`. Raises as `Client.send`, but for what concerns connecting."""
        self._deadline = deadline
        self._incoming.heard = self.reusable = False
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
        self.reusable = whole and not closing and self._incoming.drained  # or the next one hears its echo
        return answer

    def _unanswered(self, error: Exception) -> Unanswered:
        return Unanswered(f"{self._server.host} did not answer: {self._deadline.reason(error)}")

    # --- sending ---

    def _send(self, head: bytes, body: Body, throttle: Throttle | None) -> None:
        if isinstance(body, bytes) and throttle is None and len(body) <= _PIECE:
            self._all(head + body)  # in one packet where it fits
            return
        self._all(head)
        if isinstance(body, bytes):
            whole = memoryview(body)
            step = _step(throttle)
            for start in range(0, len(body), step):
                self._paced(whole[start : start + step], throttle)
        elif self._server.tls is None and throttle is None:
            self._by_kernel(body)
        else:
            self._by_hand(body, throttle)

    def _paced(self, piece: bytes | memoryview, throttle: Throttle | None) -> None:
        if throttle is not None:
            self._deadline.extend(throttle.wait(len(piece)))  # the wait is ours, not the server's
        self._all(piece)

    def _all(self, content: bytes | memoryview) -> None:
        rest = memoryview(content)
        while rest:
            self._socket.settimeout(self._step_seconds())
            rest = rest[self._socket.send(rest) :]

    def _step_seconds(self) -> float:
        """What one wait for the server may take."""
        return self._deadline.within(self._server.read_seconds)

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
        if not poll.poll(self._step_seconds() * 1000):
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
        status, version, headers = self._incoming.head()
        body = bytearray()
        for piece in self._incoming.body(status, headers, ANSWER_BYTES):
            body += piece
            self._deadline.extend(len(piece) / self._server.least_rate)
        closing = (
            self._incoming.ended or "close" in headers.get("connection", "").lower() or version == b"HTTP/1.0"
        )
        return Answer(status, headers, bytes(body)), closing

    def _next(self) -> bytes:
        self._socket.settimeout(self._step_seconds())
        return self._socket.recv(64 << 10)


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
