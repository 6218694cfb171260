"""HTTP/1.1 to one server: the lean way of a put's bytes, beside the SDK that does everything else.

An SDK spends more than a millisecond of the interpreter's lock on a small request; this costs a few percent
of that. Connections are kept and used again, bytes of plain HTTP go from file to socket in the kernel, and
nothing follows a redirect.
"""

import base64
import os
import re
import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from artifactd.stores.base import Denied, StoreError, Unavailable
from artifactd.stores.throttle import Throttle

_PIECE: Final = 256 << 10
"""Bytes sent at a time without a throttle, and held in memory for each connection."""

_AT_ONCE: Final = 1 << 30
"""Bytes asked of sendfile(2), which takes no 2 GiB."""

_HEAD_BYTES: Final = 64 << 10
_ANSWER_BYTES: Final = 1 << 20
"""An answer to a put is an error in a few hundred bytes, or nothing. More than this is no such server."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Unanswered(StoreError):  # noqa: N818 - says an outcome, as its siblings do
    """The connection was lost after the request, or some of it, was sent: it may have been acted on."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an open file, as a request's body."""

    fd: int
    offset: int
    size: int
    """bytes"""


Body = bytes | Piece


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes


@dataclass(frozen=True, slots=True)
class Peer:
    """Where requests go, and how."""

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: SplitResult | None = field(repr=False)
    """it may hold a password"""
    connect_seconds: float
    read_seconds: float
    """without a byte from the server, or without room for one"""

    @property
    def address(self) -> str:
        """The value of the Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def peer(url: str, tls: ssl.SSLContext | None, connect_seconds: float, read_seconds: float) -> Peer:
    """The peer at `url`, through the proxy that the environment names for it (HTTPS_PROXY, NO_PROXY, …)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = getproxies().get(parts.scheme)
    proxy = None if named is None or proxy_bypass(parts.netloc) else urlsplit(_with_scheme(named))
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return Peer(
        parts.scheme,
        host,
        port,
        tls if parts.scheme == "https" else None,
        proxy,
        connect_seconds,
        read_seconds,
    )


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


class Wire:
    """Connections to one peer, kept for the next request. Threads may send at the same time."""

    def __init__(self, to: Peer, throttle: Throttle | None = None) -> None:
        self.peer = to
        self._throttle = throttle
        self._idle: deque[_Connection] = deque()

    def send(self, method: str, target: str, headers: Mapping[str, str], body: Body = b"") -> Answer:
        """Send one request and wait for its answer. `target` is the path and query, quoted.

        A connection that the server closed while it was idle is replaced without a word, so a request that
        is not safe to repeat needs a condition of its own.

        Raises:
            Unavailable: the server cannot be reached. Nothing was sent.
            Denied: its certificate, or the proxy, does not let us in. Nothing was sent.
            Unanswered: it may have been acted on.
            OSError: the body's file cannot be read to its end. The request was not completed.
        """
        head = self._head(method, target, headers, body)
        if (kept := self._kept()) is not None:
            try:
                return self._exchange(kept, head, body)
            except Unanswered as lost:
                if kept.heard or isinstance(lost.__cause__, TimeoutError):
                    raise
        return self._exchange(_Connection(self.peer), head, body)

    def close(self) -> None:
        """Close what is idle."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _kept(self) -> "_Connection | None":
        """An idle connection that still stands, the one used last before others."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.stands():
                    return connection
                connection.close()
        return None

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: Body) -> bytes:
        size = len(body) if isinstance(body, bytes) else body.size
        through = self.peer.proxy is not None and self.peer.tls is None
        start = f"http://{self.peer.address}{target}" if through else target
        lines = [f"{method} {start} HTTP/1.1", f"Host: {self.peer.address}", f"Content-Length: {size}"]
        if through and self.peer.proxy is not None:
            lines += _authorization(self.peer.proxy)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _exchange(self, connection: "_Connection", head: bytes, body: Body) -> Answer:
        keep = False
        try:
            answer = connection.exchange(head, body, self._throttle)
            keep = connection.reusable
            return answer
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()


