"""A server that says exactly what a test wants, byte for byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

from tests.servers.ports import LOCALHOST

PATIENCE: Final = 30.0
"""Seconds that a request may take: what drips here comes for longer than that by the time of the test."""

Script = Callable[[socket.socket], None]


class Scripted:
    """A server that acts one script for each connection, in order, the last one for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server((LOCALHOST, 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                script = self._scripts[min(self.connections, len(self._scripts) - 1)]
                self.connections += 1
                thread = threading.Thread(target=self._act, args=(script, connected), daemon=True)
                self._threads.append(thread)
                thread.start()

    @staticmethod
    def _act(script: Script, connected: socket.socket) -> None:
        with connected, suppress(OSError):
            script(connected)

    def wait_for_connection(self, number: int) -> None:
        """Until the script of this connection, from 0, has ended and the connection is closed."""
        self._threads[1 + number].join(PATIENCE)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def serving(*scripts: Script) -> Iterator[Scripted]:
    server = Scripted(*scripts)
    try:
        yield server
    finally:
        server.close()


def request(connected: socket.socket) -> tuple[bytes, bytes]:
    """The next request's head and body, as its length says, if any; ends the script where none comes."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connected.recv(65536) or over()
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while len(body) < sum(int(line.split(b":")[1]) for line in lengths):
        body += connected.recv(1 << 20) or over()
    return head, body


def over() -> NoReturn:
    """End the script."""
    raise ConnectionError
