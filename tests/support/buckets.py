"""An S3 store as the tests open it: small parts, real clocks."""

import random
import time
from pathlib import Path
from typing import Final

from artifactd.clock import Clock
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory, UploadLog
from artifactd.stores.s3.bucket import Bucket
from artifactd.stores.s3.checksums import Verified
from tests.servers.s3 import REGION, Credentials, S3Server

PART: Final = 5 << 20
"""Bytes: the smallest part that S3 takes."""

CLOCK: Final = Clock(time.monotonic, time.time, random.random)


def a_bucket(
    server: S3Server,
    place: tuple[str, str],
    *,
    url: str = "",
    credentials: Credentials | None = None,
    table: S3Table | None = None,
    verified: Verified | None = None,
    authorities: Path | None = None,
    throttle: Throttle | None = None,
    read_seconds: float = 30.0,
    clock: Clock = CLOCK,
) -> Bucket:
    """The server's bucket, reached at `url` where that is another than its own."""
    signed = credentials or server.credentials
    return Bucket(
        S3Endpoint(
            place[0],
            REGION,
            url or server.url,
            AddressingStyle.PATH,
            authorities=authorities,
            connect_seconds=5.0,
            read_seconds=read_seconds,
        ),
        S3Access(signed.access_key, signed.secret_key),
        table or S3Table(),
        clock,
        verified,
        throttle,
        probe_key="probes/" + place[1] + "probe",
    )


def a_store(
    server: S3Server,
    place: tuple[str, str],
    bucket: Bucket | None = None,
    *,
    upload_log: UploadLog | None = None,
    abandon_after: float = 86400.0,
    clock: Clock = CLOCK,
) -> ObjectStore:
    """A new store on this place, as another daemon would open it."""
    return ObjectStore(
        "s3",
        bucket or a_bucket(server, place, clock=clock),
        prefix=place[1].rstrip("/"),
        part_size=PART,
        connections=4,
        abandon_after=abandon_after,
        upload_log=upload_log or InMemory(),
        clock=clock,
    )
