"""A bucket: the bytes of puts leave by requests of our own, everything else is boto3's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, Final
from urllib.parse import quote, urlsplit

from artifactd.clock import Clock
from artifactd.config.destinations.s3 import S3Access, S3Endpoint, S3Table
from artifactd.stores.base import CHUNK, Corrupt, Proof, Put, StoreError, Unavailable
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.deadline import LEAST_RATE
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Body, Unanswered
from artifactd.stores.objects.in_time import InTime
from artifactd.stores.objects.listing import Page, listed
from artifactd.stores.objects.request_counts import RequestCounts
from artifactd.stores.objects.retry_after import Retry
from artifactd.stores.objects.server import (
    Expected,
    Forgotten,
    Head,
    Holds,
    Metadata,
    Objects,
    Taken,
    condition,
)
from artifactd.stores.s3 import checksums, object_options
from artifactd.stores.s3.answers import FOREIGN
from artifactd.stores.s3.checksums import Checked, Verified, bare
from artifactd.stores.s3.direct_put import DirectPut
from artifactd.stores.s3.probe import checked, conditioned, parts_checked, probing
from artifactd.stores.s3.sdk_errors import answered
from artifactd.stores.s3.session import Opened, opened

PROBE: Final = "_artifactd/probe"
"""The key of the probe's object, below the prefix. It stays: nothing here can delete."""

_LONGEST_UPLOAD: Final = 2048
"""Characters of an upload's name, which goes into each address. Amazon's have some 130."""


