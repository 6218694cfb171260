"""The lean way of bytes into a bucket: signed requests over our own connections, with boto3's credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from artifactd.artifact import Digest
from artifactd.clock import Clock
from artifactd.config.destinations.s3 import S3Endpoint
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.s3 import checksums
from artifactd.stores.s3.answers import FOREIGN, meaning, of_xml
from artifactd.stores.s3.checksums import SHA256_HEADER, Checked
from artifactd.stores.s3.sdk_errors import KEYS
from artifactd.stores.s3.session import Opened
from artifactd.stores.s3.sigv4 import path, query, signed

_OK = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """What the server says that it keeps."""

    etag: str
    digest: Digest | None
    """of the bytes; None where it does not say"""


class DirectPut:
    """Signs and sends, in `loop`. `sent` hears each operation."""

    def __init__(  # noqa: PLR0917 - one of each, and each of a type of its own
        self,
        session: Opened,
        endpoint: S3Endpoint,
        clock: Clock,
        sent: Callable[[str], None],
        throttle: Throttle | None,
        loop: Loop,
    ) -> None:
        self.loop = loop
        self._session, self._clock, self._sent = session, clock, sent
        server = Server.at(session.url, session.tls, endpoint.connect_seconds, endpoint.read_seconds, KEYS)
        self._client = Client(server, throttle, clock.monotonic, loop)

    async def put(
        self, operation: str, key: str, queried: Mapping[str, str], headers: Mapping[str, str], body: Checked
    ) -> Kept:
        """Send the bytes to `key`.

        Raises:
            StoreError: what the answer means; see `answers` and `Client.request`.
            OSError: the source cannot be read.
        """
        credentials = self._session.kept()
        if credentials is None:
            credentials = await self.loop.aside(self._session.credentials)
        target, asked = self._session.root + path(key), query(queried)
        signed_headers = signed(
            "PUT",
            target,
            asked,
            {"host": self._client.server.address, **headers},
            body.sha256,
            datetime.fromtimestamp(self._clock.now(), UTC),
            credentials,
            self._session.region,
        )
        del signed_headers["host"]  # the client says it
        self._sent(operation)
        answer = await self._client.request(
            "PUT", f"{target}?{asked}" if asked else target, signed_headers, body.body
        )
        if answer.status != _OK:
            code, sentence = of_xml(answer.body)
            raise meaning(answer.status, code, sentence, answer.headers, key, operation)
        etag = answer.headers.get("etag")
        if not etag:
            raise Unanswered(FOREIGN, key)
        return Kept(etag, checksums.proven(answer.headers.get(SHA256_HEADER, ""), "", None))
