"""A proxy that checks refuses what is not as its head says, whatever server stands behind it."""

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

from tests.servers.faults import Answer, Fault, Flip, Seen
from tests.servers.integrity import verdict
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server

CONTENT = b"content"


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize(
    "claim", [{"ChecksumSHA256": sha256(b"other")}, {"ContentMD5": md5(b"other")}], ids=["SHA-256", "MD5"]
)
def test_checking_makes_a_lax_server_strict(moto: S3Server, claim: dict[str, str]) -> None:
    bucket, prefix = moto.destination()
    at = {"Bucket": bucket, "Key": f"{prefix}key"}
    with Proxy(moto.url, checking=True) as proxy:
        client = moto.client(url=proxy.url)
        with pytest.raises(ClientError, match="BadDigest"):
            client.put_object(**at, Body=CONTENT, **claim)
        with pytest.raises(ClientError, match="BadDigest"):
            client.put_object(**at, Body=b"", **claim)
        upload = client.create_multipart_upload(**at)["UploadId"]
        with pytest.raises(ClientError, match="BadDigest"):
            client.upload_part(**at, UploadId=upload, PartNumber=1, Body=CONTENT, **claim)
        assert "Parts" not in moto.client().list_parts(**at, UploadId=upload)
        assert "Contents" not in moto.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
        client.put_object(**at, Body=CONTENT, ChecksumSHA256=sha256(CONTENT), ContentMD5=md5(CONTENT))


def test_checking_sees_a_flip(moto: S3Server) -> None:
    bucket, prefix = moto.destination()
    with Proxy(moto.url, checking=True) as proxy:
        proxy.faults.append(Fault(Flip(2)))
        with pytest.raises(ClientError, match="BadDigest"):
            moto.client(url=proxy.url).put_object(Bucket=bucket, Key=f"{prefix}key", Body=CONTENT)
        assert "Contents" not in moto.client().list_objects_v2(Bucket=bucket, Prefix=prefix)


def test_checking_leaves_the_checksum_of_a_whole_object_to_the_server(seaweed: S3Server) -> None:
    bucket, prefix = seaweed.destination()
    at = {"Bucket": bucket, "Key": f"{prefix}key"}
    part = hashlib.sha256(CONTENT).digest()
    with Proxy(seaweed.url, checking=True) as proxy:
        client = seaweed.client(url=proxy.url)
        upload = client.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")["UploadId"]
        sent = client.upload_part(
            **at, UploadId=upload, PartNumber=1, Body=CONTENT, ChecksumSHA256=sha256(CONTENT)
        )
        client.complete_multipart_upload(
            **at,
            UploadId=upload,
            MultipartUpload={
                "Parts": [{"PartNumber": 1, "ETag": sent["ETag"], "ChecksumSHA256": sha256(CONTENT)}]
            },
            ChecksumSHA256=f"{sha256(part)}-1",
        )


def test_what_cannot_be_checked_is_refused_rather_than_believed() -> None:
    seen = Seen("PUT", "/b/k", {"content-encoding": "aws-chunked"}, 7, "PutObject")
    assert verdict(seen, [CONTENT]) == Answer.s3(501, "NotImplemented")
