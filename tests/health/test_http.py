"""The small HTTP server: what it answers, and that nobody can hold it up."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.config.listen import Tcp, Unix
from artifactd.health.http import AT_ONCE, CLIENT_SECONDS, LONGEST_HEAD, Listener, Page, Unbound, answer
from tests.servers.ports import free_ports
from tests.support.probes import connect, get, say
from tests.support.process import until

LARGE = b"x" * (4 << 20)
"""More than two sockets hold."""


def pages(path: str) -> Page | None:
    match path:
        case "/page":
            return Page(HTTPStatus.OK, b"hello\n")
        case "/ill":
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, b"{}", "application/json")
        case "/large":
            return Page(HTTPStatus.OK, LARGE)
        case "/broken":
            raise RuntimeError("a mistake")
        case _:
            return None


@pytest.fixture(params=["127.0.0.1", "::1", "unix"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a listener, of each kind."""
    host: str = request.param
    (port,) = free_ports(1)
    address = Unix(tmp_path / "health.sock") if host == "unix" else Tcp(ip_address(host), port)
    with closing(Listener(address, pages, time.monotonic)):
        yield str(address)


@pytest.fixture
def tcp() -> Iterator[str]:
    (port,) = free_ports(1)
    with closing(Listener(Tcp(ip_address("127.0.0.1"), port), pages, time.monotonic)):
        yield f"127.0.0.1:{port}"


# --- what is answered ---


def test_a_page_comes_with_its_status_type_and_length(where: str) -> None:
    found = get(where, "/page")
    assert (found.status, found.body) == (200, b"hello\n")
    assert found.headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "6",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    assert get(where, "/ill").status == 503
    assert get(where, "/page?verbose=1").body == b"hello\n"


def test_head_gives_what_get_gives_without_the_body(where: str) -> None:
    assert get(where, "/page", "HEAD").headers == get(where, "/page").headers
    assert say(where, b"HEAD /page HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_a_large_page_comes_whole(where: str) -> None:
    assert get(where, "/large").body == LARGE


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /../page HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /page HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"405 Method Not Allowed"),
        (b"GET /page\r\n\r\n", b"400 Bad Request"),
        (b"GET http://other/page HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /page HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400 Bad Request"),
        (b"\r\n\r\n", b"400 Bad Request"),
        (b"GET /broken HTTP/1.1\r\n\r\n", b"500 Internal Server Error"),
        (b"GET /page HTTP/1.1\r\nX: " + b"x" * LONGEST_HEAD, b"431 Request Header Fields Too Large"),
        (b"x" * LONGEST_HEAD, b"431 Request Header Fields Too Large"),
        (b"GET /page HTTP/1.0\r\n\r\nGET /ill HTTP/1.0\r\n\r\n", b"200 OK"),
    ],
)
def test_whatever_is_said_one_answer_comes(tcp: str, said: bytes, status: bytes) -> None:
    answered = say(tcp, said)
    assert answered.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answered.count(b"HTTP/1.1 ") == 1
    assert get(tcp, "/page").status == 200, "it lives"


