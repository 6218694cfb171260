"""A server of objects that only answers, so that the client is the limit. It throws bodies away.

    python -m benchmarks.answering [--delay MILLISECONDS] [--tls DIRECTORY] [--port PORT]

It speaks as much of S3 and of Azure Blob Storage as their clients need to copy a tree (`protocols.py`), on
one thread, on 127.0.0.1. An answer leaves so many milliseconds after its request has come whole, whatever
else is under way. With TLS, clients trust the `ca.pem` that it puts into the directory. Each line on its
standard input is answered with a line of JSON on its standard output: `Told`. It ends when its standard
input does.
"""

import argparse
import json
import select
import shutil
import socket
import ssl
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.kept import Kept, Request
from benchmarks.protocols import answer
from tests.servers import tls

CA_FILE = "ca.pem"
_HEAD = 64 << 10
_MOST = 4 << 20
"""Bytes thrown away at a time. Without TLS, MSG_TRUNC has the kernel do it: nothing is copied (tcp(7))."""

_Waiting = Iterator[None]
"""What a connection does; it waits with every `yield`."""
_Reading = Generator[None, None, bytes]
"""The same, with bytes at its end."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the server did so far."""

    port: int
    cpu: float
    """seconds"""
    requests: dict[str, int]
    """by operation"""
    connections: int
    """the most at a time since it was last asked"""


class Loop:
    """All connections, each a generator that waits for its client, or for its answer's time."""

    def __init__(self, port: int = 0, delay: float = 0.0, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._delay = delay
        self._context = context
        self._connections = dict[int, _Waiting]()
        self._due = deque[tuple[float, int]]()
        self._most_connections = 0
        self._requests = Counter[str]()
        self._kept = Kept()
        self._poll = select.epoll()
        self._thrown_away = bytearray(_MOST)

    def run(self) -> None:
        """Answer until the standard input ends."""
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(sys.stdin, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll(self._patience()):
                if number in self._connections:
                    self._go_on(number)
                elif number == self._listener.fileno():
                    self._accept()
                elif sys.stdin.readline():
                    print(json.dumps(asdict(self._told())), flush=True)
                else:
                    return
            while self._due and self._due[0][0] <= time.monotonic():
                self._go_on(self._due.popleft()[1])

    def _patience(self) -> float | None:
        """Seconds until the next answer is due."""
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _told(self) -> Told:
        port, most = self._listener.getsockname()[1], self._most_connections
        self._most_connections = len(self._connections)
        return Told(port, time.process_time(), dict(self._requests), most)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            client = self._context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        client.setblocking(False)
        self._connections[client.fileno()] = self._served(client)
        self._most_connections = max(self._most_connections, len(self._connections))
        self._poll.register(client, select.EPOLLIN)

    def _go_on(self, number: int) -> None:
        """Go on with a connection, if it is there yet. One that waits for something else waits again."""
        if number not in self._connections:
            return
        try:
            next(self._connections[number])
        except OSError:
            del self._connections[number]

    def _served(self, client: socket.socket) -> _Waiting:
        stream = _Stream(client, self._thrown_away)
        with client:
            while True:
                request = Request.of((yield from stream.until(b"\r\n\r\n")))
                if "expect" in request.headers:
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request.kept:
                    request.body = yield from stream.read(request.size)
                elif request.chunked:
                    yield from _throw_chunks_away(stream)
                else:
                    yield from stream.throw_away(request.size)
                operation, said = answer(self._kept, request)
                self._requests[operation] += 1
                yield from self._until_due(client)
                client.sendall(said)

    def _until_due(self, client: socket.socket) -> _Waiting:
        if self._delay:
            due = time.monotonic() + self._delay
            self._due.append((due, client.fileno()))
            while time.monotonic() < due:
                yield


class _Stream:
    """What a client sends. At its end ConnectionResetError is raised."""

    def __init__(self, client: socket.socket, thrown_away: bytearray) -> None:
        self._client = client
        self._received = b""
        self._thrown_away = thrown_away
        self._how = 0 if isinstance(client, ssl.SSLSocket) else socket.MSG_TRUNC

    def until(self, end: bytes) -> _Reading:
        """What comes before `end`."""
        while end not in self._received:
            yield from self._receive()
        found, _, self._received = self._received.partition(end)
        return found

    def read(self, size: int) -> _Reading:
        """So many bytes."""
        while len(self._received) < size:
            yield from self._receive()
        found, self._received = self._received[:size], self._received[size:]
        return found

    def throw_away(self, size: int) -> _Waiting:
        """Pass over so many bytes."""
        left = size - len(self._received)
        self._received = self._received[size:]
        while left > 0:
            try:
                count = self._client.recv_into(self._thrown_away, min(_MOST, left), self._how)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield
                continue
            if not count:
                raise ConnectionResetError
            left -= count

    def _receive(self) -> _Waiting:
        while True:
            try:
                piece = self._client.recv(_HEAD)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield
                continue
            if not piece:
                raise ConnectionResetError
            self._received += piece
            return


def _throw_chunks_away(stream: _Stream) -> _Waiting:
    """Pass over a body in chunks, and what trails it (RFC 9112, 7.1)."""
    while size := int((yield from stream.until(b"\r\n")), 16):
        yield from stream.throw_away(size + 2)
    while (yield from stream.until(b"\r\n")):
        pass


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answering", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds that an answer takes")
    parser.add_argument("--tls", type=Path, help="speak TLS; `ca.pem` is put into this directory")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    return parser.parse_args()


def _certified(directory: Path) -> ssl.SSLContext:
    """What the server shows. The directory gets what it is checked with, in place of an earlier one."""
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        made = tls.authority(Path(folder))
        shutil.copy(made.ca_file, directory / CA_FILE)
        return made.good.context()


def main() -> None:
    """Answer as the command line says."""
    options = _arguments()
    context = _certified(options.tls) if options.tls else None
    Loop(options.port, options.delay / 1e3, context).run()


if __name__ == "__main__":
    main()
