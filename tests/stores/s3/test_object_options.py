"""How objects are kept: what is configured reaches the server, for small and for large copies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from artifactd.config.destinations.s3 import Encryption, LockMode, S3Table
from artifactd.stores.s3.checksums import Verified
from artifactd.stores.s3.object_options import HEADERS, asking, headers, of_put
from tests.servers.s3 import S3Server
from tests.support.buckets import PART
from tests.support.harness import a_put, outcome, pattern, put_file
from tests.support.through import Through, through

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()
OWNER = "123456789012"  # moto's own account

ALL = S3Table(
    storage_class="STANDARD_IA",
    encryption=Encryption.KMS,
    kms_key_id="key-1",
    object_lock_mode=LockMode.GOVERNANCE,
    object_lock_days=30,
    legal_hold=True,
    tags={"retention": "7y", "team": "risk=a/b +1"},
    expected_bucket_owner=OWNER,
)


def test_nothing_is_asked_for_that_was_not_configured() -> None:
    assert of_put(S3Table(), NOON) == {}
    assert asking(S3Table()) == {}


def test_everything_has_a_header() -> None:
    assert headers(of_put(ALL, NOON)) == {
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2026-03-31T12:00:00Z",
        "x-amz-object-lock-legal-hold": "ON",
        "x-amz-tagging": "retention=7y&team=risk%3Da%2Fb+%2B1",
        "x-amz-expected-bucket-owner": OWNER,
    }
    assert set(of_put(ALL, NOON)) == set(HEADERS)
    assert headers(asking(ALL)) == {"x-amz-expected-bucket-owner": OWNER}


@pytest.fixture
def locked(moto: S3Server) -> Iterator[Through]:
    bucket = "locked"
    client = moto.client()
    if bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    with through(moto, (bucket, moto.destination()[1])) as here:
        yield here


def put_both(here: Through, tmp_path: Path, table: S3Table) -> None:
    store = here.store(table=table, verified=Verified.SHA256)
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        results = store.put([a_put("small", b"new"), large])
    assert [outcome(result) for result in results] == ["written", "written"]


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
def test_what_is_configured_is_in_the_request(locked: Through, tmp_path: Path, operation: str) -> None:
    put_both(locked, tmp_path, ALL)
    (seen,) = locked.seen(operation)
    sent = {name: value for name, value in seen.headers.items() if name in HEADERS.values()}
    wanted = headers(of_put(ALL, NOON))
    for name in ("x-amz-object-lock-retain-until-date", "x-amz-tagging"):
        assert sent[name]
    assert parse_qs(sent["x-amz-tagging"]) == {"team": ["risk=a/b +1"], "retention": ["7y"]}
    changing = {"x-amz-object-lock-retain-until-date", "x-amz-tagging"}
    assert {k: v for k, v in sent.items() if k not in changing} == {
        k: v for k, v in wanted.items() if k not in changing
    }
    others = [seen for seen in locked.proxy.seen if seen.operation != operation]
    assert {seen.headers["x-amz-expected-bucket-owner"] for seen in others} == {OWNER}


@pytest.mark.parametrize("key", ["small", "large"])
def test_what_is_configured_is_how_the_object_is_kept(locked: Through, tmp_path: Path, key: str) -> None:
    put_both(locked, tmp_path, ALL)
    told = locked.client.head_object(**locked.at(key))
    assert told["StorageClass"] == "STANDARD_IA"
    assert told["ServerSideEncryption"] == "aws:kms"
    assert told["SSEKMSKeyId"] == "key-1"
    if key == "small":  # moto forgets the lock of a large one; that it was asked for is proven above
        assert told["ObjectLockMode"] == "GOVERNANCE"
        assert told["ObjectLockLegalHoldStatus"] == "ON"
        assert (told["ObjectLockRetainUntilDate"] - datetime.now(UTC)).days in (29, 30)
    tags = locked.client.get_object_tagging(**locked.at(key))["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "risk=a/b +1", "retention": "7y"}


def test_tags_are_kept_by_a_server_made_for_production(seaweed: S3Server, tmp_path: Path) -> None:
    with through(seaweed) as here:
        put_both(here, tmp_path, S3Table(tags={"team": "risk=a/b +1"}))
        for key in ("small", "large"):
            (tag,) = here.client.get_object_tagging(**here.at(key))["TagSet"]
            assert (tag["Key"], tag["Value"]) == ("team", "risk=a/b +1")


def test_a_class_that_cannot_be_read_back_does_not_stop_the_store(moto: S3Server) -> None:
    """As an archive is; the server is taken at its word then."""
    with through(moto) as here:
        store = here.store(table=S3Table(storage_class="GLACIER"), verified=Verified.SHA256)
        assert [outcome(result) for result in store.put([a_put("k", b"new")])] == ["written"]
        assert here.client.head_object(**here.at("k"))["StorageClass"] == "GLACIER"
