"""Accounts with few rights: the policy of docs/s3.md is enough, and less than that says what is missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artifactd.stores.base import Denied, Refusal
from tests.servers.faults import Answer, Hide
from tests.servers.s3 import S3Server
from tests.support.buckets import PART
from tests.support.harness import a_put, digest, only, outcome, pattern, put_file, receipt
from tests.support.through import Through, through
from tests.support.upload_logs import Written

DOCS = Path(__file__).parents[3] / "docs/s3.md"


def documented() -> dict[str, Any]:
    """The policy of the documentation."""
    policy: dict[str, Any] = json.loads(DOCS.read_text().partition("```json")[2].partition("```")[0])
    return policy


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


@pytest.fixture(scope="module")
def bucket(seaweed: S3Server) -> str:
    """Where `limited`, which may put and nothing else, is given what the documentation says."""
    bucket = seaweed.new_bucket()
    text = json.dumps(documented()).replace("BUCKET/PREFIX", f"{bucket}/exports")
    policy = json.loads(text)
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": "arn:aws:iam::000000000000:user/writer"}
    seaweed.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return bucket


@pytest.fixture
def given(seaweed: S3Server, bucket: str) -> Iterator[Through]:
    with through(seaweed, (bucket, "exports/")) as here:
        yield here


def test_the_documented_policy_neither_lists_nor_deletes() -> None:
    (statement,) = documented()["Statement"]
    assert sorted(statement["Action"]) == ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    assert statement["Resource"] == "arn:aws:s3:::BUCKET/PREFIX/*"


def test_the_documented_policy_is_enough_for_everything(given: Through, tmp_path: Path) -> None:
    """With missing keys hidden, as Amazon hides them from whoever may not list."""
    given.spoil(Hide(), times=10_000)
    upload_log = Written(tmp_path / "upload_log")
    options: dict[str, Any] = {"credentials": given.server.limited, "upload_log": upload_log}
    store = given.store(**options)
    assert receipt(store.put([a_put("small", b"old")])).written
    assert receipt(store.put([a_put("small", b"old")])).written is False
    assert receipt(store.put([a_put("small", b"new", b"old")])).written
    assert store.digest(a_put("small", b"").key) == digest(b"new")
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        assert receipt(store.put([large])).written
        assert receipt(given.store(**options).put([large])).written is False
    given.plant("taken", pattern(PART + 1))
    assert outcome(only(store.put([a_put("taken", b"ours")]))) == "Conflict"
    assert given.uploads() == []
    assert not {"ListObjectsV2", "DeleteObject", "ListMultipartUploads", "ListParts"} & set(given.operations)
    upload_log.close()


def test_an_account_without_delete_and_list_exports_large_copies(weed: Through, tmp_path: Path) -> None:
    store = weed.store(credentials=weed.server.least)
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        assert receipt(store.put([large])).written
    with pytest.raises(Denied, match=r"docs/s3\.md"):
        list(store.keys())


def test_an_account_that_may_only_write_creates_copies(weed: Through, tmp_path: Path) -> None:
    store = weed.store(credentials=weed.server.limited)
    assert receipt(store.put([a_put("small", b"new")])).written
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        assert receipt(store.put([large])).written
    assert weed.content("large") == pattern(PART + 1)


def test_an_account_that_may_only_write_is_told_what_it_lacks(weed: Through) -> None:
    store = weed.store(credentials=weed.server.limited)
    weed.plant("taken", b"new")
    result = only(store.put([a_put("taken", b"new")]))
    assert isinstance(result, Refusal)
    assert not isinstance(result, Denied), "other copies are not concerned"
    assert "let it read" in str(result)
    with pytest.raises(Denied, match=r"docs/s3\.md"):
        store.digest(a_put("taken", b"").key)


def test_an_upload_that_the_server_forgot_is_begun_anew_where_nothing_may_be_read(
    weed: Through, tmp_path: Path
) -> None:
    said = b"<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>"
    store = weed.store(credentials=weed.server.limited)
    weed.spoil(Answer(404, said, {"content-type": "application/xml"}), "CompleteMultipartUpload")
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        assert receipt(store.put([large])).written
    assert weed.content("large") == pattern(PART + 1)
    assert weed.operations.count("CreateMultipartUpload") == 2