class Bucket(Objects):
    """One bucket. Its session is opened by the first request.

    `chosen` None: a probe finds out what the server checks the bytes against. The probe's two small objects
    lie at `probe_key`.
    """

    def __init__(  # noqa: PLR0917 - one of each, and each of a type of its own
        self,
        endpoint: S3Endpoint,
        access: S3Access,
        table: S3Table,
        clock: Clock,
        chosen: Verified | None = None,
        throttle: Throttle | None = None,
        probe_key: str = PROBE,
        *,
        least_rate: float = LEAST_RATE,
    ) -> None:
        self._endpoint, self._access, self._table = endpoint, access, table
        self._clock, self._throttle = clock, throttle
        self._probe_key = probe_key
        self._chosen = chosen
        self._verified = chosen or Verified.SHA256
        self._bare = False
        self._lock = Lock()
        self._session: tuple[Opened, DirectPut] | None = None
        self._sent = RequestCounts()
        self._retry = Retry(clock)
        self.loop = Loop(f"send-{urlsplit(endpoint.url).hostname or 's3'}")
        self._in_time = InTime(
            urlsplit(endpoint.url).hostname or "S3",
            endpoint.connect_seconds + endpoint.read_seconds,
            least_rate,
        )

    # --- the session ---

    def _opened(self) -> tuple[Opened, DirectPut]:
        with self._lock:
            if self._session is None:
                opening = partial(opened, self._access, self._endpoint, self._sent.count)
                session = self._in_time(opening, CHUNK, "the credentials")
                direct = DirectPut(
                    session, self._endpoint, self._clock, self._sent.count, self._throttle, self.loop
                )
                self._session = session, direct
            return self._session

    def _ask(
        self,
        operation: str,
        key: str,
        *,
        lost: type[StoreError] = Unavailable,
        needs: tuple[str, ...] = (),
        size: int = CHUNK,
        **options: Any,  # noqa: ANN401 - boto3's, as its answers
    ) -> dict[str, Any]:
        """What boto3's `operation` answers. Raises what the answer means, or `lost` where it is none.

        An answer without any of `needs` is none of S3's, but of whoever stands between. It may take
        as long as `size` bytes do.
        """
        session, _ = self._opened()
        ask = getattr(session.client, operation)
        asked = {**object_options.asking(self._table), **options}
        with answered(key, lost):
            response: dict[str, Any] = self._in_time(
                partial(ask, Bucket=self._endpoint.bucket, Key=key, **asked), size, key, lost
            )
        if not all(response.get(name) is not None for name in needs):
            raise lost(FOREIGN, key)
        return response

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
        """As `Objects.ready`: by a probe of up to seventeen small requests."""
        _, direct = self._opened()
        headers = object_options.headers(object_options.of_put(self._table, self._clock.now()))
        asking = object_options.headers(object_options.asking(self._table))
        self._bare = False
        with probing():
            self._verified = self._chosen or checked(direct, self._probe_key, headers)
            checks = of_parts = self._verified is not Verified.NOTHING
            self.proof = _proof(checks=checks)
            probed = conditioned(self, self._probe_key)
            if checks and self._chosen is None:
                of_parts = parts_checked(self, direct, self._probe_key, asking, self._verified)
            self.proof_of_parts = _proof(checks=of_parts)
        self.honours, self._bare = probed.honours, probed.bare

    async def put(self, key: str, put: Put, metadata: Metadata, expected: Expected) -> str:
        """As `Objects.put`."""
        body = await self._checked(put.source.content, partial(checksums.whole, put, self._verified))
        headers = {
            **body.headers,
            **object_options.headers(object_options.of_put(self._table, self._clock.now())),
            **{f"x-amz-meta-{name}": value for name, value in metadata.items()},
            **condition(self._named(expected)),
        }
        return await self._kept("PutObject", key, {}, headers, body)

    def begin(self, key: str, put: Put, metadata: Metadata) -> str:  # noqa: ARG002 - Azure wants the put
        """As `Objects.begin`."""
        summed = self._verified is Verified.SHA256
        kinds = {"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"} if summed else {}
        options: dict[str, Any] = object_options.of_put(self._table, self._clock.now()) | kinds
        response = self._ask(
            "create_multipart_upload",
            key,
            needs=("UploadId",),
            Metadata=dict(metadata),
            **options,
        )
        upload = str(response["UploadId"])
        if len(upload) > _LONGEST_UPLOAD:
            raise Unavailable(FOREIGN, key)
        return upload

    async def part(self, key: str, upload: str, number: int, piece: Body, digest: bytes) -> str:
        """As `Objects.part`. The name is the part's ETag."""
        what = f"{key}, part {number}"
        body = await self._checked(piece, partial(checksums.part, piece, digest, self._verified, what))
        queried = {"partNumber": str(number), "uploadId": upload}
        headers = {**body.headers, **object_options.headers(object_options.asking(self._table))}
        return await self._kept("UploadPart", key, queried, headers, body)

    async def _checked(self, body: Body | None, checked: Callable[[], Checked]) -> Checked:
        """The bytes with what they are checked against: a file that has to be read for it is read aside."""
        if isinstance(body, bytes) or self._verified is Verified.SHA256:
            return checked()
        return await self.loop.aside(checked)

    async def _kept(
        self, operation: str, key: str, queried: Mapping[str, str], headers: Mapping[str, str], body: Checked
    ) -> str:
        """Send the bytes. Returns the ETag. Corrupt is raised, too, where the server says it got others."""
        _, direct = await self.loop.aside(self._opened) if self._session is None else self._session
        kept = await direct.put(operation, key, queried, headers, body)
        if kept.digest not in {None, body.sha256}:
            raise Corrupt(f"the server says that it got bytes with sha256 {kept.digest}", key)
        return kept.etag

    def complete(  # noqa: PLR0917 - as Objects.complete
        self,
        key: str,
        upload: str,
        names: Mapping[int, str],
        put: Put,
        metadata: Metadata,
        expected: Expected,
    ) -> str:
        """As `Objects.complete`. S3 got the metadata at the beginning."""
        del metadata
        summed = self._verified is Verified.SHA256
        parts = [
            {"PartNumber": number, "ETag": names[number]} | (checksums.of_part(put, number) if summed else {})
            for number in sorted(names)
        ]
        response = self._ask(
            "complete_multipart_upload",
            key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
            lost=Unanswered,
            needs=("ETag",),
            size=put.size,  # S3 puts large ones together for minutes
            **checksums.option(self._named(expected)),
        )
        checksum = response.get("ChecksumSHA256")
        if summed and checksum is not None and not checksums.fits(checksum, put):
            raise Corrupt("the server put together other bytes than were sent", key)
        if not response["ETag"]:  # Ceph RGW 16 says none: a look tells it
            raise Unanswered("the server put the parts together and does not name the version", key)
        return str(response["ETag"])

    def _named(self, expected: Expected) -> Expected:
        """`expected` with its version as this server wants it named."""
        return Holds(bare(expected.version)) if self._bare and isinstance(expected, Holds) else expected

    def abandon(self, key: str, upload: str) -> None:
        """As `Objects.abandon`."""
        with suppress(Forgotten, Taken):  # NoSuchUpload, and what other servers say instead
            self._ask("abort_multipart_upload", key, UploadId=upload)

    # --- reads ---

    def head(self, key: str, like: Put | None = None) -> Head | None:
        """As `Objects.head`."""
        try:
            response = self._ask("head_object", key, needs=("ETag", "ContentLength"), ChecksumMode="ENABLED")
        except Taken:
            return None
        checksum = response.get("ChecksumSHA256", "") if self._verified is Verified.SHA256 else ""
        if self.proof_of_parts is Proof.READ_BACK:
            like = None  # a checksum over parts is one of what the server was told
        digest = checksums.proven(checksum, response.get("ChecksumType", ""), like)
        said = response.get("Metadata", {})
        attempt, claimed = said.get("attempt", ""), said.get("sha256", "")
        return Head(response["ContentLength"], response["ETag"], attempt, digest, claimed)

    def read(self, key: str) -> Iterator[bytes] | None:
        """As `Objects.read`."""
        try:
            response = self._ask("get_object", key)
        except Taken:
            return None
        return self._chunks(key, response["Body"])

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:  # noqa: ANN401 - botocore's StreamingBody has no types
        with answered(key):
            try:
                yield from iter(partial(self._in_time, partial(body.read, CHUNK), CHUNK, key), b"")
            except GeneratorExit:
                body.close()  # the reader has enough. After an error a read may hang, and hold the body
                raise

    def list(self, prefix: str) -> Iterator[str]:
        """As `Objects.list`."""
        what = f"a list of {self._endpoint.bucket}/{prefix}"
        return listed(lambda after: self._retry(partial(self._page, prefix, after, what)), what)

    def _page(self, prefix: str, after: str, what: str) -> Page:
        session, _ = self._opened()
        ask = session.client.list_objects_v2
        place = {"ContinuationToken": after} if after else {}
        asked = {"Prefix": prefix, **place, **object_options.asking(self._table)}
        with answered(what):
            page = self._in_time(partial(ask, Bucket=self._endpoint.bucket, **asked), CHUNK, what)
        more, token = page.get("IsTruncated"), page.get("NextContinuationToken", "")
        if more is None or (more and not token):  # boto3 takes any XML, and nothing, for an empty list
            raise Unavailable(FOREIGN, what)
        return Page([one["Key"] for one in page.get("Contents", ()) if "Key" in one], token if more else "")

    def uri(self, key: str) -> str:
        """An s3: URI, as Amazon's own tools write it."""
        return f"s3://{self._endpoint.bucket}/{quote(key)}"


def _proof(*, checks: bool) -> Proof:
    return Proof.SERVER_CHECKSUM if checks else Proof.READ_BACK
