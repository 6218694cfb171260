"""Each fault of the proxy does what it says, to the request that it is meant for, so often as it says."""

import math
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from azure.core.exceptions import HttpResponseError
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tests.servers.azure import AzureServer
from tests.servers.faults import (
    Answer,
    Blackhole,
    Delay,
    Fault,
    Flip,
    FlipAnswer,
    Hide,
    LoseAnswer,
    Refuse,
    Reset,
    Slow,
    Truncate,
    What,
    anything,
    of,
)
from tests.servers.ports import LOCALHOST
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.support.process import until

CONTENT = b"content"


@dataclass
class Rig:
    """One key, looked at through the proxy and past it."""

    server: S3Server
    proxy: Proxy
    at: dict[str, str]

    def __post_init__(self) -> None:
        self.through = self.server.client(url=self.proxy.url)
        self.past = self.server.client()

    def fault(self, what: What, *operations: str, times: float = 1) -> None:
        self.proxy.faults.append(Fault(what, of(*operations) if operations else anything, times))

    def put(self, content: bytes = CONTENT) -> None:
        self.through.put_object(**self.at, Body=content)

    def get(self) -> bytes:
        content: bytes = self.through.get_object(**self.at)["Body"].read()
        return content

    def there(self) -> bytes | None:
        """What the server holds."""
        try:
            content: bytes = self.past.get_object(**self.at)["Body"].read()
        except self.past.exceptions.NoSuchKey:
            return None
        return content


@pytest.fixture
def rig(seaweed: S3Server) -> Iterator[Rig]:
    bucket, prefix = seaweed.destination()
    with Proxy(seaweed.url) as proxy:
        yield Rig(seaweed, proxy, {"Bucket": bucket, "Key": f"{prefix}key"})
        assert proxy.faults == [], "a fault met no request"


def test_a_fault_meets_the_request_that_it_is_meant_for_so_often_as_it_says(rig: Rig) -> None:
    rig.fault(Answer.s3(503, "SlowDown"), "GetObject", times=2)
    rig.put()
    for _ in range(2):
        with pytest.raises(ClientError, match="SlowDown"):
            rig.get()
    assert rig.get() == CONTENT
    assert rig.proxy.operations() == ["PutObject", "GetObject", "GetObject", "GetObject"]


def test_a_fault_may_stay_until_it_is_taken_away(rig: Rig) -> None:
    rig.fault(Answer.s3(503, "SlowDown"), times=math.inf)
    for _ in range(5):
        with pytest.raises(ClientError, match="SlowDown"):
            rig.put()
    rig.proxy.faults.clear()
    rig.put()
    assert rig.there() == CONTENT


# --- connections ---


def test_refuse_resets_a_new_connection_before_any_request(rig: Rig) -> None:
    rig.fault(Refuse())
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        rig.put()
    assert rig.proxy.seen == []
    rig.put()
    assert rig.there() == CONTENT


@pytest.mark.parametrize("after", [0, 3, 7, 1000])
def test_reset_within_a_body_leaves_nothing(rig: Rig, after: int) -> None:
    rig.fault(Reset(after))
    with pytest.raises(ConnectionClosedError):
        rig.put(b"c" * 1000)
    assert rig.proxy.operations() == ["PutObject"]
    if after < 1000:
        assert rig.there() is None


def test_a_reset_is_a_reset_and_no_end(rig: Rig) -> None:
    rig.fault(Reset())
    with socket.create_connection((LOCALHOST, rig.proxy.port), 30) as client:
        client.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_lost_answer_was_given(rig: Rig) -> None:
    rig.fault(LoseAnswer())
    with pytest.raises(ConnectionClosedError):
        rig.put()
    assert rig.there() == CONTENT


def test_down_cuts_what_is_under_way(rig: Rig) -> None:
    hole = Blackhole()
    rig.fault(hole)
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(rig.put)
        until(lambda: rig.proxy.operations() == ["PutObject"], "the request is under way")
        with rig.proxy.down(), pytest.raises(ConnectionClosedError):
            putting.result(30)


# --- bodies ---


@pytest.mark.parametrize("after", [0, 3])
def test_truncate_ends_an_answer_before_its_end(rig: Rig, after: int) -> None:
    rig.put()
    rig.fault(Truncate(after), "GetObject")
    answer = rig.through.get_object(**rig.at)
    assert answer["ContentLength"] == len(CONTENT)
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        answer["Body"].read()
    assert rig.get() == CONTENT


def test_flip_changes_one_bit_of_what_is_sent(rig: Rig) -> None:
    rig.fault(Flip(2))
    rig.put()
    assert rig.there() == b"cootent"


def test_flip_answer_changes_one_bit_of_what_is_read(rig: Rig) -> None:
    rig.put()
    rig.fault(FlipAnswer(2), "GetObject")
    assert rig.get() == b"cootent"
    assert rig.get() == CONTENT


def test_slow_takes_its_time_both_ways(rig: Rig) -> None:
    rig.fault(Slow(rate=10_000), "PutObject", "GetObject", times=2)
    began = time.monotonic()
    rig.put(b"c" * 3000)
    halfway = time.monotonic()
    assert len(rig.get()) == 3000
    assert halfway - began > 0.29
    assert time.monotonic() - halfway > 0.29


# --- answers ---


def test_a_black_hole_says_nothing_until_it_is_released(rig: Rig) -> None:
    hole = Blackhole()
    rig.fault(hole)
    impatient = rig.server.client(url=rig.proxy.url, read_seconds=0.3)
    with pytest.raises(ReadTimeoutError):
        impatient.put_object(**rig.at, Body=CONTENT)
    assert rig.there() is None
    hole.released.set()


def test_delay_lets_the_server_hear_of_it_later(rig: Rig) -> None:
    rig.fault(Delay(0.3))
    began = time.monotonic()
    rig.put()
    assert time.monotonic() - began > 0.29
    assert rig.there() == CONTENT


def test_an_answer_takes_the_servers_place(rig: Rig) -> None:
    rig.fault(Answer.s3(429, "TooManyRequests", retry_after="7"))
    with pytest.raises(ClientError) as caught:
        rig.put()
    answer = caught.value.response
    assert answer["Error"]["Code"] == "TooManyRequests"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    assert rig.there() is None


def test_an_answer_of_azure_takes_the_servers_place(azurite: AzureServer) -> None:
    container, prefix = azurite.destination()
    with Proxy(azurite.url) as proxy:
        blob = azurite.client(url=proxy.url).get_blob_client(container, f"{prefix}blob")
        proxy.faults.append(Fault(Answer.azure(503, "ServerBusy"), of("PutBlob")))
        with pytest.raises(HttpResponseError) as caught:
            blob.upload_blob(CONTENT)
        assert caught.value.status_code == 503
        assert getattr(caught.value, "error_code", "") == "ServerBusy"
        assert not blob.exists()


def test_hide_says_403_in_place_of_404_and_else_nothing(rig: Rig) -> None:
    rig.fault(Hide(), "HeadObject", "GetObject", times=4)
    with pytest.raises(ClientError, match="403"):
        rig.through.head_object(**rig.at)
    with pytest.raises(ClientError, match="AccessDenied"):
        rig.get()
    rig.put()
    assert rig.get() == CONTENT
    rig.through.head_object(**rig.at)
