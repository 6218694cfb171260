"""A git server over HTTPS with basic auth: `git http-backend` below Python's own web server."""

import base64
import http.client
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

USER, PASSWORD = "x-token-auth", "hunter2-canary"

_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class GitServer:
    """The server of the repositories below `root`."""

    root: Path
    port: int = 0
    password: str = PASSWORD
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """what to say instead, by a part of the request's path: status and headers"""
    hang: threading.Event | None = None
    """requests wait until it is set"""
    lfs_port: int | None = None
    """the LFS server that answers below `<repository>/info/lfs`"""
    seen: list[str] = field(default_factory=list)
    """the requests: method and path"""
    on_request: Callable[[], None] = field(default=lambda: None)
    knows_shallow: bool = True
    """whether it understands that a pusher's history is cut off; dulwich's server hangs up on that"""
    dropped: set[str] = field(default_factory=set)
    """of requests with such a part in their path, the answer is lost after the work is done"""

    def url(self, name: str = "repository.git") -> str:
        return f"https://127.0.0.1:{self.port}/{name}"


@contextmanager
def https(root: Path, context: ssl.SSLContext, **options: int | None) -> Iterator[GitServer]:
    """A server for as long as the block takes."""
    served = GitServer(root, lfs_port=options.get("lfs_port"))
    server = _Quiet(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        if served.hang is not None:
            served.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(ThreadingHTTPServer):
    """Clients that refuse the certificate or go away are what the tests are about."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def _handler(served: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        server_state = served

    return Handler


class _Handler(BaseHTTPRequestHandler):
    server_state: GitServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        served = self.server_state
        served.seen.append(f"{self.command} {self.path}")
        served.on_request()
        body = self._body()
        if served.hang is not None:
            served.hang.wait(60)
        for part, (status, headers) in served.answers.items():
            if part in self.path:
                self._send(status, headers, b"said by the test")
                return
        if served.lfs_port is not None and "/info/lfs" in self.path:
            self._forward(served.lfs_port, body)
            return
        if not self._known():
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        if not served.knows_shallow and self.path.endswith("/git-receive-pack") and body[4:11] == b"shallow":
            self.close_connection = True
            return
        status, headers, content = self._backend(body)
        if any(part in self.path for part in served.dropped):
            self.close_connection = True
            return
        self._send(status, headers, content)

    def _known(self) -> bool:
        expected = base64.b64encode(f"{USER}:{self.server_state.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _backend(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(self.path)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server_state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": USER,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        return int(headers.pop("Status", "200").split()[0]), headers, content

    def _forward(self, port: int, body: bytes) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            upstream.request(self.command, self.path, body, {**headers, "X-Forwarded-Proto": "https"})
            got = upstream.getresponse()
            kept = {name: value for name, value in got.getheaders() if name.lower() not in _HOP}
            self._send(got.status, kept, got.read())
        finally:
            upstream.close()

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