class _Connection:
    """One connection, in one request at a time."""

    def __init__(self, to: Peer) -> None:
        self._peer = to
        self._received = b""
        self.reusable = False
        """whether the last exchange ended so that another can follow"""
        self.heard = False
        """whether anything came back in the last exchange"""
        self._socket = _connected(to)

    def stands(self) -> bool:
        """Whether the server has neither closed it nor said anything unasked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def exchange(self, head: bytes, body: Body, throttle: Throttle | None) -> Answer:
        """Send and receive. Raises as `Wire.send`, but for what concerns connecting."""
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
        return Unanswered(f"{self._peer.host} did not answer: {_said(error)}")

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
        elif self._peer.tls is None and throttle is None:
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
        if not poll.poll(self._peer.read_seconds * 1000):
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
            status, version, headers = _parsed_head(self._until(b"\r\n\r\n", _HEAD_BYTES))
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
            _bounded(len(body), _ANSWER_BYTES)
        return body, True

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n", 1024).split(b";")[0], 16):
            body += self._exactly(_bounded(size, _ANSWER_BYTES))
            self._exactly(2)
            _bounded(len(body), _ANSWER_BYTES)
        while self._until(b"\r\n", _HEAD_BYTES):
            pass  # trailers say nothing that is needed
        return body

    def _until(self, end: bytes, most: int) -> bytes:
        while end not in self._received:
            _bounded(len(self._received), most)
            self._received += self._some()
        found, _, self._received = self._received.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        _bounded(size, _ANSWER_BYTES)
        while len(self._received) < size:
            self._received += self._some()
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _some(self) -> bytes:
        return self._more() or _raise(ConnectionResetError(None, "it closed the connection"))

    def _more(self) -> bytes:
        piece = self._socket.recv(64 << 10)
        self.heard = self.heard or bool(piece)
        return piece


class _Cut(OSError):  # noqa: N818 - it names the thing that happened
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


def _bounded(size: int, most: int) -> int:
    if size > most:
        raise ValueError("it says too much")
    return size


_STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9]{2})(?: .*)?", re.DOTALL)


def _parsed_head(head: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Status, version and headers.

    Raises:
        ValueError: this is no answer in HTTP.
    """
    start, *lines = head.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(start)
    if found is None:
        raise ValueError("it does not speak HTTP/1.1")
    version, status = found.groups()
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(status), version, headers


# --- connecting ---


def _connected(to: Peer) -> socket.socket:
    """A connection to the peer.

    Raises:
        Unavailable: it cannot be reached.
        Denied: its certificate is not to be trusted, or the proxy refuses, or cannot be used.
    """
    if to.proxy is not None and to.proxy.scheme != "http":
        raise Denied(
            f"the proxy {to.proxy.hostname} is to be spoken to by {to.proxy.scheme}: only http is known"
        )
    via = (to.proxy.hostname or "", to.proxy.port or 80) if to.proxy else (to.host, to.port)
    try:
        plain = socket.create_connection(via, to.connect_seconds)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none in the DNS
        raise Unavailable(f"{via[0]}:{via[1]} cannot be reached: {_said(error)}") from error
    try:
        plain.settimeout(to.read_seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if to.tls is None:
            return plain
        if to.proxy is not None:
            _tunnel(plain, to, to.proxy)
        return to.tls.wrap_socket(plain, server_hostname=to.host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise Denied(
            f"the certificate of {to.address} is not to be trusted: {error.verify_message}"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: the proxy does not speak HTTP
        plain.close()
        raise Unavailable(f"no TLS with {to.address}: {_said(error)}") from error
    except BaseException:
        plain.close()
        raise


def _tunnel(plain: socket.socket, to: Peer, proxy: SplitResult) -> None:
    """Ask the proxy to connect us (RFC 9110, 9.3.6)."""
    target = f"{to.host}:{to.port}"
    lines = (f"CONNECT {target} HTTP/1.1", f"Host: {target}", *_authorization(proxy), "", "")
    plain.sendall("\r\n".join(lines).encode("latin-1"))
    received = b""
    while b"\r\n\r\n" not in received:
        piece = plain.recv(4096)
        if not piece or len(received) > _HEAD_BYTES:
            raise ConnectionResetError(None, "the proxy closed the connection")
        received += piece
    status, _, _ = _parsed_head(received.partition(b"\r\n\r\n")[0])
    if status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6: it did not get there
        raise Unavailable(f"the proxy {proxy.hostname} did not reach {target}: HTTP {status}")
    if status >= 300:  # noqa: PLR2004 - RFC 9110, 15.3: all 2xx are tunnels
        raise Denied(f"the proxy {proxy.hostname} refuses to connect to {target}: HTTP {status}")


def _authorization(proxy: SplitResult) -> list[str]:
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}"]


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(getattr(error, "strerror", None) or error)
