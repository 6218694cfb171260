"""The client, beside a server that says exactly what the test wants."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifactd.stores.base import Unavailable
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from artifactd.stores.http.messages import Answer, Body, Piece, Unanswered
from tests.servers.ports import LOCALHOST, free_ports
from tests.support.scripted import PATIENCE, Script, over, request, serving

OK = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n'


@contextmanager
def client_to(
    port: int, *, read_seconds: float = PATIENCE, throttle: Throttle | None = None
) -> Iterator[Client]:
    client = Client(Server.at(f"http://{LOCALHOST}:{port}", None, 5.0, read_seconds), throttle)
    try:
        yield client
    finally:
        client.close()


def answering(*answers: bytes) -> Script:
    """These answers to one request after the other, then the end."""

    def script(connected: socket.socket) -> None:
        for answer in answers:
            request(connected)
            connected.sendall(answer)

    return script


def keeping(*answers: bytes) -> Script:
    """As `answering`, but the connection stays until the client ends it."""

    def script(connected: socket.socket) -> None:
        answering(*answers)(connected)
        connected.recv(1)

    return script


def ask(client: Client, body: Body = b"content") -> Answer:
    return client.send("PUT", "/bucket/k", {"x-amz-meta-a": "b"}, body)


# --- what is sent ---


def test_a_request_is_one_head_and_the_bytes() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def script(connected: socket.socket) -> None:
        seen.append(request(connected))
        connected.sendall(OK)

    with serving(script) as server, client_to(server.port) as client:
        assert ask(client).status == 200
        host = f"{LOCALHOST}:{server.port}".encode()
    ((head, body),) = seen
    assert head.split(b"\r\n") == [
        b"PUT /bucket/k HTTP/1.1", b"Host: " + host, b"Content-Length: 7", b"x-amz-meta-a: b",
    ]  # fmt: skip
    assert body == b"content"


@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 1, (256 << 10) + 1, 3 << 20])
@pytest.mark.parametrize("throttled", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "piece"])
def test_bodies_of_any_size_arrive_whole(tmp_path: Path, size: int, *, throttled: bool, kind: str) -> None:
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(b"before" + content + b"after")
    got: list[bytes] = []

    def script(connected: socket.socket) -> None:
        got.append(request(connected)[1])
        connected.sendall(OK)

    throttle = Throttle(1 << 40, lambda: 0.0, asyncio.sleep) if throttled else None
    with (
        serving(script) as server,
        client_to(server.port, throttle=throttle) as client,
        (tmp_path / "source").open("rb") as file,
    ):
        ask(client, content if kind == "bytes" else Piece(file.fileno(), 6, size))
    assert got == [content]


def test_a_slow_reader_is_waited_for_as_long_as_it_takes_something() -> None:
    """The read time-out is for each wait; a large body at a slow server takes longer as a whole."""
    body = bytes(24 << 20)
    step = threading.Event()

    def script(connected: socket.socket) -> None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        left = len(body)
        while left > 0:
            if left % (2 << 20) < (1 << 16):
                step.wait(0.15)  # ten of these are longer than the time-out, each of them is not
            left -= len(connected.recv(1 << 16) or over())
        connected.sendall(OK)

    with serving(script) as server, client_to(server.port, read_seconds=1.0) as client:
        assert ask(client, body).status == 200


# --- what comes back ---


OK_THEN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK_THEN + b"Content-Length: 4\r\n\r\nsaid", b"said"),
        (
            OK_THEN + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nsa\r\n2\r\nid\r\n0\r\nx: y\r\n\r\n",
            b"said",
        ),
        (OK_THEN + b"\r\nsaid", b"said"),
        (b"HTTP/1.0 200\r\nContent-Length: 4\r\n\r\nsaid", b"said"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, b""),
    ],
)
def test_an_answer_in_any_framing_is_understood(answer: bytes, body: bytes) -> None:
    with serving(answering(answer)) as server, client_to(server.port) as client:
        assert ask(client).body == body


def test_headers_are_known_by_their_names_in_lower_case() -> None:
    answer = b"HTTP/1.1 503 Slow Down\r\nRETRY-AFTER:  7 \r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer)) as server, client_to(server.port) as client:
        got = ask(client)
    assert (got.status, got.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"SSH-2.0 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsa",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * (66 << 10),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20),
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_garbage_is_no_answer(answer: bytes) -> None:
    with serving(answering(answer)) as server, client_to(server.port) as client, pytest.raises(Unanswered):
        ask(client)


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    answer = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer)) as server, client_to(server.port) as client:
        assert ask(client).status == 307
    assert server.connections == 1


def test_an_answer_before_the_end_of_the_request_is_heard(tmp_path: Path) -> None:
    """As from a server that has no room: it says so, and reads no more."""
    answer = b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n"

    def script(connected: socket.socket) -> None:
        connected.recv(1024)
        connected.sendall(answer)
        connected.recv(1, socket.MSG_WAITALL)
        connected.shutdown(socket.SHUT_WR)
        while connected.recv(1 << 20):
            pass

    (tmp_path / "source").write_bytes(bytes(8 << 20))
    with (
        serving(script) as server,
        client_to(server.port) as client,
        (tmp_path / "source").open("rb") as file,
    ):
        assert ask(client, Piece(file.fileno(), 0, 8 << 20)).status == 507


# --- connections that are used again ---


def test_a_connection_is_used_again() -> None:
    with serving(keeping(OK, OK, OK)) as server, client_to(server.port) as client:
        for _ in range(3):
            ask(client)
        assert server.connections == 1


def test_threads_have_connections_of_their_own() -> None:
    together = threading.Barrier(4)

    def script(connected: socket.socket) -> None:
        request(connected)
        together.wait(PATIENCE)
        connected.sendall(OK)

    with serving(script) as server, client_to(server.port) as client, ThreadPoolExecutor(4) as pool:
        assert [answer.status for answer in pool.map(lambda _: ask(client), range(4))] == [200] * 4


@pytest.mark.parametrize("end", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                                 b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                                 b"HTTP/1.1 200 OK\r\n\r\n"])  # fmt: skip
def test_a_connection_that_ends_with_its_answer_is_not(end: bytes) -> None:
    with serving(answering(end), keeping(OK)) as server, client_to(server.port) as client:
        ask(client)
        assert ask(client).status == 200
        assert server.connections == 2


def test_a_connection_that_says_something_unasked_is_not() -> None:
    said = threading.Event()

    def script(connected: socket.socket) -> None:
        answering(OK)(connected)
        connected.sendall(b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n")
        said.set()
        connected.recv(1)

    with serving(script, keeping(OK)) as server, client_to(server.port) as client:
        ask(client)
        assert said.wait(PATIENCE)
        assert ask(client).status == 200


def test_an_idle_connection_that_the_server_closed_is_replaced_silently() -> None:
    with serving(answering(OK), keeping(OK)) as server, client_to(server.port) as client:
        ask(client)
        server.wait_for_connection(0)
        assert ask(client).status == 200
        assert server.connections == 2


def lose(connected: socket.socket) -> None:
    request(connected)


def then_lose(connected: socket.socket) -> None:
    answering(OK)(connected)
    lose(connected)


def test_a_kept_connection_that_ends_under_a_request_is_replaced_once() -> None:
    with serving(then_lose, lose) as server, client_to(server.port) as client:
        ask(client)
        with pytest.raises(Unanswered):
            ask(client)
        assert server.connections == 2


def test_however_many_connections_are_kept_a_request_is_sent_twice_at_most() -> None:
    together, sent = threading.Barrier(4), list[int]()

    def script(connected: socket.socket) -> None:
        request(connected)
        together.wait(PATIENCE)
        connected.sendall(OK)
        request(connected)
        sent.append(1)

    with serving(*[script] * 4, lose) as server, client_to(server.port) as client:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ask(client), range(4)))
        with pytest.raises(Unanswered):
            ask(client)
        assert (len(sent), server.connections) == (1, 5)


def test_a_new_connection_that_is_lost_is_not_tried_again() -> None:
    with serving(lose) as server, client_to(server.port) as client, pytest.raises(Unanswered):
        ask(client)
    assert server.connections == 1


# --- what goes wrong ---


def test_nobody_at_the_port_is_a_store_that_is_down() -> None:
    (port,) = free_ports(1)
    with client_to(port) as client, pytest.raises(Unavailable, match=f"{LOCALHOST}:{port} cannot be reached"):
        ask(client)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid", "a..b.invalid"])
def test_a_name_that_does_not_resolve_is_a_store_that_is_down(host: str) -> None:
    client = Client(Server.at(f"http://{host}:80", None, 5.0, 5.0))
    with pytest.raises(Unavailable, match="cannot be reached"):
        ask(client)


@pytest.mark.parametrize("reads", [True, False])
def test_a_server_that_says_nothing_is_left_after_the_read_time_out(*, reads: bool) -> None:
    ended = threading.Event()

    def script(connected: socket.socket) -> None:
        if reads:
            request(connected)
        ended.wait(PATIENCE)

    with serving(script) as server, client_to(server.port, read_seconds=0.3) as client:
        with pytest.raises(Unanswered, match="took too long"):
            ask(client, bytes(16 << 20))
        ended.set()
    assert server.connections == 1


@pytest.mark.parametrize("throttled", [False, True])
def test_a_file_that_is_cut_while_it_is_sent_is_an_error_of_the_source(
    tmp_path: Path, *, throttled: bool
) -> None:
    (tmp_path / "source").write_bytes(b"cut")
    throttle = Throttle(1 << 40, lambda: 0.0, asyncio.sleep) if throttled else None
    with (
        serving(lose) as server,
        client_to(server.port, throttle=throttle) as client,
        (tmp_path / "source").open("rb") as file,
        pytest.raises(OSError, match="shorter than it was"),
    ):
        ask(client, Piece(file.fileno(), 0, 100))


def test_a_file_that_cannot_be_read_is_an_error_of_the_source(tmp_path: Path) -> None:
    with (
        serving(lose) as server,
        client_to(server.port) as client,
        (tmp_path / "source").open("wb") as file,
        pytest.raises(OSError, match="Bad file descriptor"),
    ):
        ask(client, Piece(file.fileno(), 0, 100))


# --- where it goes ---


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://s3.example.org", "s3.example.org"),
        ("http://s3.example.org:80", "s3.example.org"),
        ("https://s3.example.org:443", "s3.example.org"),
        ("https://s3.example.org:80", "s3.example.org:80"),
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://[::1]:9000", "[::1]:9000"),
    ],
)
def test_the_host_is_named_as_it_is_signed(url: str, address: str) -> None:
    assert Server.at(url, None, 1.0, 1.0).address == address
