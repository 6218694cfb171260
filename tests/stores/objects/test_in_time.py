"""What others' code asks is over in its time, though nothing can interrupt it."""

import socket
import threading
from collections.abc import Callable

import pytest

from artifactd.artifact import Key
from artifactd.clock import SYSTEM
from artifactd.config.destinations.azure import AzureAccess, AzureTable
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.azure.container import Container
from artifactd.stores.base import StoreError, Unavailable
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.objects.in_time import InTime
from artifactd.stores.objects.server import Objects
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.s3.bucket import Bucket
from tests.servers.ports import LOCALHOST
from tests.support.harness import a_put, only
from tests.support.scripted import PATIENCE, Script, request, serving


def test_what_is_returned_or_raised_comes_through() -> None:
    in_time = InTime("there", PATIENCE)
    assert in_time(lambda: "said", 0, "k") == "said"
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 0, "k")


@pytest.mark.parametrize("lost", [Unavailable, Unanswered])
def test_what_takes_too_long_is_given_up(lost: type[StoreError]) -> None:
    ended = threading.Event()
    in_time = InTime("there", 0.05, least_rate=100.0)
    with pytest.raises(lost, match=r"k: there took more than 0\.15 seconds in all") as raised:
        in_time(lambda: ended.wait(PATIENCE), 10, "k", lost)
    assert type(raised.value) is lost
    ended.set()


def test_no_more_than_some_are_left_hanging_and_none_for_ever() -> None:
    ended, over = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        ended.wait(PATIENCE)
        over.release()

    in_time = InTime("there", 0.01)
    for _ in range(16):
        with pytest.raises(Unavailable, match="in all"):
            in_time(hang, 0, "k")
    with pytest.raises(Unavailable, match="has not answered 16 requests yet"):
        in_time(hang, 0, "k")
    ended.set()
    for _ in range(16):
        assert over.acquire(timeout=PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "ask-there":
            thread.join(PATIENCE)
    assert in_time(lambda: "well again", 100 << 10, "k") == "well again"


# --- the stores ---


def a_bucket(port: int) -> Objects:
    endpoint = S3Endpoint(
        "bucket",
        "us-east-1",
        f"http://{LOCALHOST}:{port}",
        AddressingStyle.PATH,
        connect_seconds=0.5,
        read_seconds=0.5,
    )
    return Bucket(endpoint, S3Access("key", "secret"), S3Table(), SYSTEM, least_rate=1 << 30)


def a_container(port: int) -> Objects:
    access = AzureAccess("account", key="a2V5", url=f"http://{LOCALHOST}:{port}/account")
    table = AzureTable(container="container", connect_timeout_seconds=0.5, read_timeout_seconds=0.5)
    return Container(access, table, SYSTEM, least_rate=1 << 30)


HEADS = {
    "a header": b"HTTP/1.1 200 OK\r\nx-long: ",
    "a body": b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 900000\r\n'
    b"Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Range: bytes 0-899999/900000\r\n\r\n",
}


def put(store: ObjectStore) -> None:
    result = only(store.put([a_put("k", b"k")]))
    assert isinstance(result, StoreError)
    raise result


ASKED: dict[str, Callable[[ObjectStore], object]] = {
    "put": put,
    "stat": lambda store: store.stat(Key("k")),
    "digest": lambda store: store.digest(Key("k")),
    "keys": lambda store: list(store.keys()),
}


def dripping(start: bytes, ended: threading.Event) -> Script:
    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(start)
        while not ended.wait(0.02):
            connected.sendall(b"x")

    return script


@pytest.mark.filterwarnings(  # an answer that was given up is closed when it ends, or with the process
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("what", "start"),
    [
        *((what, "a header") for what in ("put", "stat", "digest", "keys")),
        *((what, "a body") for what in ("digest", "keys")),  # HEAD has none
    ],
)
@pytest.mark.parametrize("open_", [a_bucket, a_container], ids=["s3", "azure"])
def test_a_server_that_drips_is_unavailable(open_: Callable[[int], Objects], what: str, start: str) -> None:
    ended = threading.Event()
    with serving(dripping(HEADS[start], ended)) as server:
        store = ObjectStore(
            "store", open_(server.port), prefix="", part_size=5 << 20, connections=2,
            abandon_after=60.0, upload_log=InMemory(), clock=SYSTEM,
        )  # fmt: skip
        try:
            with pytest.raises(Unavailable, match="in all"):
                ASKED[what](store)
        finally:
            ended.set()
            store.close()
