"""A small HTTP server on a thread of its own: GET and HEAD of a few pages, nothing else. No access log.

One thread serves everybody, with a bound on everything, so that a slow, silent or hostile client costs a
descriptor for some seconds and holds up nobody. Each connection carries one request (RFC 9112, 9.6).
"""

import os
import selectors
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, assert_never

from artifactd.config.listen import Listen, Tcp, Unix
from artifactd.health.host import hosts

LONGEST_HEAD: Final = 8 << 10
"""Bytes of a request with its headers; a body is not read."""

CLIENT_SECONDS: Final = 5.0
"""For a client to ask, to take its answer and to go."""

AT_ONCE: Final = 32
"""Clients. When one more comes, the one that has been here longest has to go."""

_NO_DESCRIPTOR_SECONDS: Final = 1.0


class Unbound(Exception):
    """Nobody can be listened to at this address. The message says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()

    def encoded(self, *, with_body: bool) -> bytes:
        """As HTTP sends it (RFC 9112)."""
        lines = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *self.headers,
        )
        head = "".join(f"{line}\r\n" for line in lines)
        return f"{head}\r\n".encode("ascii") + (self.body if with_body else b"")


Pages = Callable[[str], Page | None]
"""The page at a path, or None; called in the listener's thread"""

Knows = Callable[[str], bool]
"""Whether a Host is the listener's own; called in its thread"""


def plain(status: HTTPStatus, *headers: str) -> Page:
    """A page that says no more than its status."""
    return Page(status, f"{status.phrase}\n".encode(), headers=headers)


