"""From a bucket in the configuration to its store."""

from typing import Final

from artifactd.config.destinations.s3 import S3, Checksum
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.s3.bucket import PROBE, Bucket
from artifactd.stores.s3.checksums import Verified
from artifactd.stores.surroundings import Surroundings

_DAY: Final = 24 * 3600.0
"""seconds"""


def s3(destination: S3, around: Surroundings) -> ObjectStore:
    """The store for `destination`. Nothing is sent yet."""
    table = destination.table
    bucket = Bucket(
        destination.endpoint,
        destination.access,
        table,
        around.clock,
        None if table.checksum is Checksum.AUTO else Verified(table.checksum.value),
        around.throttle(table.bandwidth),
        "/".join(filter(None, (table.prefix, PROBE))),
    )
    return ObjectStore(
        destination.kind.value,
        bucket,
        prefix=table.prefix,
        part_size=table.part_size,
        connections=table.connections,
        abandon_after=table.abandon_after_days * _DAY,
        upload_log=around.upload_log,
        clock=around.clock,
    )
