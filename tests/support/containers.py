"""An Azure store as the tests open it: small blocks, real clocks."""

import random
import time
from pathlib import Path
from typing import Final

from artifactd.clock import Clock
from artifactd.stores.azure.account import Access, Endpoint
from artifactd.stores.azure.blob_options import Storing
from artifactd.stores.azure.container import Container
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory, UploadLog
from tests.servers.azure import AzureServer

BLOCK: Final = 64 << 10
"""Bytes: the smallest block that the configuration takes."""

CLOCK: Final = Clock(time.monotonic, time.time, random.random)


def a_container(
    server: AzureServer,
    place: tuple[str, str],
    *,
    url: str = "",
    access: Access | None = None,
    storing: Storing | None = None,
    authorities: Path | None = None,
    throttle: Throttle | None = None,
    read_seconds: float = 30.0,
    clock: Clock = CLOCK,
) -> Container:
    """The server's container, reached at `url` where that is another than its own."""
    return Container(
        Endpoint(
            place[0],
            url or server.url,
            authorities=authorities or server.ca_file,
            connect_seconds=5.0,
            read_seconds=read_seconds,
        ),
        access or Access(server.account, server.key),
        storing or Storing(),
        clock,
        throttle,
    )


def a_store(
    server: AzureServer,
    place: tuple[str, str],
    container: Container | None = None,
    *,
    upload_log: UploadLog | None = None,
    clock: Clock = CLOCK,
    block: int = 2 << 20,
) -> ObjectStore:
    """A new store on this place, as another daemon would open it."""
    return ObjectStore(
        "azure",
        container or a_container(server, place, clock=clock),
        prefix=place[1].rstrip("/"),
        part_size=block,
        connections=4,
        abandon_after=86400.0,
        upload_log=upload_log or InMemory(),
        clock=clock,
    )
