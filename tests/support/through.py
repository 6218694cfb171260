"""A store whose every request goes through a proxy, which records and spoils them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from botocore.exceptions import ClientError

from artifactd.clock import Clock
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory, UploadLog
from artifactd.stores.s3.bucket import Bucket
from tests.servers.faults import Fault, Seen, What, anything, of
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.support.buckets import CLOCK, PART, a_bucket
from tests.support.harness import a_put, receipt

CONNECTIONS: Final = 4

CALM: Final = Clock(CLOCK.monotonic, CLOCK.now, lambda: 0.0)
"""Without chance: the shortest pauses that there are."""


@dataclass
class Through:
    """A place on a server that stores reach by `proxy`, and a plain client that does not."""

    server: S3Server
    proxy: Proxy
    place: tuple[str, str]
    client: Any
    _stores: list[ObjectStore] = field(default_factory=list)

    def store(
        self,
        bucket: Bucket | None = None,
        *,
        ready: bool = True,
        upload_log: UploadLog | None = None,
        abandon_after: float = 86400.0,
        clock: Clock = CALM,
        signing: Clock = CALM,
        part_size: int = PART,
        **options: Any,  # noqa: ANN401 - of `a_bucket`
    ) -> ObjectStore:
        """A new store. One that is `ready` has put something already, and nothing is recorded of that."""
        bucket = bucket or a_bucket(self.server, self.place, url=self.proxy.url, clock=signing, **options)
        store = ObjectStore(
            "s3",
            bucket,
            prefix=self.place[1].rstrip("/"),
            part_size=part_size,
            connections=CONNECTIONS,
            abandon_after=abandon_after,
            upload_log=upload_log or InMemory(),
            clock=clock,
        )
        self._stores.append(store)
        if ready:
            receipt(store.put([a_put("ready", b"")]))
            self.proxy.seen.clear()
        return store

    def spoil(self, what: What, *operations: str, times: float = 1) -> None:
        """Let this happen to the next requests for these operations, or for any."""
        self.proxy.faults.append(Fault(what, of(*operations) if operations else anything, times))

    def at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.place[0], "Key": self.place[1] + key}

    def plant(self, key: str, content: bytes) -> str:
        return str(self.client.put_object(**self.at(key), Body=content)["ETag"])

    def content(self, key: str) -> bytes | None:
        try:
            content: bytes = self.client.get_object(**self.at(key))["Body"].read()
        except ClientError:
            return None
        return content

    def mark(self, key: str) -> object:
        """Another one after each write, of the same bytes too."""
        told = self.client.head_object(**self.at(key))
        return told["ETag"], told["LastModified"], told.get("Metadata", {}).get("attempt")

    def uploads(self) -> list[tuple[str, str]]:
        """Key and name of each multipart upload that is not ended."""
        told = self.client.list_multipart_uploads(Bucket=self.place[0])
        mine = [one for one in told.get("Uploads", ()) if one["Key"].startswith(self.place[1])]
        return [(one["Key"].removeprefix(self.place[1]), one["UploadId"]) for one in mine]

    def seen(self, operation: str) -> list[Seen]:
        return [seen for seen in list(self.proxy.seen) if seen.operation == operation]

    @property
    def operations(self) -> list[str]:
        return self.proxy.operations()

    def close(self) -> None:
        for store in self._stores:
            store.close()


@contextmanager
def through(server: S3Server, place: tuple[str, str] | None = None) -> Iterator[Through]:
    with Proxy(server.url) as proxy:
        found = Through(server, proxy, place or server.destination(), _client(server))
        try:
            yield found
        finally:
            found.close()


@cache
def _client(server: S3Server) -> Any:  # noqa: ANN401 - boto3 makes the class at run time
    return server.client()
