"""A container: what writes goes by requests of our own, what reads is the SDK's."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

from artifactd.clock import Clock
from artifactd.config.destinations.azure import AzureAccess, AzureTable
from artifactd.stores.azure import blob_options
from artifactd.stores.azure.account import TokenSource, account
from artifactd.stores.azure.answers import FOREIGN, Request
from artifactd.stores.azure.direct_put import DirectPut
from artifactd.stores.azure.sdk_errors import answered
from artifactd.stores.azure.session import RANGE, RANGES, Opened, opened
from artifactd.stores.base import Put, Unavailable
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.bodies import content_md5
from artifactd.stores.http.deadline import LEAST_RATE
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Body, Piece
from artifactd.stores.objects.in_time import InTime
from artifactd.stores.objects.listing import Page, listed
from artifactd.stores.objects.request_counts import RequestCounts
from artifactd.stores.objects.retry_after import Retry
from artifactd.stores.objects.server import Absent, Expected, Head, Metadata, Objects, Taken, condition

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties


T = TypeVar("T")


class Container(Objects):
    """One container. Its session is opened by the first request.

    Azure honours conditions and checks the MD5 of every request, so there is nothing to find out before the
    first put, and nothing is sent for it: a wrong container or wrong credentials are told by the put itself.
    """

    def __init__(
        self,
        access: AzureAccess,
        table: AzureTable,
        clock: Clock,
        throttle: Throttle | None = None,
        identity: TokenSource | None = None,
        *,
        least_rate: float = LEAST_RATE,
    ) -> None:
        self._access, self._table = access, table
        self._clock, self._throttle, self._identity = clock, throttle, identity
        self._lock = Lock()
        self._session: tuple[Opened, DirectPut] | None = None
        self._sent = RequestCounts()
        self._retry = Retry(clock)
        self.loop = Loop(f"send-{urlsplit(access.url).hostname or 'azure'}")
        self._in_time = InTime(
            urlsplit(access.url).hostname or "Azure",
            table.connect_timeout_seconds + table.read_timeout_seconds,
            least_rate,
        )

    # --- the session ---

    def _opened(self) -> tuple[Opened, DirectPut]:
        with self._lock:
            if self._session is None:
                session = opened(self._access, self._table, self._identity, self._sent.count, self._clock.now)
                direct = DirectPut(
                    session, self._table, self._clock, self._sent.count, self._throttle, self.loop
                )
                self._session = session, direct
            return self._session

    def _request(self, what: str, operation: str) -> Request:
        session, _ = self._opened()
        ends, begins = session.account.sas_ends, session.account.sas_begins
        return Request(what, operation, now=self._clock.now(), sas_ends=ends, sas_begins=begins)

    def _asked(self, request: Request, act: Callable[[], T]) -> T:
        """What `act` returns, which asks by the SDK for no more than a range. Raises as `answered`."""
        return answered(request, lambda: self._in_time(act, RANGE, request.what))

    def requests(self) -> Mapping[str, int]:
        """As `Objects.requests`."""
        return self._sent.counts()

    def close(self) -> None:
        """As `Objects.close`."""
        self._retry.end()
        if self._session is not None:
            session, _ = self._session
            session.client.close()
        self.loop.close()

    # --- writes ---

    def ready(self) -> None:
        """As `Objects.ready`. Nothing is sent: a first small file costs one request."""
        self._opened()

    async def put(self, key: str, put: Put, metadata: Metadata, expected: Expected) -> str:
        """As `Objects.put`, by Put Blob."""
        content = put.source.content
        body = Piece(put.source.fd, 0, put.size) if content is None else content
        md5 = await self._md5(body, bytes.fromhex(put.digest), key)
        headers = {"x-ms-blob-type": "BlockBlob", "content-md5": md5}
        return await self._made("PutBlob", key, {}, headers, body, metadata, expected)

    def begin(self, key: str, put: Put, metadata: Metadata) -> str:  # noqa: ARG002 - Amazon wants to know of them
        """As `Objects.begin`. Azure knows no uploads: the name is ours, and makes the blocks' names ours."""
        return uuid4().hex

    async def part(self, key: str, upload: str, number: int, piece: Body, digest: bytes) -> str:
        """As `Objects.part`, by Put Block. The name is the block's id."""
        what = f"{key}, part {number}"
        name, md5 = block_id(upload, number), await self._md5(piece, digest, what)
        direct = await self._direct()
        queried = {"comp": "block", "blockid": name}
        await direct.put(Request(what, "PutBlock"), key, queried, {"content-md5": md5}, piece)
        return name

    def complete(  # noqa: PLR0917 - as Objects.complete
        self,
        key: str,
        upload: str,
        names: Mapping[int, str],
        put: Put,
        metadata: Metadata,
        expected: Expected,
    ) -> str:
        """As `Objects.complete`, by Put Block List. Only blocks that are in no blob yet are put together."""
        del upload, put
        blocks = "".join(f"<Uncommitted>{names[number]}</Uncommitted>" for number in sorted(names))
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        headers = {"content-md5": content_md5(body, hashlib.sha256(body).digest(), key)}
        made = self._made("PutBlockList", key, {"comp": "blocklist"}, headers, body, metadata, expected)
        return self.loop.run(made)

    async def _made(  # noqa: PLR0917 - the parts of a request, in their order
        self,
        operation: str,
        key: str,
        queried: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body,
        metadata: Metadata,
        expected: Expected,
    ) -> str:
        """Send what makes a blob. Returns its ETag."""
        sent = {
            **headers,
            "x-ms-blob-content-type": "application/octet-stream",
            **blob_options.headers(self._table, self._clock.now()),
            # Whether a run of spaces is signed as it is or as one is told in two ways: here is none.
            **{f"x-ms-meta-{name}": value.replace("  ", " %20") for name, value in metadata.items()},
            **condition(expected),
        }
        direct = await self._direct()
        return await direct.put(
            Request(key, operation, isinstance(expected, Absent)), key, queried, sent, body
        )

    async def _direct(self) -> DirectPut:
        session = self._session
        _, direct = await self.loop.aside(self._opened) if session is None else session
        return direct

    async def _md5(self, body: Body, digest: bytes, what: str) -> str:
        """As `content_md5`: a file is read aside."""
        hashed = partial(content_md5, body, digest, what)
        return hashed() if isinstance(body, bytes) else await self.loop.aside(hashed)

    def abandon(self, key: str, upload: str) -> None:
        """As `Objects.abandon`. Nothing is sent.

        Azure has no request to drop blocks but to delete or overwrite the blob, which is not ours to do. It
        drops by itself what was not put together for a week ("Put Block", Azure Storage REST API).
        """

    # --- reads ---

    def head(self, key: str, like: Put | None = None) -> Head | None:  # noqa: ARG002 - MD5 proves nothing to us
        """As `Objects.head`."""
        session, _ = self._opened()
        blob = session.client.get_blob_client(key)
        try:
            properties = self._asked(self._request(key, "HeadBlob"), blob.get_blob_properties)
        except Taken:
            return None
        if not properties.etag:
            raise Unavailable(FOREIGN, key)
        metadata = {name.lower(): value for name, value in (properties.metadata or {}).items()}
        return Head(properties.size, properties.etag, metadata.get("attempt", ""), None)

    def read(self, key: str) -> Iterator[bytes] | None:
        """As `Objects.read`: in ranges of one version, so that the bytes of two are never mixed."""
        session, _ = self._opened()
        request, blob = self._request(key, "GetBlob"), session.client.get_blob_client(key)
        try:
            stream = self._asked(request, partial(blob.download_blob, **RANGES))
        except Taken:
            return None
        chunks = stream.chunks()
        return _each(lambda: self._asked(request, partial(next, chunks, None)))

    def list(self, prefix: str) -> Iterator[str]:
        """As `Objects.list`. Folders of an account with a hierarchical namespace are no objects."""
        session, _ = self._opened()
        request = self._request(f"a list of {self._table.container}/{prefix}", "ListBlobs")
        blobs = session.client.list_blobs(name_starts_with=prefix, include=["metadata"])

        def page(after: str) -> Page:
            pages = blobs.by_page(after or None)
            try:
                names = [blob.name for blob in next(pages) if not _is_folder(blob)]
            except AttributeError:  # the SDK's own, of an answer that is no list
                raise Unavailable(FOREIGN, request.what) from None
            return Page(names, getattr(pages, "continuation_token", None) or "")

        return listed(
            lambda after: self._retry(partial(self._asked, request, partial(page, after))), request.what
        )

    def uri(self, key: str) -> str:
        """The blob's address, without what opens it."""
        root = account(self._access).url
        return f"{root}/{self._table.container}/{quote(key, safe='/~')}"


def block_id(upload: str, number: int) -> str:
    """The id of a block: of one length for all blocks of a blob, and of no other upload ("Put Block")."""
    return base64.b64encode(f"{upload}-{number:06}".encode()).decode()


def _each(step: Callable[[], T | None]) -> Iterator[T]:
    while (item := step()) is not None:
        yield item


def _is_folder(blob: "BlobProperties") -> bool:
    """As the Data Lake interface marks folders for those who do not know of them."""
    return (blob.metadata or {}).get("hdi_isfolder", "").lower() == "true"
