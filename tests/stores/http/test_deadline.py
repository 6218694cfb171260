"""One request takes so long and no longer, whatever the server does in the meantime.

The servers move the client's clock themselves, so that nothing here depends on how fast the machine is.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from artifactd.stores.base import StoreError, Unavailable
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from artifactd.stores.http.deadline import Deadline
from artifactd.stores.http.messages import Unanswered
from tests.servers.ports import LOCALHOST
from tests.servers.tls import Authority
from tests.support.scripted import PATIENCE, Script, request, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
IN_ALL = f"{LOCALHOST} did not answer: it took more than [0-9.e+]+ seconds in all"


@dataclass
class Time:
    """A clock that the servers set forward."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@contextmanager
def client_to(
    port: int,
    time: Time,
    *,
    scheme: str = "http",
    authority: Authority | None = None,
    throttle: Throttle | None = None,
) -> Iterator[Client]:
    tls = authority.trusting() if authority else None
    client = Client(Server.at(f"{scheme}://{LOCALHOST}:{port}", tls, 5.0, PATIENCE), throttle, time.monotonic)
    try:
        yield client
    finally:
        client.close()


def ask(client: Client, body: bytes = b"content") -> int:
    return client.send("PUT", "/bucket/k", {}, body).status


def dripping(time: Time, start: bytes, drops: Callable[[int], bytes]) -> Script:
    """`start`, then a drop every ten seconds, and the connection stays."""

    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(start)
        for number in range(10):  # more would be too much before they are too late
            time.now += 10.0
            connected.sendall(drops(number))
        connected.recv(1)

    return script


DRIPS: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "a header": (b"HTTP/1.1 200 OK\r\nx-long: ", lambda _: b"x"),
    "many headers": (b"HTTP/1.1 200 OK\r\n", lambda number: b"x%d: y\r\n" % number),
    "announcements": (b"", lambda _: b"HTTP/1.1 102 Processing\r\n\r\n"),
    "chunks of one byte": (CHUNKED, lambda _: b"1\r\nx\r\n"),
    "the line of a chunk": (CHUNKED, lambda _: b"0"),
    "trailers": (CHUNKED + b"0\r\n", lambda number: b"x%d: y\r\n" % number),
    "a body to the end of the connection": (b"HTTP/1.1 200 OK\r\n\r\n", lambda _: b"x"),
    "a body of a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", lambda _: b"x"),
}


@pytest.mark.parametrize(("start", "drops"), DRIPS.values(), ids=DRIPS.keys())
def test_an_answer_without_an_end_ends_with_the_request_s_time(
    start: bytes, drops: Callable[[int], bytes]
) -> None:
    time = Time()
    with serving(dripping(time, start, drops)) as server, client_to(server.port, time) as client:
        with pytest.raises(Unanswered, match=IN_ALL):
            ask(client)
        assert server.connections == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("throttled", [False, True])
def test_a_server_that_reads_next_to_nothing_is_given_up(
    authority: Authority, scheme: str, *, throttled: bool
) -> None:
    time = Time()

    def secured(connected: socket.socket) -> socket.socket:
        if scheme == "http":
            return connected
        return authority.good.context().wrap_socket(connected, server_side=True)

    def script(connected: socket.socket) -> None:
        with secured(connected) as wire:
            while wire.recv(1 << 14):
                time.now += 100.0

    throttle = Throttle(1 << 40, lambda: 0.0, asyncio.sleep) if throttled else None
    with (
        serving(script) as server,
        client_to(server.port, time, scheme=scheme, authority=authority, throttle=throttle) as client,
        pytest.raises(Unanswered, match=IN_ALL),
    ):
        ask(client, bytes(32 << 20))


def test_a_proxy_that_drips_its_answer_is_given_up(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()

    def script(connected: socket.socket) -> None:
        for _ in range(10):
            time.now += 10.0
            connected.sendall(b"x")
        while connected.recv(1024):
            pass

    with serving(script) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOCALHOST}:{server.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        client = Client(
            Server.at("https://there.example", authority.trusting(), 5.0, PATIENCE), None, time.monotonic
        )
        with pytest.raises(Unavailable, match=r"there\.example: it took more than 35 seconds in all"):
            ask(client)


def test_the_time_is_in_proportion_to_the_bytes() -> None:
    server = replace(Server.at("http://there.example", None, 10.0, 60.0), least_rate=1000.0)
    assert [server.seconds(size) for size in (0, 1000, 1_000_000)] == [70.0, 71.0, 1070.0]


def test_time_that_the_bandwidth_costs_is_not_the_server_s() -> None:
    """A limit of ours below the least rate slows a put and does not end it."""
    time = Time()

    async def pause(seconds: float) -> None:
        time.now += seconds

    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(OK)

    throttle = Throttle(100, time.monotonic, pause)
    with serving(script) as server, client_to(server.port, time, throttle=throttle) as client:
        assert ask(client, bytes(20_000)) == 200
    assert time.now > 1000.0 + 190.0


def test_silence_ends_a_request_before_its_time_is_over() -> None:
    ended = threading.Event()

    def script(connected: socket.socket) -> None:
        request(connected)
        ended.wait(PATIENCE)

    with serving(script) as server:
        client = Client(Server.at(f"http://{LOCALHOST}:{server.port}", None, PATIENCE, 0.2))
        with pytest.raises(StoreError, match="it took too long"):
            ask(client)
        ended.set()


def test_the_real_clock_ends_a_dripped_answer() -> None:
    ended = threading.Event()

    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
        while not ended.wait(0.02):
            connected.sendall(b"x")

    with serving(script) as server:
        client = Client(Server.at(f"http://{LOCALHOST}:{server.port}", None, 0.2, 0.8))
        with pytest.raises(Unanswered):
            ask(client)
        ended.set()


# --- the deadline itself ---


def test_a_step_waits_no_longer_than_what_is_left() -> None:
    time = Time()
    deadline = Deadline(10.0, time.monotonic)
    assert deadline.within(4.0) == 4.0
    time.now += 8.0
    assert deadline.within(4.0) == pytest.approx(2.0)
    deadline.extend(5.0)
    assert deadline.within(4.0) == 4.0
    time.now += 7.0
    with pytest.raises(TimeoutError):
        deadline.within(4.0)
