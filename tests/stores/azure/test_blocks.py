"""Large copies go to Azure in blocks, which belong to one attempt and are never sent twice."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import pytest
from azure.storage.blob import BlobBlock, BlobClient
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.azure.container import block_id
from artifactd.stores.base import Put, Receipt, Refusal, Result, Unavailable
from artifactd.stores.objects.sending import in_parts
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory
from tests.servers.azure import AzureServer
from tests.servers.faults import Answer, Fault, LoseAnswer, Seen, of
from tests.servers.proxy import Proxy
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import digest, only, outcome, pattern, put_file, receipt

BLOCKS: Final = 24
CONTENT: Final = pattern(BLOCKS * BLOCK - 5)
OTHER: Final = CONTENT[::-1]
THEIRS: Final = f"{'0' * 32}-000001"
"""A block's name as ours are, before base64."""


@dataclass
class Rig:
    """One large blob, and stores that reach it through a proxy."""

    server: AzureServer
    proxy: Proxy
    folder: Path
    place: tuple[str, str]
    upload_log: InMemory = field(default_factory=InMemory)

    @contextmanager
    def store(self, upload_log: InMemory | None = None) -> Iterator[ObjectStore]:
        container = a_container(self.server, self.place, url=self.proxy.url)
        upload_log = upload_log or self.upload_log
        with closing(
            a_store(self.server, self.place, container, upload_log=upload_log, block=BLOCK)
        ) as store:
            yield store

    @contextmanager
    def put_of(self, content: bytes = CONTENT) -> Iterator[Put]:
        with NamedTemporaryFile(dir=self.folder) as file:
            yield put_file("large.zip", Path(file.name), content, file.fileno())

    def put(self, content: bytes = CONTENT, upload_log: InMemory | None = None) -> Result:
        """As a daemon that was just started."""
        with self.store(upload_log) as store, self.put_of(content) as put:
            return only(store.put([put]))

    @property
    def blob(self) -> BlobClient:
        return self.server.client().get_blob_client(self.place[0], f"{self.place[1]}large.zip")

    def counted(self) -> Counter[str]:
        counted = Counter(self.proxy.operations())
        self.proxy.seen.clear()
        return counted


@pytest.fixture
def rig(azurite: AzureServer, tmp_path: Path) -> Iterator[Rig]:
    with Proxy(azurite.url, checking=True) as proxy:
        yield Rig(azurite, proxy, tmp_path, azurite.destination())


def after(count: int, operation: str, proxy: Proxy) -> Fault:
    """The server is busy for each such request but the first `count`."""

    def when(seen: Seen) -> bool:
        return seen.operation == operation and proxy.operations().count(operation) > count

    return Fault(Answer.azure(503, "ServerBusy", retry_after="60"), when, times=BLOCKS)


def test_a_copy_of_many_blocks_arrives_whole(rig: Rig) -> None:
    got = rig.put()
    assert isinstance(got, Receipt)
    assert got.written
    assert rig.counted()["PutBlock"] == BLOCKS
    assert rig.blob.download_blob().readall() == CONTENT
    assert rig.upload_log.unfinished("azure") == []


def test_what_was_cut_short_goes_on_where_it_was(rig: Rig) -> None:
    rig.proxy.faults.append(after(10, "PutBlock", rig.proxy))
    assert isinstance(rig.put(), Unavailable)
    (known,) = rig.upload_log.unfinished("azure")
    assert len(known.parts) == 10
    rig.counted()
    rig.proxy.faults.clear()
    got = rig.put()
    assert isinstance(got, Receipt)
    assert rig.counted() == {"HeadBlob": 2, "PutBlock": BLOCKS - 10, "PutBlockList": 1}
    assert rig.blob.download_blob().readall() == CONTENT


def test_a_lost_list_is_sent_again_without_the_blocks(rig: Rig) -> None:
    rig.proxy.faults.append(after(0, "PutBlockList", rig.proxy))
    assert isinstance(rig.put(), Unavailable)
    assert rig.counted()["PutBlock"] == BLOCKS
    rig.proxy.faults.clear()
    assert isinstance(rig.put(), Receipt)
    assert rig.counted() == {"HeadBlob": 2, "PutBlockList": 1}


def test_a_lost_answer_to_the_list_is_a_success_without_a_second_write(rig: Rig) -> None:
    rig.proxy.faults.append(Fault(LoseAnswer(), of("PutBlockList")))
    got = rig.put()
    assert isinstance(got, Receipt)
    assert got.written
    assert got.version == rig.blob.get_blob_properties().etag
    assert rig.upload_log.unfinished("azure") == []


