"""The facts about each S3 server that the tests of the S3 store rest on. A new version may change them."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers.faults import Fault, Flip
from tests.servers.proxy import Proxy
from tests.servers.s3 import Credentials, S3Server

PART = b"p" * (5 << 20)  # the smallest that may be followed by another one
NO_ETAG = '"00000000000000000000000000000000"'


@dataclass(frozen=True)
class Spot:
    """A key that nothing lies at, and a client that looks there."""

    server: S3Server
    client: Any
    at: dict[str, str]

    @property
    def bucket(self) -> str:
        return self.at["Bucket"]

    def put(self, content: bytes = b"content", **more: object) -> str:
        return str(self.client.put_object(**self.at, Body=content, **more)["ETag"])

    def content(self) -> bytes:
        content: bytes = self.client.get_object(**self.at)["Body"].read()
        return content

    def complete(self, **condition: str) -> None:
        upload = self.client.create_multipart_upload(**self.at)["UploadId"]
        part = self.client.upload_part(**self.at, UploadId=upload, PartNumber=1, Body=PART)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        self.client.complete_multipart_upload(**self.at, UploadId=upload, MultipartUpload=parts, **condition)

    def seen_by(self, account: Credentials | None) -> "Spot":
        assert account is not None
        return Spot(self.server, self.server.client(account), self.at)


def spot(server: S3Server) -> Spot:
    bucket, prefix = server.destination()
    return Spot(server, server.client(), {"Bucket": bucket, "Key": f"{prefix}key"})


@pytest.fixture(params=["moto", "rclone", "seaweed", pytest.param("ceph", marks=pytest.mark.conformance)])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def here(server: S3Server) -> Spot:
    return spot(server)


def refusal(ask: Callable[[], object]) -> str:
    """The error's code; "" where the server did as it was asked."""
    try:
        ask()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


# --- destinations ---


def test_a_destination_is_empty_and_another_one_each_time(server: S3Server) -> None:
    first, second = server.destination(), server.destination()
    assert first != second
    for bucket, prefix in (first, second):
        assert "Contents" not in server.client().list_objects_v2(Bucket=bucket, Prefix=prefix)


def test_a_new_bucket_takes_objects_of_its_own(server: S3Server) -> None:
    here, there = server.new_bucket(), server.new_bucket()
    client = server.client()
    client.put_object(Bucket=here, Key="k", Body=b"content")
    assert [one["Key"] for one in client.list_objects_v2(Bucket=here)["Contents"]] == ["k"]
    assert "Contents" not in client.list_objects_v2(Bucket=there)


def test_an_unknown_bucket_is_not_made_by_itself(server: S3Server) -> None:
    put = server.client().put_object
    assert refusal(lambda: put(Bucket="unknown", Key="k", Body=b"content")) == "NoSuchBucket"


def test_wrong_secrets_are_refused_where_signatures_are_verified(here: Spot) -> None:
    stranger = here.seen_by(Credentials(here.server.access_key, "wrong"))
    assert (refusal(stranger.put) == "SignatureDoesNotMatch") == here.server.verifies_signatures


# --- conditions ---


def test_a_put_creates_only_where_conditions_are_honoured(here: Spot) -> None:
    here.put(b"first", IfNoneMatch="*")
    refused = refusal(lambda: here.put(b"second", IfNoneMatch="*"))
    assert refused == ("PreconditionFailed" if here.server.honours_conditions else "")
    assert here.content() == (b"first" if here.server.honours_conditions else b"second")


def test_a_put_replaces_what_it_knows_where_conditions_are_honoured(here: Spot) -> None:
    etag = here.put(b"first")
    refused = refusal(lambda: here.put(b"second", IfMatch=NO_ETAG))
    assert refused == ("PreconditionFailed" if here.server.honours_conditions else "")
    if here.server.honours_conditions:
        if here.server.matches_bare:
            assert refusal(lambda: here.put(b"third", IfMatch=etag)) == "PreconditionFailed"
            etag = etag.strip('"')
        here.put(b"third", IfMatch=etag)
        assert here.content() == b"third"


def test_a_large_put_creates_only_where_conditions_are_honoured(here: Spot) -> None:
    here.put(b"first")
    refused = refusal(lambda: here.complete(IfNoneMatch="*"))
    assert refused == ("PreconditionFailed" if here.server.creates_on_completion else "")


def test_a_large_put_replaces_what_it_knows_where_that_is_honoured_too(here: Spot) -> None:
    here.put(b"first")
    refused = refusal(lambda: here.complete(IfMatch=NO_ETAG))
    assert refused == ("PreconditionFailed" if here.server.replaces_on_completion else "")


