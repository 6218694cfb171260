"""Answers that never came: what was done is found out, and nothing is done twice."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.stores.base import Denied, Receipt, Refusal, StoreError, Unavailable
from tests.servers.faults import Answer, Blackhole, Fault, Hide, LoseAnswer, Reset, Truncate, of
from tests.servers.s3 import S3Server
from tests.support.buckets import PART
from tests.support.harness import a_put, digest, only, outcome, pattern, put_file, receipt
from tests.support.through import Through, through
from tests.support.upload_logs import Written

LARGE = PART + 1


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


@pytest.fixture
def upload_log(tmp_path: Path) -> Iterator[Written]:
    upload_log = Written(tmp_path / "upload_log")
    yield upload_log
    upload_log.close()


def cut_idle_connections(here: Through) -> None:
    with here.proxy.down():
        pass


# --- small copies ---


@pytest.mark.parametrize("connection", ["kept", "new"])
def test_a_put_whose_answer_is_lost_is_found_by_its_attempt(weed: Through, connection: str) -> None:
    store = weed.store()
    if connection == "new":
        cut_idle_connections(weed)
    weed.spoil(LoseAnswer(), "PutObject")
    got = receipt(store.put([a_put("k", b"new")]))
    assert (got.digest, got.written) == (digest(b"new"), True)
    assert got.version == weed.client.head_object(**weed.at("k"))["ETag"]
    assert weed.operations == ["PutObject"] * (2 if connection == "kept" else 1) + ["HeadObject"]
    attempts = {seen.headers["x-amz-meta-attempt"] for seen in weed.seen("PutObject")}
    assert attempts == {weed.client.head_object(**weed.at("k"))["Metadata"]["attempt"]}


def test_a_replacement_whose_answer_is_lost_is_found_by_its_attempt(weed: Through) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    cut_idle_connections(weed)
    weed.spoil(LoseAnswer(), "PutObject")
    got = receipt(store.put([replace(a_put("k", b"new", b"old"), version=version)]))
    assert got.written
    assert len(weed.seen("HeadObject")) == 1
    assert weed.content("k") == b"new"


def test_an_answer_that_is_lost_twice_is_the_next_puts_to_find(weed: Through) -> None:
    store = weed.store()
    cut_idle_connections(weed)
    weed.spoil(LoseAnswer(), "PutObject")
    weed.spoil(Reset(), "HeadObject")
    assert isinstance(only(store.put([a_put("k", b"new")])), Unavailable)
    before = weed.mark("k")
    assert receipt(store.put([a_put("k", b"new")])).written is False
    assert weed.mark("k") == before


def test_what_somebody_else_put_meanwhile_is_a_conflict(weed: Through) -> None:
    """Our own put was lost before it arrived, and theirs was not."""
    store = weed.store()
    weed.plant("k", b"theirs")
    cut_idle_connections(weed)
    weed.spoil(Reset(), "PutObject")
    assert outcome(only(store.put([a_put("k", b"ours")]))) == "Conflict"
    assert weed.content("k") == b"theirs"


@pytest.mark.parametrize("what", [Reset(3), Reset(0)])
def test_a_put_that_was_cut_on_its_way_may_be_put_again(weed: Through, what: Reset) -> None:
    store = weed.store()
    cut_idle_connections(weed)
    weed.spoil(what, "PutObject")
    assert isinstance(only(store.put([a_put("k", b"content")])), Unavailable)
    assert weed.content("k") is None
    assert receipt(store.put([a_put("k", b"content")])).written


def test_where_missing_keys_are_hidden_a_cut_put_is_no_lack_of_rights(weed: Through) -> None:
    """Amazon says 403 for a missing key to whoever may not list. That is no reason to stop the store."""
    store = weed.store()
    cut_idle_connections(weed)
    weed.spoil(Hide(), "HeadObject", times=math.inf)
    weed.spoil(Reset(2), "PutObject")
    result = only(store.put([a_put("k", b"content")]))
    assert isinstance(result, Unavailable)
    assert not isinstance(result, Denied)
    assert receipt(store.put([a_put("k", b"content")])).written


def test_a_taken_key_that_may_not_be_looked_at_concerns_itself_alone(weed: Through) -> None:
    store = weed.store()
    weed.plant("k1", b"foreign")
    weed.spoil(Answer(403), "HeadObject", times=math.inf)
    results = store.put([a_put("k1", b"new"), a_put("k2", b"new")])
    assert [outcome(result) for result in results] == ["Unseen", "written"]
    assert isinstance(results[0], Refusal)
    assert "let it read" in str(results[0])
    assert weed.content("k1") == b"foreign"


def test_an_answer_that_is_cut_is_looked_into(weed: Through) -> None:
    """Of a put that was refused: the body with the reason is missing."""
    store = weed.store()
    weed.plant("k", b"new")
    weed.spoil(Truncate(3), "PutObject")
    assert receipt(store.put([a_put("k", b"new")])).written is False


GARBAGE = (b"<html>Welcome to the hotel</html>", b"", b"\xff\x00")


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_success_that_is_none_of_s3s_is_not_believed(weed: Through, garbage: bytes) -> None:
    store = weed.store()
    weed.spoil(Answer(200, garbage), "PutObject")
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Unavailable)
    assert "none of S3's" in str(result)
    assert weed.content("k") is None


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_look_that_is_none_of_s3s_is_not_believed(weed: Through, garbage: bytes) -> None:
    store = weed.store()
    weed.plant("k", b"new")
    weed.spoil(Answer(200, garbage), "HeadObject")
    assert isinstance(only(store.put([a_put("k", b"new")])), Unavailable)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "CompleteMultipartUpload"])
def test_an_answer_that_is_no_answer_is_an_error_like_any_other(
    weed: Through, tmp_path: Path, operation: str, garbage: bytes
) -> None:
    store = weed.store()
    weed.spoil(Answer(200, garbage, {"content-type": "text/html"}), operation)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        assert isinstance(only(store.put([put])), StoreError | Receipt), "some of it counts as busy"
        assert receipt(store.put([put])).digest == put.digest
    assert weed.content("k") == pattern(LARGE)


def test_a_server_that_never_answers_is_left_after_the_read_time_out(weed: Through) -> None:
    store = weed.store(read_seconds=1.0)
    weed.proxy.faults += [Fault(Blackhole(), of("PutObject")), Fault(Blackhole(), of("HeadObject"))]
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Unavailable)
    assert weed.operations == ["PutObject", "HeadObject"]


# --- large copies ---


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("connection", ["kept", "new"])
def test_a_large_put_whose_answer_is_lost_succeeds_and_is_written_once(
    weed: Through, upload_log: Written, tmp_path: Path, operation: str, connection: str
) -> None:
    store = weed.store(upload_log=upload_log)
    if connection == "new":
        cut_idle_connections(weed)
    weed.spoil(LoseAnswer(), operation)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        got = receipt(store.put([put]))
    assert (got.digest, got.written) == (put.digest, True)
    assert got.version == weed.client.head_object(**weed.at("k"))["ETag"]
    assert weed.content("k") == pattern(LARGE)
    assert len(weed.seen("CompleteMultipartUpload")) == 1
    assert len(weed.seen("CreateMultipartUpload")) == 1
    assert weed.uploads() == []
    assert list(upload_log.unfinished("s3")) == [], "nothing is left to remember"


def test_a_beginning_whose_answer_is_lost_is_begun_at_the_next_put(weed: Through, tmp_path: Path) -> None:
    """Nobody knows the name of that upload: a lifecycle rule of the bucket clears it."""
    store = weed.store()
    cut_idle_connections(weed)
    weed.spoil(LoseAnswer(), "CreateMultipartUpload")
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        assert isinstance(only(store.put([put])), Unavailable)
        assert receipt(store.put([put])).written
    assert len(weed.uploads()) == 1


def test_a_part_that_stays_lost_makes_the_store_unavailable(weed: Through, tmp_path: Path) -> None:
    store = weed.store()
    cut_idle_connections(weed)
    weed.spoil(Reset(100), "UploadPart", times=math.inf)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())
        assert isinstance(only(store.put([put])), Unavailable)
    assert weed.content("k") is None
    assert len(weed.seen("UploadPart")) <= 2 * 2
