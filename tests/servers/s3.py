"""A running S3 server and what it is strict about; moto and rclone, which start at once."""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from tests.servers.child import installed, running
from tests.servers.ports import LOCALHOST, free_ports

REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is signed with."""

    access_key: str
    secret_key: str = field(repr=False)


ADMIN: Final = Credentials("AKIAADMIN", "the-secret-of-admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running server, and the facts about it that test_servers.py proves."""

    name: str
    url: str
    honours_conditions: bool
    """of PutObject: If-None-Match, If-Match"""
    matches_bare: bool = False
    """compares If-Match with the ETag without its quotes"""
    creates_on_completion: bool
    """honours If-None-Match of CompleteMultipartUpload too"""
    replaces_on_completion: bool
    """honours If-Match of CompleteMultipartUpload too"""
    verifies_sha256: bool
    verifies_md5: bool
    verifies_payloads: bool
    """that the body is the one that was signed, x-amz-content-sha256"""
    verifies_signatures: bool
    credentials: Credentials = ADMIN
    least: Credentials | None = None
    """may put, and read what it knows the key of; None: this server limits nobody"""
    limited: Credentials | None = None
    """may write alone: not read, not list, not delete; None: as `least`"""
    shared_bucket: str = "shared"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def access_key(self) -> str:
        """Of the account that may do everything."""
        return self.credentials.access_key

    @property
    def secret_key(self) -> str:
        """Of the account that may do everything."""
        return self.credentials.secret_key

    def client(
        self,
        credentials: Credentials | None = None,
        *,
        url: str | None = None,
        ca_file: Path | None = None,
        read_seconds: float = 60.0,
    ) -> Any:  # noqa: ANN401 - boto3 makes the class at run time
        """A plain client: no tries after the first, no checksums but those it is given."""
        signed = credentials or self.credentials
        return _session().client(
            "s3",
            endpoint_url=url or self.url,
            region_name=REGION,
            verify=None if ca_file is None else str(ca_file),
            aws_access_key_id=signed.access_key,
            aws_secret_access_key=signed.secret_key,
            config=Config(
                read_timeout=read_seconds,
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def new_bucket(self) -> str:
        """An empty bucket that nobody else uses."""
        bucket = f"bucket-{next(self._numbers)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def destination(self) -> tuple[str, str]:
        """A bucket and a prefix in it, ending with "/", that nobody else uses. Costs no request."""
        return self.shared_bucket, f"destination-{next(self._numbers)}/"

    def opened(self) -> "S3Server":
        """Itself, ready for `destination`. SeaweedFS takes its time for the first bytes in a bucket."""
        client = self.client()
        client.create_bucket(Bucket=self.shared_bucket)
        client.put_object(Bucket=self.shared_bucket, Key="first", Body=b"takes a volume")
        return self


@cache
def _session() -> Any:  # noqa: ANN401 - as `client`
    """One for all: it reads a megabyte of JSON for the first client."""
    return boto3.session.Session()


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """moto: Python, in memory. Honours conditions, ignores checksums."""
    (port,) = free_ports(1)
    with running(
        [sys.executable, "-m", "moto.server", "-H", LOCALHOST, "-p", str(port)], port=port, folder=folder
    ):
        yield S3Server(
            name="moto",
            url=f"http://{LOCALHOST}:{port}",
            honours_conditions=True,
            creates_on_completion=True,
            replaces_on_completion=False,
            verifies_sha256=False,
            verifies_md5=False,
            verifies_payloads=False,
            verifies_signatures=False,
        ).opened()


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    """`rclone serve s3`: files in a directory. Ignores conditions, verifies Content-MD5 alone."""
    (port,) = free_ports(1)
    (folder / "buckets").mkdir()
    command: list[str | Path] = [
        installed("rclone"), "serve", "s3", folder / "buckets", "--config", os.devnull,
        "--addr", f"{LOCALHOST}:{port}", "--auth-key", f"{ADMIN.access_key},{ADMIN.secret_key}",
    ]  # fmt: skip
    with running(command, port=port, folder=folder):
        yield S3Server(
            name="rclone",
            url=f"http://{LOCALHOST}:{port}",
            honours_conditions=False,
            creates_on_completion=False,
            replaces_on_completion=False,
            verifies_sha256=False,
            verifies_md5=True,
            verifies_payloads=False,
            verifies_signatures=True,
        ).opened()
