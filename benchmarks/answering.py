"""A server of objects that only answers, so that the client is the limit. It throws bodies away.

    python -m benchmarks.answering

It speaks as much of S3 and of Azure Blob Storage as their clients need to copy a tree (`protocols.py`), on
one thread, at a free port of 127.0.0.1. Each line on its standard input is answered with a line of JSON on
its standard output: `Told`. It ends when its standard input does.
"""

import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from benchmarks.kept import Kept, Request
from benchmarks.protocols import answer

_HEAD = 64 << 10
_MOST = 4 << 20
"""Bytes thrown away at a time. MSG_TRUNC has the kernel do it: nothing is copied (tcp(7))."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the server did so far."""

    port: int
    cpu: float
    """seconds"""
    requests: dict[str, int]
    """by operation"""


class Loop:
    """All connections, each a generator that waits for its client with every `yield`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._connections = dict[int, Iterator[None]]()
        self._requests = Counter[str]()
        self._kept = Kept()
        self._poll = select.epoll()
        self._thrown_away = bytearray(_MOST)

    def run(self) -> None:
        """Answer until the standard input ends."""
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(sys.stdin, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll():
                if number in self._connections:
                    self._go_on(number)
                elif number == self._listener.fileno():
                    self._accept()
                elif sys.stdin.readline():
                    print(json.dumps(asdict(self._told())), flush=True)
                else:
                    return

    def _told(self) -> Told:
        return Told(self._listener.getsockname()[1], time.process_time(), dict(self._requests))

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[client.fileno()] = self._served(client)
        self._poll.register(client, select.EPOLLIN)
        self._go_on(client.fileno())

    def _go_on(self, number: int) -> None:
        try:
            next(self._connections[number])
        except (StopIteration, OSError):
            del self._connections[number]

    def _served(self, client: socket.socket) -> Iterator[None]:
        received = b""
        with client:
            while True:
                while b"\r\n\r\n" not in received:
                    yield
                    received += (piece := client.recv(_HEAD))
                    if not piece:
                        return
                head, _, received = received.partition(b"\r\n\r\n")
                request = Request.of(head)
                if "expect" in request.headers:
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while request.kept and len(received) < request.size:
                    yield
                    received += client.recv(_HEAD)
                request.body, received = received[: request.size], received[request.size :]
                yield from self._throw_away(client, request.size - len(request.body))
                operation, said = answer(self._kept, request)
                self._requests[operation] += 1
                client.sendall(said)

    def _throw_away(self, client: socket.socket, left: int) -> Iterator[None]:
        while left:
            yield
            count = client.recv_into(self._thrown_away, min(_MOST, left), socket.MSG_TRUNC)
            if not count:
                raise ConnectionResetError
            left -= count


if __name__ == "__main__":
    Loop().run()
