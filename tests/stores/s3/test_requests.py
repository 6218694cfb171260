"""What a put costs: which requests are sent, on which server, and nothing beside them."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from artifactd.artifact import Key
from artifactd.stores.base import About, Denied, Proof, Receipt, Unavailable
from artifactd.stores.s3.checksums import Verified
from tests.servers.faults import Answer, Reset
from tests.servers.s3 import S3Server
from tests.support.harness import a_put, digest, only, outcome, pattern, receipt
from tests.support.through import CONNECTIONS, Through, through


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


@pytest.fixture
def lax(rclone: S3Server) -> Iterator[Through]:
    with through(rclone) as here:
        yield here


@pytest.fixture
def trusting(moto: S3Server) -> Iterator[Through]:
    with through(moto) as here:
        yield here


# --- the probe ---


def test_a_store_that_is_not_used_asks_for_nothing(weed: Through) -> None:
    store = weed.store(ready=False)
    assert store.put([]) == []
    assert "mojo.zip" in store.uri(Key("u/mojo.zip"))
    assert weed.operations == []
    assert store.requests() == {}


def test_the_first_put_probes_once(weed: Through) -> None:
    store = weed.store(ready=False)
    store.put([a_put("a", b"1")])
    probe = [
        "PutObject",  # with a wrong checksum
        "PutObject", "PutObject", "GetObject",  # twice on the condition that there is none
        "HeadObject", "PutObject",  # on the condition that it is this one
        "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "CreateMultipartUpload", "UploadPart", "AbortMultipartUpload",  # with a wrong checksum
    ]  # fmt: skip
    assert weed.operations == [*probe, "PutObject", "HeadObject"], "the first copy is looked for"
    store.put([a_put("b", b"1")])
    assert weed.operations == [*probe, "PutObject", "HeadObject", "PutObject"]


def test_what_the_probe_leaves_is_two_small_objects_at_most(
    weed: Through, lax: Through, trusting: Through
) -> None:
    for here in (weed, lax, trusting):
        here.store()
        left = here.client.list_objects_v2(Bucket=here.place[0], Prefix="probes/" + here.place[1])["Contents"]
        assert {one["Key"].rpartition("/")[2] for one in left} <= {"probe", "probe-refused"}
        assert all(one["Size"] < 200 for one in left)


def test_a_probe_that_fails_is_made_again_at_the_next_put(weed: Through) -> None:
    store = weed.store(ready=False)
    weed.spoil(Reset())
    assert outcome(only(store.put([a_put("k", b"1")]))) == "Unavailable"
    assert receipt(store.put([a_put("k", b"1")])).written


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_an_object_of_somebody_elses_where_the_probe_writes_is_named(weed: Through, size: int) -> None:
    place = {"Bucket": weed.place[0], "Key": "probes/" + weed.place[1] + "probe"}
    weed.client.put_object(**place, Body=pattern(size))
    store = weed.store(ready=False)
    for result in store.put([a_put("k", b"1"), a_put("l", b"1")]):
        assert outcome(result) == "Denied", "the store is out, and no copy is refused"
        assert place["Key"] in str(result)
        assert "remove this object" in str(result)
    assert weed.content("k") is None
    weed.client.delete_object(**place)
    assert receipt(store.put([a_put("k", b"1")])).written


@pytest.mark.parametrize(
    ("operation", "answer", "kind"),
    [
        ("PutObject", Answer(204), "Denied"),
        ("PutObject", Answer(304), "Denied"),
        ("PutObject", Answer.s3(400, "InvalidArgument"), "Denied"),
        ("PutObject", Answer.s3(401, "Unauthorized"), "Denied"),
        ("PutObject", Answer.s3(411, "MissingContentLength"), "Denied"),
        ("PutObject", Answer.s3(413, "EntityTooLarge"), "Denied"),
        ("PutObject", Answer.s3(400, "BadDigest"), "Unavailable"),
        ("PutObject", Answer.s3(412, "PreconditionFailed"), "Unavailable"),
        ("PutObject", Answer(200, b"<html>Welcome</html>"), "Unavailable"),
        ("GetObject", Answer(200), "Denied"),
        ("GetObject", Answer.s3(200, "InternalError"), "Denied"),
        ("GetObject", Answer(204), "Denied"),
        ("GetObject", Answer.s3(404, "NoSuchKey"), "Denied"),
    ],
)
def test_whatever_goes_wrong_with_the_probe_is_of_the_store(
    weed: Through, operation: str, answer: Answer, kind: str
) -> None:
    store = weed.store(ready=False)
    weed.spoil(answer, operation, times=math.inf)
    results = store.put([a_put("k", b"1"), a_put("l", b"1")])
    assert [outcome(result) for result in results] == [kind, kind]
    assert all("probes/" + weed.place[1] + "probe" in str(result) for result in results)
    assert set(weed.operations) <= {"PutObject", "GetObject"}
    weed.proxy.faults.clear()
    assert receipt(store.put([a_put("k", b"1")])).written, "it recovers by itself"


# --- small copies ---


def test_a_small_copy_is_one_request(weed: Through) -> None:
    store = weed.store()
    receipt(store.put([a_put("u/e/mojo.zip", b"new")]))
    assert weed.operations == ["PutObject"]
    (seen,) = weed.proxy.seen
    assert seen.headers["if-none-match"] == "*"
    assert seen.headers["x-amz-checksum-sha256"]
    assert seen.headers["x-amz-content-sha256"] == digest(b"new")
    assert seen.body_length == 3


def test_a_hundred_small_copies_are_a_hundred_requests(weed: Through) -> None:
    store = weed.store()
    before = store.requests()["PutObject"]
    results = store.put([a_put(f"u/e/{n}", pattern(n)) for n in range(100)])
    assert all(isinstance(result, Receipt) for result in results)
    assert weed.operations == ["PutObject"] * 100
    assert store.requests()["PutObject"] - before == 100


def test_a_replacement_of_a_known_version_is_one_request_on_its_condition(weed: Through) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    weed.proxy.seen.clear()
    again = receipt(store.put([replace(a_put("k", b"new", b"old"), version=version)]))
    assert again.written
    assert again.version != version
    assert weed.operations == ["PutObject"]
    assert weed.proxy.seen[0].headers["if-match"] == version
    assert weed.content("k") == b"new"


def test_a_version_that_somebody_else_replaced_is_not_overwritten(weed: Through) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    weed.plant("k", b"foreign")
    assert outcome(only(store.put([replace(a_put("k", b"new", b"old"), version=version)]))) == "Conflict"
    assert weed.content("k") == b"foreign"


def test_a_version_that_is_gone_is_created_anew(weed: Through) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    weed.client.delete_object(**weed.at("k"))
    assert receipt(store.put([replace(a_put("k", b"new", b"old"), version=version)])).written
    assert weed.content("k") == b"new"


def test_the_same_bytes_again_are_one_look_more(weed: Through) -> None:
    store = weed.store()
    version = receipt(store.put([a_put("k", b"old")])).version
    weed.proxy.seen.clear()
    again = receipt(store.put([replace(a_put("k", b"old", b"old"), version=version)]))
    assert (again.written, again.version, again.proof) == (False, version, Proof.SERVER_CHECKSUM)
    assert weed.operations == ["PutObject", "HeadObject"]


def test_nothing_is_listed_but_by_keys(weed: Through) -> None:
    store = weed.store()
    list(store.keys())
    assert weed.operations == ["ListObjectsV2"]


def test_an_object_says_where_it_came_from(weed: Through) -> None:
    about = About(
        "u/" + "é" * 2000 + "\x00\n", "josé\r\nx-amz-acl: public", "\x1b[31m e  e ", "mojo_pipeline"
    )
    put = replace(a_put("k", b"new"), about=about)
    assert receipt(weed.store().put([put])).written
    kept = weed.client.head_object(**weed.at("k"))["Metadata"]
    assert kept["sha256"] == digest(b"new")
    assert kept["user"] == "jos%C3%A9%0D%0Ax-amz-acl: public"
    assert kept["kind"] == "mojo_pipeline"
    assert kept["experiment"].startswith("%1B[31m e")
    assert set(kept) == {"sha256", "size", "user", "experiment", "kind", "artifactd", "attempt"}


# --- other servers ---


def test_a_server_that_ignores_conditions_is_asked_before(lax: Through) -> None:
    store = lax.store()
    got = receipt(store.put([a_put("k", b"new")]))
    assert (got.written, got.proof) == (True, Proof.SERVER_CHECKSUM)
    assert lax.operations == ["HeadObject", "PutObject"]
    assert any("If-None-Match" in doubt for doubt in store.doubts())


def test_a_server_that_ignores_conditions_is_not_written_where_it_may_not_be_asked(lax: Through) -> None:
    store = lax.store()
    lax.plant("k", b"foreign")
    lax.spoil(Answer(403), "HeadObject", times=math.inf)
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Denied)
    assert "ignores conditions" in str(result)
    assert lax.content("k") == b"foreign"


def test_a_server_that_checks_nothing_is_read_back(trusting: Through) -> None:
    store = trusting.store()
    got = receipt(store.put([a_put("k", b"new")]))
    assert (got.written, got.proof) == (True, Proof.READ_BACK)
    assert trusting.operations == ["PutObject", "GetObject"]
    assert any("read back" in doubt for doubt in store.doubts())


def test_a_server_that_does_all_leaves_no_doubt(weed: Through) -> None:
    assert list(weed.store().doubts()) == []


@pytest.mark.parametrize(
    ("verified", "header", "proof", "operations"),
    [
        (Verified.SHA256, "x-amz-checksum-sha256", Proof.SERVER_CHECKSUM, ["PutObject"]),
        (Verified.MD5, "content-md5", Proof.SERVER_CHECKSUM, ["PutObject"]),
        (Verified.NOTHING, None, Proof.READ_BACK, ["PutObject", "GetObject"]),
    ],
)
def test_who_chooses_the_check_is_obeyed(
    weed: Through, verified: Verified, header: str | None, proof: Proof, operations: list[str]
) -> None:
    got = receipt(weed.store(verified=verified).put([a_put("k", b"new")]))
    assert got.proof is proof
    assert weed.operations == operations
    told = {"x-amz-checksum-sha256", "content-md5"} & set(weed.proxy.seen[0].headers)
    assert told == ({header} if header else set())


# --- a store that is down ---


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer.s3(503, "SlowDown", retry_after="3600"), Unavailable),
        (Answer.s3(507, "InsufficientStorage"), Unavailable),
        (Answer.s3(403, "AccessDenied"), Denied),
        (Answer.s3(403, "RequestTimeTooSkewed"), Denied),
    ],
)
def test_after_a_store_is_known_to_be_down_the_rest_of_a_batch_is_not_sent(
    weed: Through, answer: Answer, kind: type[Exception]
) -> None:
    store = weed.store()
    weed.spoil(answer, times=math.inf)
    results = store.put([a_put(f"k{n}", b"1") for n in range(60)])
    assert all(isinstance(result, kind) for result in results)
    assert 1 <= len(weed.operations) <= CONNECTIONS
