"""Secrets are in no error, no `repr`, no address, whatever goes wrong."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.base import StoreError, Unavailable
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.s3.bucket import Bucket
from artifactd.stores.s3.session import opened
from tests.servers.faults import Answer, Blackhole, LoseAnswer, Reset, What
from tests.servers.s3 import S3Server
from tests.support.buckets import CLOCK, PART
from tests.support.harness import a_put, pattern, put_file
from tests.support.through import Through, through

ACCESS, SECRET, TOKEN, PASSWORD = "AKIACANARY", "canary-secret", "canary-token", "canary-password"
CANARIES = (ACCESS, SECRET, TOKEN, PASSWORD)


def assert_silent(text: str) -> None:
    for canary in CANARIES:
        assert canary not in text


def shown(error: BaseException) -> str:
    """All that a log could make of it, with what it came from."""
    return f"{error} {error!r} {''.join(traceback.format_exception(error))}"


@pytest.fixture
def trusting(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    """moto verifies no signature, so whoever carries the canaries gets in."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with through(moto) as here:
        yield here


def a_store_with(here: Through, access: S3Access) -> ObjectStore:
    endpoint = S3Endpoint(here.place[0], "us-east-1", here.proxy.url, AddressingStyle.PATH, read_seconds=0.4)
    bucket = Bucket(endpoint, access, S3Table(), CLOCK, probe_key="probes/" + here.place[1] + "probe")
    return here.store(bucket)


@pytest.mark.parametrize("access", [S3Access(), S3Access(ACCESS, SECRET)], ids=["environment", "keys"])
def test_no_error_shows_a_secret(trusting: Through, tmp_path: Path, access: S3Access) -> None:
    store = a_store_with(trusting, access)
    moved = Answer(302, headers={"location": "http://elsewhere.example/"})
    faults: list[What] = [
        Answer.s3(403, "SignatureDoesNotMatch"), Answer.s3(403, "InvalidAccessKeyId"), Answer(400),
        Answer(200, b"<html>"), moved,
        Reset(), LoseAnswer(), Blackhole(),
    ]  # fmt: skip
    reads: list[Callable[[], object]] = [
        lambda: store.stat(Key("k")),
        lambda: store.digest(Key("k")),
        lambda: list(store.keys()),
    ]
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        for fault in faults:
            errors = 0
            trusting.spoil(fault, times=2)
            for result in store.put([a_put("k", b"new"), large]):
                assert_silent(shown(result) if isinstance(result, BaseException) else repr(result))
            trusting.proxy.faults.clear()
            trusting.spoil(fault, times=3)
            for read in reads:
                try:
                    read()
                except StoreError as error:
                    errors += 1
                    assert_silent(shown(error))
            assert errors or fault is moved, "the SDK looks three times where the bucket went"
            trusting.proxy.faults.clear()
    assert any(ACCESS in seen.headers["authorization"] for seen in trusting.proxy.seen), "they were in use"


def test_no_object_shows_a_secret(trusting: Through) -> None:
    access = S3Access(ACCESS, SECRET)
    endpoint = S3Endpoint("bucket", "us-east-1", trusting.proxy.url, AddressingStyle.PATH)
    session = opened(access, endpoint, lambda _: None)
    store = a_store_with(trusting, access)
    for one in (
        access,
        endpoint,
        session,
        session.credentials(),
        store,
        Bucket(endpoint, access, S3Table(), CLOCK),
    ):
        assert_silent(f"{one} {one!r}")
    assert_silent(store.uri(Key("u/e/k")))
    session.client.close()


def test_a_proxys_password_is_shown_by_neither_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://user:{PASSWORD}@127.0.0.1:1")
    endpoint = S3Endpoint("bucket", "us-east-1", "http://s3.example.org", AddressingStyle.PATH)
    bucket = Bucket(endpoint, S3Access(ACCESS, SECRET), S3Table(), CLOCK)
    asks: list[Callable[[], object]] = [bucket.ready, lambda: bucket.head("k")]
    for ask in asks:
        with pytest.raises(Unavailable) as raised:
            ask()
        assert_silent(shown(raised.value))
    bucket.close()
