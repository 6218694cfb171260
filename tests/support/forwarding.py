"""A small forwarding proxy, as companies have one: whole URLs, CONNECT, and a password (RFC 9110, 9.3.6)."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from tests.servers.messages import Head, LostError, Stream, framing_of_request, framing_of_response
from tests.servers.ports import LOCALHOST

_PATIENCE: Final = 120.0
_REFUSED: Final = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
_NOT_REACHED: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Forwarding:
    """What it was asked for, as "PUT http://…" and "CONNECT host:port"."""

    port: int
    wanted: str
    """the value of Proxy-Authorization; empty: none is needed"""
    asked: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://{LOCALHOST}:{self.port}"

    def serve(self, connected: socket.socket) -> None:
        """One client's connection, to its end."""
        self.connections += 1
        with connected, suppress(OSError, LostError):
            stream = Stream(connected)
            while (head := stream.head()) is not None:
                method, target, _ = head.first_line
                self.asked.append(f"{method} {target}")
                if self.wanted and head.headers.get("proxy-authorization") != self.wanted:
                    connected.sendall(_REFUSED)
                    return
                if method == "CONNECT":
                    _tunnel(connected, target)
                    return
                _forward(stream, head, target)


def _forward(client: Stream, head: Head, target: str) -> None:
    url = urlsplit(target)
    lines = head.raw.replace(target.encode(), target.removeprefix(f"http://{url.netloc}").encode(), 1)
    kept = [line for line in lines.split(b"\r\n") if not line.lower().startswith(b"proxy-")]
    with socket.create_connection((url.hostname or "", url.port or 80), _PATIENCE) as upstream:
        server = Stream(upstream)
        upstream.sendall(b"\r\n".join(kept))
        framing = framing_of_request(head)
        server.send(framing, client.pieces(framing))
        answer = server.head()
        assert answer is not None
        client.socket.sendall(answer.raw)
        back = framing_of_response(answer, head.first_line[0])
        client.send(back, server.pieces(back))


def _tunnel(client: socket.socket, target: str) -> None:
    host, _, port = target.rpartition(":")
    try:
        upstream = socket.create_connection((host, int(port)), _PATIENCE)
    except OSError:
        client.sendall(_NOT_REACHED)
        return
    with upstream:
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there = threading.Thread(target=_pump, args=(client, upstream), daemon=True)
        there.start()
        _pump(upstream, client)
        there.join(_PATIENCE)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def forwarding(wanted: str = "") -> Iterator[Forwarding]:
    """The proxy, listening until the end of the block."""
    listener = socket.create_server((LOCALHOST, 0))
    proxy = Forwarding(listener.getsockname()[1], wanted)

    def accept() -> None:
        with listener, suppress(OSError):
            while True:
                connected, _ = listener.accept()
                threading.Thread(target=proxy.serve, args=(connected,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(_PATIENCE)
