"""An Azure store as the tests open it: small blocks, real clocks."""

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from artifactd.clock import Clock
from artifactd.config.destinations.azure import AzureAccess, AzureTable
from artifactd.stores.azure.account import TokenSource
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
    access: AzureAccess | None = None,
    table: AzureTable | None = None,
    identity: TokenSource | None = None,
    authorities: Path | None = None,
    throttle: Throttle | None = None,
    read_seconds: float = 30.0,
    clock: Clock = CLOCK,
) -> Container:
    """The server's container, reached at `url` where that is another than its own."""
    return Container(
        replace(access or AzureAccess(server.account, key=server.key), url=url or server.url),
        replace(
            table or AzureTable(),
            container=place[0],
            cert_location=authorities or server.ca_file,
            connect_timeout_seconds=5.0,
            read_timeout_seconds=read_seconds,
        ),
        clock,
        throttle,
        identity,
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
