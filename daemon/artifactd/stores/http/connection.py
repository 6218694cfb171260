"""One kept connection to a server, in one request at a time."""

import asyncio
import os
import select
import socket
import ssl
from typing import Any, Final, TypeVar

from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.connect import Server
from artifactd.stores.http.deadline import Deadline
from artifactd.stores.http.incoming import Incoming
from artifactd.stores.http.messages import Answer, Body, Piece, Unanswered

T = TypeVar("T")

_PIECE: Final = 256 << 10
"""Bytes sent at a time without a throttle, and held in memory for each connection."""

_AT_ONCE: Final = 4 << 20
"""Bytes asked of sendfile(2). Nothing else happens in the loop while the kernel copies them."""

_RECEIVED: Final = 64 << 10
"""Bytes of an answer read at a time."""


class Connection:
    """A connection to the server, as `connected` made it. One event loop uses it.

    The socket is watched for as long as it is open, so that a request costs the loop no more than two turns.
    """

    def __init__(self, server: Server, opened: socket.socket) -> None:
        opened.setblocking(False)
        self._server = server
        self._socket = opened
        self._loop = asyncio.get_running_loop()
        self._incoming = Incoming()
        self._answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer.cancel()  # nothing is asked yet
        self._deadline = Deadline(0.0, self._loop.time)
        self._waiting: asyncio.Future[Any] | None = None
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._poll = select.poll()
        self._poll.register(opened, select.POLLIN | select.POLLHUP | select.POLLERR)
        self._loop.add_reader(opened, self._readable)
        self.reusable = False
        """whether the last exchange ended so that another can follow"""

    @property
    def heard(self) -> bool:
        """Whether anything came back in the last exchange."""
        return self._incoming.heard

    def stands(self) -> bool:
        """Whether the server has neither closed it nor said anything unasked."""
        if self._poll.poll(0):  # the loop has not come to it yet
            self._readable()
        return not self._ended

    def close(self) -> None:
        """Close it."""
        self._end()
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()

    async def exchange(
        self, head: bytes, body: Body, throttle: Throttle | None, deadline: Deadline
    ) -> Answer:
        """Send and receive before `deadline`. Raises as `Client.send`, but for what concerns connecting."""
        self._deadline = deadline
        self._incoming.expect()
        self._answer = self._loop.create_future()
        self.reusable, whole = False, True
        try:
            await self._send(head, body, throttle)
        except _Cut as error:
            raise OSError(error.errno, error.strerror) from error
        except OSError as error:
            if isinstance(error, TimeoutError) and not (self.heard or self._answer.done()):
                raise self._unanswered(error) from error
            whole = False  # the server may have answered before it stopped listening
        try:
            answer = await self._in_time(self._answer)
        except (OSError, ValueError) as error:
            raise self._unanswered(error) from error
        self.reusable = (
            whole and not self._incoming.last and self._incoming.drained
        )  # or the next one hears its echo
        return answer

    def _unanswered(self, error: Exception) -> Unanswered:
        return Unanswered(f"{self._server.host} did not answer: {self._deadline.reason(error)}")

    # --- waiting ---

    async def _in_time(self, future: asyncio.Future[T]) -> T:
        """The future's result, if the server is not silent for too long before. Raises TimeoutError, too."""
        if not future.done():
            self._waiting = future
            self._wait_on()
        try:
            return await future
        finally:
            self._waiting = None

    def _wait_on(self) -> None:
        """One wait begins. The timer of an earlier one is left as it is where it goes off before."""
        self._due = self._loop.time() + self._deadline.within(self._server.read_seconds)
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._due, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._late)
        else:
            self._waiting.set_exception(TimeoutError())

    # --- sending ---

    async def _send(self, head: bytes, body: Body, throttle: Throttle | None) -> None:
        if isinstance(body, bytes) and throttle is None and len(body) <= _PIECE:
            await self._all(head + body)  # in one packet where it fits
            return
        await self._all(head)
        if isinstance(body, bytes):
            whole = memoryview(body)
            step = _step(throttle)
            for start in range(0, len(body), step):
                await self._paced(whole[start : start + step], throttle)
        elif self._server.tls is None and throttle is None:
            await self._by_kernel(body)
        else:
            await self._by_hand(body, throttle)

    async def _paced(self, piece: bytes | memoryview, throttle: Throttle | None) -> None:
        if throttle is not None:
            self._deadline.extend(await throttle.wait(len(piece)))  # the wait is ours, not the server's
        await self._all(piece)

    async def _all(self, content: bytes | memoryview) -> None:
        sent, rest = 0, content
        while sent < len(rest):
            rest = memoryview(rest)[sent:] if sent else rest
            try:
                sent = self._socket.send(rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                sent = 0
                await self._room()

    async def _room(self) -> None:
        """Wait until the socket takes more."""
        room: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._socket, _happened, room)
        try:
            await self._in_time(room)
        finally:
            self._loop.remove_writer(self._socket)

    async def _by_kernel(self, body: Piece) -> None:
        sent = 0
        while sent < body.size:
            try:
                count = os.sendfile(
                    self._socket.fileno(), body.fd, body.offset + sent, min(_AT_ONCE, body.size - sent)
                )
            except BlockingIOError:
                await self._room()
                continue
            except ConnectionError:
                raise
            except OSError:  # some file systems cannot; where it is the file that fails, reading tells
                await self._by_hand(Piece(body.fd, body.offset + sent, body.size - sent), None)
                return
            if count == 0:
                raise _cut()
            sent += count

    async def _by_hand(self, body: Piece, throttle: Throttle | None) -> None:
        sent = 0
        while sent < body.size:
            piece = _read(body.fd, min(_step(throttle), body.size - sent), body.offset + sent)
            await self._paced(piece, throttle)
            sent += len(piece)

    # --- receiving ---

    def _readable(self) -> None:
        """Take what came, whether or not it is waited for now."""
        try:
            self._take(self._socket.recv(_RECEIVED))
            while (
                isinstance(self._socket, ssl.SSLSocket) and not self._ended
            ):  # it may hold more than it shows
                self._take(self._socket.recv(_RECEIVED))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            self._end()
            if not self._answer.done():
                self._answer.set_exception(error)

    def _take(self, piece: bytes) -> None:
        if not piece:
            self._end()
        if self._answer.done():
            self._end()  # it says something unasked
            return
        had = len(self._incoming.body)
        answer = self._incoming.feed(piece)
        self._deadline.extend((len(self._incoming.body) - had) / self._server.least_rate)
        if answer is not None:
            self._answer.set_result(answer)
        elif self._waiting is self._answer:
            self._wait_on()

    def _end(self) -> None:
        """The server's end of it is of no more use: what it does there is not watched any longer."""
        if not self._ended:
            self._ended = True
            self._loop.remove_reader(self._socket)


class _Cut(OSError):
    """The source ended before the size that was announced."""


def _happened(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


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
