"""What a store gets from the daemon around it."""

from dataclasses import dataclass

from artifactd.clock import Clock
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.objects.unfinished import UploadLog


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is not the store's own configuration, and the same for whatever kind of store."""

    owner: str
    """tells this daemon's unfinished business in the store from another's"""
    used_before: bool
    """whether copies or anchors are on record there"""
    upload_log: UploadLog
    clock: Clock
    ignore_case: bool = False
    """whether whoever puts lets no two keys of an experiment differ only in case"""

    def throttle(self, bandwidth: int | None) -> Throttle | None:
        """What keeps a store to so many bytes per second; None: nothing does."""
        if bandwidth is None:
            return None
        import asyncio  # noqa: PLC0415 - it loads TLS, which only who sends needs

        return Throttle(bandwidth, self.clock.monotonic, asyncio.sleep)
