"""Servers that are busy: their wish is heeded, the repeats are bounded, and a store that ends ends pauses."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.stores.base import Result, Unavailable
from tests.servers.faults import Answer
from tests.servers.s3 import S3Server
from tests.support.buckets import PART
from tests.support.harness import a_put, only, pattern, put_file, receipt
from tests.support.process import until
from tests.support.through import Through, through

LARGE = PART + 1
TRIES = 4


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


@pytest.fixture
def large(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "source").write_bytes(pattern(LARGE))
    with (tmp_path / "source").open("rb") as file:
        yield file.fileno()


@pytest.mark.parametrize(
    "answer",
    [
        Answer.s3(503, "SlowDown"),
        Answer.s3(503, "SlowDown", retry_after="1"),
        Answer(429, headers={"retry-after": "1"}),
        Answer.s3(500, "InternalError"),
        Answer(502, b"<html>Bad Gateway</html>"),
    ],
    ids=["SlowDown", "SlowDown, 1 s", "429", "500", "502"],
)
def test_a_busy_server_is_waited_for_inside_the_put(weed: Through, answer: Answer) -> None:
    store = weed.store()
    weed.spoil(answer, "PutObject")
    assert receipt(store.put([a_put("k", b"new")])).written
    assert weed.operations == ["PutObject"] * 2


@pytest.mark.parametrize(
    "operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject"]
)
def test_each_step_of_a_large_put_waits_for_a_busy_server(
    weed: Through, tmp_path: Path, operation: str
) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(503, "SlowDown"), operation)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        assert receipt(store.put([put])).written
    assert len(weed.seen(operation)) == (3 if operation == "UploadPart" else 2)


def test_the_repeats_of_a_small_put_are_bounded(weed: Through) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(503, "SlowDown"), "PutObject", times=math.inf)
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Unavailable)
    assert result.retry_after > 0
    assert weed.operations == ["PutObject"] * TRIES


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_the_repeats_of_a_large_put_are_not_multiplied(weed: Through, tmp_path: Path, operation: str) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(503, "SlowDown"), operation, times=math.inf)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        assert isinstance(only(store.put([put])), Unavailable)
    parts = 2 if operation == "UploadPart" else 1
    assert len(weed.seen(operation)) <= TRIES * parts


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload", "UploadPart"])
def test_a_long_pause_is_the_callers_and_nothing_is_sent_before(
    weed: Through, tmp_path: Path, operation: str
) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(503, "SlowDown", retry_after="120"), operation, times=math.inf)
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        put = a_put("k", b"new") if operation == "PutObject" else large
        result = only(store.put([put]))
    assert isinstance(result, Unavailable)
    assert result.retry_after == 120.0
    assert len(weed.seen(operation)) <= (2 if operation == "UploadPart" else 1)


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
def test_the_end_of_a_store_ends_its_pauses(
    weed: Through, large: int, tmp_path: Path, operation: str
) -> None:
    store, results = weed.store(), list[Result]()
    weed.spoil(Answer.s3(503, "SlowDown", retry_after="5"), operation, times=math.inf)
    put = put_file("k", tmp_path / "source", pattern(LARGE), large)
    put = a_put("k", b"new") if operation == "PutObject" else put
    thread = threading.Thread(target=lambda: results.extend(store.put([put])))
    thread.start()
    until(lambda: weed.seen(operation), "the first try")
    store.close()
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(only(results), Unavailable)
    assert len(weed.seen(operation)) == 1, "it was not tried again"


def test_reading_waits_for_a_busy_server_too(weed: Through) -> None:
    store = weed.store()
    put = a_put("k", b"new")
    receipt(store.put([put]))
    for operation in ("HeadObject", "GetObject", "ListObjectsV2"):
        weed.spoil(Answer.s3(503, "SlowDown"), operation)
    found = store.stat(put.key)
    assert found is not None
    assert found.digest == put.digest
    assert store.digest(put.key) == put.digest
    assert put.key in list(store.keys())
    assert [len(weed.seen(name)) for name in ("HeadObject", "GetObject", "ListObjectsV2")] == [2, 2, 2]
