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
    "more", ["", "<NextContinuationToken>the same</NextContinuationToken>", "<Contents/>"]
)
def test_a_list_that_does_not_go_on_is_no_list(more: str) -> None:
    page = PAGE.format(more).encode()

    def script(connected: socket.socket) -> None:
        while True:
            request(connected)
            connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)

    with serving(script) as server:
        endpoint = S3Endpoint(
            "bucket", "us-east-1", f"http://{LOCALHOST}:{server.port}", AddressingStyle.PATH
        )
        bucket = Bucket(endpoint, S3Access("key", "secret"), S3Table(), SYSTEM)
        with pytest.raises(Unavailable, match=FOREIGN[:20]):
            list(bucket.list("exports/"))
        bucket.close()