def test_blocks_that_azure_dropped_are_sent_again(rig: Rig) -> None:
    rig.proxy.faults.append(after(0, "PutBlockList", rig.proxy))
    assert isinstance(rig.put(), Unavailable)
    rig.blob.stage_block(THEIRS, b"somebody else's")
    rig.blob.commit_block_list([BlobBlock(THEIRS)])  # which drops all that is not in the list
    rig.blob.delete_blob()
    rig.counted()
    rig.proxy.faults.clear()
    got = rig.put()
    assert isinstance(got, Receipt)
    assert rig.counted()["PutBlock"] == BLOCKS
    assert rig.blob.download_blob().readall() == CONTENT


def test_blocks_of_somebody_else_stay_out(rig: Rig) -> None:
    """Uncommitted blocks of a blob are shared by all who write it; ours have names of their own."""
    rig.blob.stage_block(THEIRS, b"somebody else's")
    assert isinstance(rig.put(), Receipt)
    assert rig.blob.download_blob().readall() == CONTENT


def test_blocks_of_another_program_that_are_in_the_way_are_told(rig: Rig) -> None:
    """All names of a blob's blocks have to have one length."""
    rig.blob.stage_block("1", b"another program's")
    got = rig.put()
    assert isinstance(got, Refusal)
    assert "unfinished blocks of another program" in str(got)


def test_what_somebody_else_put_meanwhile_stays(rig: Rig) -> None:
    rig.proxy.faults.append(after(0, "PutBlockList", rig.proxy))
    assert isinstance(rig.put(), Unavailable)
    rig.proxy.faults.clear()
    rig.blob.upload_blob(b"somebody else's", overwrite=True)
    got = rig.put()
    assert isinstance(got, Refusal)
    assert outcome(got) == "Conflict"
    assert rig.blob.download_blob().readall() == b"somebody else's"
    assert rig.upload_log.unfinished("azure") == []


def test_what_is_given_up_leaves_no_request_behind(rig: Rig) -> None:
    rig.proxy.faults.append(after(3, "PutBlock", rig.proxy))
    rig.put()
    rig.proxy.faults.clear()
    rig.counted()
    rig.blob.stage_block(THEIRS, b"somebody else's")
    rig.blob.commit_block_list([BlobBlock(THEIRS)])
    assert outcome(rig.put()) == "Conflict"
    assert rig.counted() == {"HeadBlob": 1}


@pytest.mark.parametrize("second", [CONTENT, OTHER], ids=["the same bytes", "other bytes"])
def test_of_two_that_write_a_large_copy_at_once_one_wins(rig: Rig, second: bytes) -> None:
    barrier = threading.Barrier(2)

    def put(content: bytes) -> Result:
        with rig.store(InMemory()) as store, rig.put_of(content) as one:
            barrier.wait(timeout=30)
            return only(store.put([one]))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(put, [CONTENT, second]))
    assert sorted(map(outcome, results)) == ["Conflict" if second == OTHER else "there", "written"]
    winner = CONTENT if outcome(results[0]) == "written" else second
    assert rig.blob.download_blob().readall() == winner


def test_a_block_that_changed_since_it_was_hashed_is_not_sent(rig: Rig) -> None:
    with rig.store() as store, rig.put_of() as put:
        parts = in_parts(put, BLOCK)
        os.pwrite(put.source.fd, b"changed", 7 * BLOCK)
        got = only(store.put([replace(put, source=replace(put.source, parts=parts))]))
    assert outcome(got) == "Corrupt"
    assert "part 8" in str(got)
    assert not rig.blob.exists()


def test_a_replacement_of_a_large_copy_is_conditional(rig: Rig) -> None:
    rig.put()
    with rig.store() as store, rig.put_of(OTHER) as put:
        ours = Put(put.key, put.source, put.digest, (digest(CONTENT),))
        assert receipt(store.put([ours])).written
    (_, last) = [seen for seen in rig.proxy.seen if seen.operation == "PutBlockList"]
    assert "if-match" in last.headers
    assert rig.blob.download_blob().readall() == OTHER


@given(number=st.integers(1, 50_000), another=st.integers(1, 50_000))
def test_names_of_blocks_have_one_length_and_differ(number: int, another: int) -> None:
    one, two = block_id("0" * 32, number), block_id("0" * 32, another)
    assert len(one) == len(two)
    assert (one == two) == (number == another)
    assert block_id("1" * 32, number) != one
    assert len(one) <= 88  # 64 bytes before base64 ("Put Block")
