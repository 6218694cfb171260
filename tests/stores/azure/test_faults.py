"""What goes wrong between the store and Azure is told for what it is, and ends right."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient

from artifactd.artifact import Key
from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unavailable
from artifactd.stores.objects.store import ObjectStore
from tests.servers.azure import AzureServer
from tests.servers.faults import (
    Answer,
    Blackhole,
    Fault,
    Flip,
    LoseAnswer,
    Refuse,
    Reset,
    Seen,
    Truncate,
    What,
    of,
)
from tests.servers.proxy import Proxy
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import a_put, digest, only, outcome, pattern, put_file, receipt

READ_SECONDS = 0.5
SMALL, LARGE = b"content", pattern(3 * BLOCK)


@dataclass
class Rig:
    """A store that reaches its server through a proxy which makes faults."""

    proxy: Proxy
    store: ObjectStore
    blob: BlobClient

    def fault(self, what: What, *operations: str, times: float = 1) -> None:
        self.proxy.faults.append(Fault(what, of(*operations), times))

    def content(self) -> bytes:
        return self.blob.download_blob().readall()


@pytest.fixture
def rig(azurite: AzureServer) -> Iterator[Rig]:
    place = azurite.destination()
    with Proxy(azurite.url) as proxy, azurite.client() as client:
        container = a_container(azurite, place, url=proxy.url, read_seconds=READ_SECONDS)
        with closing(a_store(azurite, place, container, block=BLOCK)) as store:
            yield Rig(proxy, store, client.get_blob_client(place[0], f"{place[1]}k"))


# --- lost ---


def test_a_lost_answer_is_a_success_without_a_second_write(rig: Rig) -> None:
    rig.fault(LoseAnswer(), "PutBlob")
    got = receipt(rig.store.put([a_put("k", SMALL)]))
    assert got.written
    assert rig.proxy.operations() == ["PutBlob", "HeadBlob"]
    assert rig.blob.get_blob_properties().etag == got.version


def test_a_lost_answer_on_a_connection_in_use_is_a_success_without_a_second_write(rig: Rig) -> None:
    """The request goes again, and its own condition refuses it."""
    rig.store.put([a_put("before", SMALL)])
    rig.proxy.seen.clear()
    rig.fault(LoseAnswer(), "PutBlob")
    got = receipt(rig.store.put([a_put("k", SMALL)]))
    assert got.written
    assert rig.proxy.operations() == ["PutBlob", "PutBlob", "HeadBlob"]
    assert rig.blob.get_blob_properties().etag == got.version


def test_a_lost_replacement_is_a_success(rig: Rig) -> None:
    rig.store.put([a_put("k", b"old")])
    rig.fault(LoseAnswer(), "PutBlob")
    assert receipt(rig.store.put([a_put("k", SMALL, b"old")])).written
    assert rig.content() == SMALL


@pytest.mark.parametrize("after", [0, 3])
def test_a_connection_that_is_cut_may_pass_and_leaves_nothing(rig: Rig, after: int) -> None:
    rig.fault(Reset(after), "PutBlob")
    assert isinstance(only(rig.store.put([a_put("k", SMALL)])), Unavailable)
    assert not rig.blob.exists()
    assert receipt(rig.store.put([a_put("k", SMALL)])).written


def test_only_a_block_that_is_cut_off_is_sent_again(rig: Rig, tmp_path: Path) -> None:
    rig.fault(Reset(1000), "PutBlock")
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", LARGE, file.fileno())
        assert receipt(rig.store.put([put])).written
    assert rig.proxy.operations().count("PutBlock") == 4
    assert rig.content() == LARGE


def test_a_server_that_is_silent_is_unavailable_when_the_time_is_over(rig: Rig) -> None:
    rig.fault(Blackhole(), "PutBlob")
    started = time.monotonic()
    assert isinstance(only(rig.store.put([a_put("k", SMALL)])), Unavailable)
    assert time.monotonic() - started >= READ_SECONDS
    assert receipt(rig.store.put([a_put("k", SMALL)])).written


def test_a_server_that_is_silent_to_a_look_is_unavailable(rig: Rig) -> None:
    rig.fault(Blackhole(), "HeadBlob", times=math.inf)
    with pytest.raises(Unavailable):
        rig.store.stat(Key("k"))


def test_a_server_that_is_down_is_unavailable_and_one_put_finds_out(rig: Rig) -> None:
    with rig.proxy.down():
        results = rig.store.put([a_put(f"k{n}", SMALL) for n in range(20)])
        assert {outcome(result) for result in results} == {"Unavailable"}
        with pytest.raises(Unavailable):
            rig.store.stat(Key("k"))
    assert receipt(rig.store.put([a_put("k", SMALL)])).written


def test_connections_that_are_refused_are_unavailable(rig: Rig) -> None:
    rig.proxy.faults.append(Fault(Refuse(), times=math.inf))
    assert isinstance(only(rig.store.put([a_put("k", SMALL)])), Unavailable)
    rig.proxy.faults.clear()
    assert receipt(rig.store.put([a_put("k", SMALL)])).written


@pytest.mark.parametrize("answer", [Answer(200), Answer(201), Answer(200, b"<html>", {"etag": '"1"'})])
def test_a_success_that_is_none_of_azures_is_not_believed(rig: Rig, answer: Answer) -> None:
    rig.fault(answer, "PutBlob")
    assert isinstance(only(rig.store.put([a_put("k", SMALL)])), Unavailable)
    rig.fault(Answer(200), "HeadBlob")
    with pytest.raises(Unavailable, match="none of Azure's"):
        rig.store.stat(Key("k"))
    assert receipt(rig.store.put([a_put("k", SMALL)])).written


# --- other bytes ---


def test_bytes_that_changed_on_their_way_are_refused_and_then_arrive(rig: Rig) -> None:
    rig.fault(Flip(3), "PutBlob")
    assert isinstance(only(rig.store.put([a_put("k", SMALL)])), Corrupt)
    assert not rig.blob.exists()
    assert receipt(rig.store.put([a_put("k", SMALL)])).written
    assert rig.content() == SMALL


def test_a_block_that_changed_on_its_way_is_refused_and_then_arrives(rig: Rig, tmp_path: Path) -> None:
    rig.fault(Flip(BLOCK // 2), "PutBlock")
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", LARGE, file.fileno())
        assert isinstance(only(rig.store.put([put])), Corrupt)
        assert not rig.blob.exists()
        assert receipt(rig.store.put([put])).written
    assert rig.content() == LARGE


def test_a_file_that_changed_since_it_was_hashed_is_not_sent(rig: Rig, tmp_path: Path) -> None:
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", SMALL, file.fileno())
        (tmp_path / "source").write_bytes(SMALL[::-1])
        assert isinstance(only(rig.store.put([put])), Corrupt)
    assert rig.proxy.seen == []


def test_an_answer_that_ends_early_is_no_digest(rig: Rig) -> None:
    rig.store.put([a_put("k", SMALL)])
    rig.fault(Truncate(3), "GetBlob", times=math.inf)
    with pytest.raises(StoreError) as told:
        rig.store.digest(Key("k"))
    assert not isinstance(told.value, Refusal)
    rig.proxy.faults.clear()
    assert rig.store.digest(Key("k")) == digest(SMALL)


def test_a_server_that_takes_copies_and_keeps_nothing_is_out(rig: Rig) -> None:
    rig.fault(Answer(201, headers={"etag": '"0x8DE"'}), "PutBlob", times=math.inf)
    result = only(rig.store.put([a_put("k", SMALL)]))
    assert isinstance(result, Denied)
    assert "said that it took this copy, and does not have it" in str(result)


def test_a_list_of_blocks_that_is_damaged_on_its_way_may_be_sent_again(rig: Rig, tmp_path: Path) -> None:
    """Azurite looks at no checksum of it, and cannot read it."""
    rig.proxy.checking = False
    rig.fault(Flip(), "PutBlockList")
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", LARGE, file.fileno())
        assert isinstance(only(rig.store.put([put])), Corrupt)
        assert receipt(rig.store.put([put])).written
    assert rig.content() == LARGE


# --- busy ---


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "ServerBusy"), (500, "InternalError"), (500, "OperationTimedOut"), (429, "TooManyRequests")],
)
def test_a_busy_server_is_asked_again_after_its_pause(rig: Rig, status: int, code: str) -> None:
    rig.fault(Answer.azure(status, code, retry_after="1"), "PutBlob")
    started = time.monotonic()
    assert receipt(rig.store.put([a_put("k", SMALL)])).written
    assert time.monotonic() - started >= 0.5
    assert rig.proxy.operations() == ["PutBlob", "PutBlob", "HeadBlob"]


def test_a_long_pause_is_left_to_who_puts(rig: Rig) -> None:
    rig.fault(Answer.azure(503, "ServerBusy", retry_after="60"), "PutBlob", times=math.inf)
    results = rig.store.put([a_put(f"k{n}", SMALL) for n in range(20)])
    assert {outcome(result) for result in results} == {"Unavailable"}
    assert {result.retry_after for result in results if isinstance(result, Unavailable)} == {60.0}
    assert len(rig.proxy.seen) <= 4


def test_a_look_goes_on_after_a_server_was_busy(rig: Rig) -> None:
    rig.store.put([a_put("k", SMALL)])
    rig.fault(Answer.azure(503, "ServerBusy"), "HeadBlob")
    assert rig.store.stat(Key("k")) is not None


def test_a_read_goes_on_after_a_server_was_busy_and_misses_nothing(rig: Rig) -> None:
    content = pattern((16 << 20) + 1)
    rig.blob.upload_blob(content)
    for number in (1, 3):
        rig.proxy.faults.append(Fault(Answer.azure(503, "ServerBusy"), nth(rig.proxy, number)))
    assert rig.store.digest(Key("k")) == digest(content)
    assert rig.proxy.operations() == ["GetBlob"] * 5


def nth(proxy: Proxy, number: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.operation == "GetBlob" and proxy.operations().count("GetBlob") == number


def test_a_list_goes_on_after_a_server_was_busy(rig: Rig) -> None:
    rig.store.put([a_put("k", SMALL)])
    rig.fault(Answer.azure(503, "ServerBusy"), "ListBlobs")
    assert list(rig.store.keys()) == [Key("k")]


NO_LISTS = (b"", b"<html>Welcome to the hotel</html>", b"<Error/>", b"<EnumerationResults/>")


@pytest.mark.parametrize("answer", NO_LISTS)
@pytest.mark.parametrize("kind", ["application/xml", "text/html"])
def test_an_answer_that_is_no_list_is_no_empty_list(rig: Rig, answer: bytes, kind: str) -> None:
    rig.fault(Answer(200, answer, {"content-type": kind}), "ListBlobs")
    with pytest.raises(Unavailable, match="none of Azure's"):
        list(rig.store.keys())


def test_a_list_that_goes_on_without_progress_ends(rig: Rig) -> None:
    page = b'<EnumerationResults ServiceEndpoint="s" ContainerName="c"><Blobs/><NextMarker>m</NextMarker>'
    answer = Answer(200, page + b"</EnumerationResults>", {"content-type": "application/xml"})
    rig.fault(answer, "ListBlobs", times=math.inf)
    with pytest.raises(Unavailable, match="goes on"):
        list(rig.store.keys())
    assert rig.proxy.operations() == ["ListBlobs"] * 2


@pytest.mark.parametrize("status", [301, 307])
def test_nobody_is_followed_elsewhere(rig: Rig, status: int) -> None:
    elsewhere = Answer(status, headers={"location": rig.proxy.url + "/elsewhere/k"})
    rig.fault(elsewhere, "PutBlob", "HeadBlob", times=math.inf)
    assert outcome(only(rig.store.put([a_put("k", SMALL)]))) == "Denied"
    with pytest.raises(Refusal):
        rig.store.stat(Key("k"))
    assert len(rig.proxy.seen) == 2