@given(st.binary(max_size=200))
def test_no_request_raises(said: bytes) -> None:
    assert answer(said, pages, lambda _host: True).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Host: own.example:1", b"200 OK"),
        (b"Host: other.example", b"421 Misdirected Request"),
        (b"HOST:other.example", b"421 Misdirected Request"),
        (b"Host: own.example\r\nHost: other.example", b"421 Misdirected Request"),
        (b"X-Host: other.example", b"200 OK"),
    ],
)
def test_who_asks_by_another_name_is_refused_but_at_a_socket_of_the_file_system(
    lines: bytes, status: bytes, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    unix = Unix(tmp_path / "health.sock")
    request = b"GET /page HTTP/1.1\r\n" + lines + b"\r\n\r\n"
    for address, expected in ((Tcp(ip_address("127.0.0.1"), port), status), (unix, b"200 OK")):
        with closing(Listener(address, pages, time.monotonic, lambda host: host.startswith("own."))):
            assert say(str(address), request).startswith(b"HTTP/1.1 " + expected)


def test_who_says_all_at_once_and_closes_that_way_is_still_answered(where: str) -> None:
    with connect(where) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read().endswith(LARGE)


def test_a_request_that_comes_in_pieces_is_understood(where: str) -> None:
    with connect(where) as client:
        for piece in (b"GE", b"T /page HT", b"TP/1.1\r\nHost: x\r", b"\n\r", b"\n"):
            client.sendall(piece)
            time.sleep(0.01)
        assert client.makefile("rb").read().endswith(b"hello\n")


# --- who holds nobody up ---


def test_silent_clients_and_such_as_take_nothing_hold_up_nobody(where: str) -> None:
    with ExitStack() as held:
        for said in (b"", b"GET /pa", b"GET /large HTTP/1.1\r\n\r\n", b"\x00" * 100) * 4:
            client = held.enter_context(connect(where))
            client.sendall(said)
        began = time.monotonic()
        for _ in range(20):
            assert get(where, "/page").status == 200
        assert time.monotonic() - began < CLIENT_SECONDS / 2


def test_more_clients_than_there_is_room_for_push_out_the_oldest_and_not_the_next(tcp: str) -> None:
    with ExitStack() as held:
        clients = [held.enter_context(connect(tcp)) for _ in range(3 * AT_ONCE)]
        assert get(tcp, "/page").status == 200
        clients[0].settimeout(CLIENT_SECONDS / 2)
        assert clients[0].recv(1) == b"", "the oldest was sent away, before its time"
        clients[-1].sendall(b"GET /page HTTP/1.1\r\n\r\n")
        assert clients[-1].makefile("rb").read().endswith(b"hello\n")


def test_a_client_that_drips_is_sent_away_after_its_time(tcp: str) -> None:
    began = time.monotonic()
    with connect(tcp) as client:
        client.settimeout(0.2)
        gone = False
        while not gone:
            try:
                client.sendall(b"x")
                gone = client.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                gone = True
    assert time.monotonic() - began >= CLIENT_SECONDS - 0.5


def test_in_a_crowd_that_comes_and_goes_nobody_waits_for_a_second(tcp: str) -> None:
    waits = []
    for _ in range(400):
        began = time.monotonic()
        with connect(tcp):
            waits.append(time.monotonic() - began)
    assert max(waits) < 0.9


def test_clients_that_come_and_go_leave_nothing_open(tcp: str) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    get(tcp, "/page")
    before = descriptors()
    for number in range(200):
        with connect(tcp) as client:
            client.sendall(b"GET /page HTTP/1.1\r\n\r\n"[: number % 24])
    until(lambda: descriptors() <= before + 1, "the last of them is let go")


# --- where it listens ---


def test_an_address_in_use_is_told(tcp: str) -> None:
    with pytest.raises(Unbound, match=f"cannot listen at {tcp}: Address already in use"):
        Listener(Tcp(ip_address("127.0.0.1"), int(tcp.rpartition(":")[2])), pages, time.monotonic)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(Unbound, match=r"cannot listen at 192\.0\.2\.1:9817: Cannot assign"):
        Listener(Tcp(ip_address("192.0.2.1"), 9817), pages, time.monotonic)


def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "health.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with closing(Listener(Unix(path), pages, time.monotonic)):
        assert get(f"unix:{path}", "/page").status == 200
        assert path.stat().st_mode & 0o777 == 0o666
    assert not path.exists()


def test_a_socket_where_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "health.sock"
    with closing(Listener(Unix(path), pages, time.monotonic)):
        with pytest.raises(Unbound, match="Address already in use"):
            Listener(Unix(path), pages, time.monotonic)
        assert get(f"unix:{path}", "/page").status == 200


@pytest.mark.parametrize(
    "make", [Path.touch, Path.mkdir, lambda path: path.symlink_to(path.with_name("elsewhere"))]
)
def test_what_is_no_socket_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "health.sock"
    make(path)
    before = path.lstat()
    with pytest.raises(Unbound, match="cannot listen at unix:"):
        Listener(Unix(path), pages, time.monotonic)
    assert path.lstat() == before


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unbound, match="No such file or directory"):
        Listener(Unix(tmp_path / "missing" / "health.sock"), pages, time.monotonic)


def test_after_close_nobody_is_answered_and_its_thread_is_gone() -> None:
    (port,) = free_ports(1)
    listener = Listener(Tcp(ip_address("127.0.0.1"), port), pages, time.monotonic)
    silent = connect(f"127.0.0.1:{port}")
    listener.close()
    assert silent.recv(1) == b""
    silent.close()
    assert "health" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        get(f"127.0.0.1:{port}", "/page")