def answer(head: bytes, pages: Pages, knows: Knows) -> bytes:
    """What to send to who said `head`, which is a request up to its blank line. HTTP/1.0 needs no Host."""
    try:
        method, target, version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    except ValueError:
        return plain(HTTPStatus.BAD_REQUEST).encoded(with_body=True)
    if version not in ("HTTP/1.1", "HTTP/1.0") or not target.startswith("/"):
        return plain(HTTPStatus.BAD_REQUEST).encoded(with_body=True)
    if not all(map(knows, hosts(head))):
        return _STRANGE.encoded(with_body=True)
    if method not in ("GET", "HEAD"):
        return plain(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD").encoded(with_body=True)
    try:
        page = pages(target.split("?", 1)[0]) or plain(HTTPStatus.NOT_FOUND)
    except Exception:  # noqa: BLE001 - one answer is lost, and the thread must live for the next
        page = plain(HTTPStatus.INTERNAL_SERVER_ERROR)
    return page.encoded(with_body=method == "GET")


_STRANGE: Final = Page(
    HTTPStatus.MISDIRECTED_REQUEST,
    b"This listener does not go by that Host: ask by its address, or add the name to [health] hosts.\n",
)


@dataclass(slots=True, eq=False)
class _Client:
    """A connection, from its first byte to its end."""

    socket: socket.socket
    until: float
    said: bytearray = field(default_factory=bytearray)
    unsent: memoryview | None = None
    """None: it has not asked yet"""
    ended: bool = False
    """whether it has said all that it will ever say"""

    def hear(self, pages: Pages, knows: Knows) -> None:
        """Take what it says. What comes after a request is thrown away.

        Raises:
            OSError: it has gone, or has nothing to say.
        """
        some = self.socket.recv(LONGEST_HEAD)
        self.ended = not some
        if self.unsent is not None:
            return
        self.said += some
        if b"\r\n\r\n" in self.said[:LONGEST_HEAD]:
            self.unsent = memoryview(answer(bytes(self.said), pages, knows))
        elif len(self.said) >= LONGEST_HEAD:
            too_large = plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            self.unsent = memoryview(too_large.encoded(with_body=True))

    def speak(self) -> None:
        """Send what it takes. Raises OSError when it has gone, or takes nothing now."""
        if self.unsent:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
            if not self.unsent:
                self.socket.shutdown(socket.SHUT_WR)  # then it closes; a close of ours could undo the answer

    @property
    def interest(self) -> int:
        """What it is to be woken for; 0: nothing, it is done with."""
        read = 0 if self.ended else selectors.EVENT_READ
        return read | (selectors.EVENT_WRITE if self.unsent else 0)


class Listener:
    """Answers at an address from now until it is closed. A socket of the file system is asked by any Host.

    Raises:
        Unbound: nobody can be listened to there.
    """

    def __init__(
        self, where: Listen, pages: Pages, monotonic: Callable[[], float], knows: Knows = lambda _host: True
    ) -> None:
        self._where, self._pages, self._monotonic = where, pages, monotonic
        self._knows: Knows = knows if isinstance(where, Tcp) else lambda _host: True
        self._clients: dict[_Client, None] = {}  # who came first is first
        self._socket = _bound(where)
        self._socket.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more. Its socket in the file system is gone afterwards."""
        self._wake.close()
        self._thread.join()
        if isinstance(self._where, Unix):
            self._where.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        closed = False
        while not closed:
            for key, events in self._selector.select(self._patience()):
                if key.fileobj is self._woken:
                    closed = True
                elif key.fileobj is self._socket:
                    self._accept()
                elif key.data in self._clients:  # else one that came meanwhile has taken its place
                    self._tend(key.data, events)
            self._send_late_ones_away()
        for client in tuple(self._clients):
            self._drop(client)
        self._selector.close()
        self._socket.close()
        self._woken.close()

    def _patience(self) -> float | None:
        """Seconds until a client's time is over; None: nobody is here."""
        oldest = next(iter(self._clients), None)
        return None if oldest is None else max(0.0, oldest.until - self._monotonic())

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return  # who called has hung up
        except OSError:  # out of descriptors: they wait, and nobody spins
            threading.Event().wait(_NO_DESCRIPTOR_SECONDS)
            return
        connection.setblocking(False)
        if len(self._clients) >= AT_ONCE:
            self._drop(next(iter(self._clients)))
        client = _Client(connection, self._monotonic() + CLIENT_SECONDS)
        self._clients[client] = None
        self._selector.register(connection, client.interest, client)
        self._tend(client, selectors.EVENT_READ)  # most have asked by now: nobody can push them out

    def _tend(self, client: _Client, events: int) -> None:
        gone = False
        try:
            if events & selectors.EVENT_READ:
                client.hear(self._pages, self._knows)
            client.speak()
        except BlockingIOError:
            pass  # for now
        except OSError:
            gone = True
        if gone or not client.interest:
            self._drop(client)
        else:
            self._selector.modify(client.socket, client.interest, client)

    def _send_late_ones_away(self) -> None:
        now = self._monotonic()
        for client in [client for client in self._clients if client.until <= now]:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        del self._clients[client]
        self._selector.unregister(client.socket)
        client.socket.close()


def _bound(where: Listen) -> socket.socket:
    """A socket that listens there.

    Raises:
        Unbound: see `Listener`.
    """
    found = socket.socket(_family(where), socket.SOCK_STREAM)
    try:
        match where:
            case Tcp():
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                found.bind((str(where.host), where.port))
            case Unix():
                _make_way(where.path)
                found.bind(str(where.path))
                where.path.chmod(0o666)  # as a port of the machine: its directory says who gets there
            case _:
                assert_never(where)
        found.listen(socket.SOMAXCONN)  # past that the kernel has TCP clients try again a second later
    except OSError as error:
        found.close()
        raise Unbound(f"cannot listen at {where}: {os.strerror(error.errno or 0)}") from error
    return found


def _family(where: Listen) -> socket.AddressFamily:
    if isinstance(where, Unix):
        return socket.AF_UNIX
    return socket.AF_INET if isinstance(where.host, IPv4Address) else socket.AF_INET6


def _make_way(path: Path) -> None:
    """Remove the socket that a killed daemon left. Raises OSError where something else is there."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # bind says so
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            if client.connect_ex(str(path)) != 0:
                path.unlink()
