"""From a container in the configuration to its store."""

from typing import Final

from artifactd.config.destinations.azure import Azure
from artifactd.stores.azure.container import Container
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.surroundings import Surroundings

_KEEPS_SECONDS: Final = 7 * 24 * 3600.0
"""What was not put together for so long Azure drops by itself ("Put Block", Azure Storage REST API)."""


def azure(destination: Azure, around: Surroundings) -> ObjectStore:
    """The store for `destination`. Nothing is sent yet."""
    container = Container(
        destination.access, destination.table, around.clock, around.throttle(destination.table.bandwidth)
    )
    return ObjectStore(
        destination.kind.value,
        container,
        prefix=destination.table.prefix,
        part_size=destination.table.block_size,
        connections=destination.table.connections,
        abandon_after=_KEEPS_SECONDS,
        upload_log=around.upload_log,
        clock=around.clock,
    )
