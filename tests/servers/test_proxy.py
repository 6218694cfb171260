"""The proxy passes everything on as it came, in bounded memory, and knows what was asked for."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from azure.storage.blob import BlobBlock
from botocore.exceptions import EndpointConnectionError, SSLError

from tests.servers.azure import AzureServer, Tokens
from tests.servers.ports import LOCALHOST
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.servers.tls import Authority, Certificate

LARGE: Final = 200 << 20
A_LITTLE: Final = 24 << 20


def peak() -> int:
    """The most memory that this process held since `forget_peak`, in bytes."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> int:
    """Begin anew; what it holds now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def test_operations_of_s3_are_told_by_their_names(moto: S3Server) -> None:
    bucket, prefix = moto.destination()
    at = {"Bucket": bucket, "Key": f"{prefix}a+b%20c&d=e;f#g?h"}
    with Proxy(moto.url) as proxy:
        client = moto.client(url=proxy.url)
        client.put_object(**at, Body=b"content")
        client.head_object(**at)
        client.get_object(**at)["Body"].read()
        client.list_objects_v2(Bucket=bucket)
        client.head_bucket(Bucket=bucket)
        upload = client.create_multipart_upload(**at)["UploadId"]
        part = client.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"part")
        client.list_parts(**at, UploadId=upload)
        client.list_multipart_uploads(Bucket=bucket)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)
        upload = client.create_multipart_upload(**at)["UploadId"]
        client.abort_multipart_upload(**at, UploadId=upload)
        client.delete_object(**at)
    assert proxy.operations() == [
        "PutObject", "HeadObject", "GetObject", "ListObjectsV2", "HeadBucket", "CreateMultipartUpload",
        "UploadPart", "ListParts", "ListMultipartUploads", "CompleteMultipartUpload", "CreateMultipartUpload",
        "AbortMultipartUpload", "DeleteObject",
    ]  # fmt: skip
    assert [(seen.method, seen.body_length) for seen in proxy.seen[:3]] == [
        ("PUT", 7),
        ("HEAD", 0),
        ("GET", 0),
    ]


def test_operations_of_azure_are_told_by_their_names(azurite: AzureServer) -> None:
    container, prefix = azurite.destination()
    with Proxy(azurite.url) as proxy:
        service = azurite.client(url=proxy.url)
        blob = service.get_blob_client(container, f"{prefix}blob")
        blob.upload_blob(b"content")
        blob.get_blob_properties()
        blob.download_blob().readall()
        blob.stage_block("MQ==", b"block")
        blob.commit_block_list([BlobBlock("MQ==")])
        blob.get_block_list()
        blob.set_blob_metadata({"k": "v"})
        list(service.get_container_client(container).list_blobs())
        service.get_container_client(container).exists()
        blob.delete_blob()
    assert proxy.operations() == [
        "PutBlob", "HeadBlob", "GetBlob", "PutBlock", "PutBlockList", "GetBlockList", "SetBlobMetadata",
        "ListBlobs", "GetContainerProperties", "DeleteBlob",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["passing on", "checking"])
def test_large_bodies_pass_both_ways_in_bounded_memory(rclone: S3Server, tmp_path: Path, how: str) -> None:
    bucket, prefix = rclone.destination()
    at = {"Bucket": bucket, "Key": f"{prefix}large"}
    block = bytes(range(251)) * 4177
    with (tmp_path / "large").open("wb") as file:
        while file.tell() < LARGE:
            file.write(block)
    with Proxy(rclone.url, checking=how == "checking") as proxy, (tmp_path / "large").open("rb") as file:
        client = rclone.client(url=proxy.url)
        before = forget_peak()
        client.put_object(**at, Body=file)
        there = hashlib.sha256()
        for piece in client.get_object(**at)["Body"].iter_chunks(1 << 20):
            there.update(piece)
        assert peak() - before < A_LITTLE
        file.seek(0)
        assert there.hexdigest() == hashlib.file_digest(file, "sha256").hexdigest()
        assert proxy.seen[0].headers["expect"] == "100-continue"


def test_what_the_server_refuses_before_the_body_comes_back_without_it(rclone: S3Server) -> None:
    with Proxy(rclone.url) as proxy, socket.create_connection((LOCALHOST, proxy.port), 30) as client:
        client.sendall(
            b"PUT /shared/k HTTP/1.1\r\nHost: unsigned\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(1024).startswith(b"HTTP/1.1 400 ")
        assert proxy.operations() == ["PutObject"]


def test_one_connection_serves_many_requests(seaweed: S3Server) -> None:
    bucket, prefix = seaweed.destination()
    with Proxy(seaweed.url) as proxy:
        client = seaweed.client(url=proxy.url)
        for number in range(20):
            client.put_object(Bucket=bucket, Key=f"{prefix}{number}", Body=b"content")
        assert proxy.connections == 1


def test_many_connections_are_served_at_once(seaweed: S3Server) -> None:
    bucket, prefix = seaweed.destination()
    with Proxy(seaweed.url) as proxy:
        client = seaweed.client(url=proxy.url)
        together = threading.Barrier(8)

        def put(number: int) -> bytes:
            at = {"Bucket": bucket, "Key": f"{prefix}{number}"}
            together.wait()
            client.put_object(**at, Body=b"%d" % number)
            content: bytes = client.get_object(**at)["Body"].read()
            return content

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(put, range(8))) == [b"%d" % number for number in range(8)]


def test_nobody_listens_while_it_is_down(moto: S3Server) -> None:
    bucket, _ = moto.destination()
    with Proxy(moto.url) as proxy:
        client = moto.client(url=proxy.url)
        client.head_bucket(Bucket=bucket)
        with proxy.down(), pytest.raises(EndpointConnectionError):
            client.head_bucket(Bucket=bucket)
        client.head_bucket(Bucket=bucket)


# --- TLS ---


def test_it_speaks_https_with_the_certificate_that_it_is_given(moto: S3Server, authority: Authority) -> None:
    bucket, _ = moto.destination()
    with Proxy(moto.url, tls=authority.good.context()) as proxy:
        moto.client(url=proxy.url, ca_file=authority.ca_file).head_bucket(Bucket=bucket)
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            moto.client(url=proxy.url).head_bucket(Bucket=bucket)


@pytest.mark.parametrize(
    ("which", "why"), [("other_host", "not valid for|doesn't match"), ("expired", "has expired")]
)
def test_bad_certificates_are_refused_by_clients(
    moto: S3Server, authority: Authority, which: str, why: str
) -> None:
    bad: Certificate = getattr(authority, which)
    with Proxy(moto.url, tls=bad.context()) as proxy:
        client = moto.client(url=proxy.url, ca_file=authority.ca_file)
        with pytest.raises(SSLError, match=why):
            client.head_bucket(Bucket="shared")
        assert proxy.seen == []


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_does_not_speak_tls_is_sent_away(moto: S3Server, authority: Authority, said: bytes) -> None:
    bucket, _ = moto.destination()
    with Proxy(moto.url, tls=authority.good.context()) as proxy:
        with socket.create_connection((LOCALHOST, proxy.port), 30) as client:
            client.sendall(said)
        moto.client(url=proxy.url, ca_file=authority.ca_file).head_bucket(Bucket=bucket)
        assert proxy.operations() == ["HeadBucket"]


def test_it_speaks_https_on_both_sides(azurite_tls: AzureServer, authority: Authority) -> None:
    container, prefix = azurite_tls.destination()
    front, back = authority.good.context(), authority.trusting()
    with Proxy(azurite_tls.url, tls=front, upstream_tls=back) as proxy:
        blob = azurite_tls.client(Tokens(), url=proxy.url).get_blob_client(container, f"{prefix}blob")
        blob.upload_blob(b"content")
        assert blob.download_blob().readall() == b"content"
        assert proxy.operations() == ["PutBlob", "GetBlob"]