# --- integrity ---


def test_a_wrong_sha256_is_refused_where_it_is_verified(here: Spot) -> None:
    refused = refusal(lambda: here.put(ChecksumSHA256=sha256(b"other")))
    assert (refused != "") == here.server.verifies_sha256
    assert (refusal(here.content) == "NoSuchKey") == here.server.verifies_sha256
    here.put(ChecksumSHA256=sha256(b"content"))


def test_a_wrong_sha256_of_a_part_is_refused_where_it_is_verified(here: Spot) -> None:
    upload = here.client.create_multipart_upload(**here.at, ChecksumAlgorithm="SHA256")["UploadId"]

    def part(checksum: str) -> None:
        here.client.upload_part(
            **here.at, UploadId=upload, PartNumber=1, Body=b"content", ChecksumSHA256=checksum
        )

    assert (refusal(lambda: part(sha256(b"other"))) != "") == here.server.verifies_sha256
    part(sha256(b"content"))


def test_a_wrong_md5_is_refused_where_it_is_verified(here: Spot) -> None:
    refused = refusal(lambda: here.put(ContentMD5=md5(b"other")))
    assert refused == ("BadDigest" if here.server.verifies_md5 else "")
    here.put(ContentMD5=md5(b"content"))


def test_a_body_other_than_was_signed_is_refused_where_it_is_verified(here: Spot) -> None:
    with Proxy(here.server.url) as proxy:
        proxy.faults.append(Fault(Flip()))
        flipped = Spot(here.server, here.server.client(url=proxy.url), here.at)
        assert (refusal(flipped.put) != "") == here.server.verifies_payloads
        assert proxy.faults == []


# --- rights: SeaweedFS alone ---


@pytest.fixture
def foreign(seaweed: S3Server) -> Spot:
    here = spot(seaweed)
    here.put(b"somebody else's")
    return here


def test_least_privilege_is_enough_to_put_and_to_read(seaweed: S3Server) -> None:
    here = spot(seaweed).seen_by(seaweed.least)
    assert refusal(here.content) == "NoSuchKey", "Amazon would say AccessDenied: `Hide` does"
    here.put(b"first", IfNoneMatch="*")
    here.complete()
    assert here.content() == PART
    upload = here.client.create_multipart_upload(**here.at)["UploadId"]
    assert here.client.list_parts(**here.at, UploadId=upload)["UploadId"] == upload
    here.client.abort_multipart_upload(**here.at, UploadId=upload)


def test_least_privilege_neither_lists_nor_deletes(seaweed: S3Server, foreign: Spot) -> None:
    client, bucket = foreign.seen_by(seaweed.least).client, foreign.bucket
    asked = {
        "ListObjectsV2": lambda: client.list_objects_v2(Bucket=bucket),
        "ListMultipartUploads": lambda: client.list_multipart_uploads(Bucket=bucket),
        "DeleteObject": lambda: client.delete_object(**foreign.at),
        "PutObjectTagging": lambda: client.put_object_tagging(**foreign.at, Tagging={"TagSet": []}),
        "CreateBucket": lambda: client.create_bucket(Bucket="another"),
    }
    assert {name: refusal(ask) for name, ask in asked.items()} == dict.fromkeys(asked, "AccessDenied")
    assert refusal(lambda: client.head_bucket(Bucket=bucket)) == "403"
    assert foreign.content() == b"somebody else's"


def test_who_is_limited_writes_and_does_not_read(seaweed: S3Server, foreign: Spot) -> None:
    here = spot(seaweed).seen_by(seaweed.limited)
    here.put(b"first")
    limited = foreign.seen_by(seaweed.limited)
    assert refusal(limited.content) == "AccessDenied"
    assert refusal(lambda: limited.client.head_object(**foreign.at)) == "403"
    assert refusal(lambda: limited.client.delete_object(**foreign.at)) == "AccessDenied"


def test_a_policy_of_the_bucket_takes_rights_away_at_once(seaweed: S3Server) -> None:
    bucket = seaweed.new_bucket()
    least, admin = seaweed.client(seaweed.least), seaweed.client()
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": "arn:aws:iam::000000000000:user/least"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    least.put_object(Bucket=bucket, Key="k", Body=b"before")
    admin.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert refusal(lambda: least.put_object(Bucket=bucket, Key="k", Body=b"denied")) == "AccessDenied"
    admin.delete_bucket_policy(Bucket=bucket)
    least.put_object(Bucket=bucket, Key="k", Body=b"after")
