"""A bucket's answers that are well-formed and cannot be."""

import socket

import pytest

from artifactd.clock import SYSTEM
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.base import Unavailable
from artifactd.stores.s3.answers import FOREIGN
from artifactd.stores.s3.bucket import Bucket
from tests.servers.ports import LOCALHOST
from tests.support.scripted import request, serving

PAGE = "<ListBucketResult><IsTruncated>true</IsTruncated>{}</ListBucketResult>"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (PAGE.format(""), FOREIGN[:20]),
        (PAGE.format("<Contents/>"), FOREIGN[:20]),
        (PAGE.format("<NextContinuationToken>the same</NextContinuationToken>"), "goes on"),
        ("", FOREIGN[:20]),
        ("<html>Welcome to the hotel</html>", FOREIGN[:20]),
        ("<ListBucketResult/>", FOREIGN[:20]),
        ("<Error><Code>InternalError</Code></Error>", "InternalError|" + FOREIGN[:20]),
    ],
)
def test_a_list_that_is_none_or_does_not_go_on_is_no_empty_list(page: str, reason: str) -> None:
    sent = page.encode()

    def script(connected: socket.socket) -> None:
        request(connected)
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connected.sendall(head % len(sent) + sent)

    with serving(script) as server:
        endpoint = S3Endpoint(
            "bucket", "us-east-1", f"http://{LOCALHOST}:{server.port}", AddressingStyle.PATH
        )
        bucket = Bucket(endpoint, S3Access("key", "secret"), S3Table(), SYSTEM)
        with pytest.raises(Unavailable, match=reason):
            list(bucket.list("exports/"))
        bucket.close()
