"""The lean way of bytes into a bucket: signed requests on our own wire, with boto3's credentials."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from artifactd.clock import Clock
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.client import Wire
from artifactd.stores.http.connect import peer
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.s3.answers import FOREIGN, meaning, of_xml
from artifactd.stores.s3.checksums import Checked
from artifactd.stores.s3.session import Endpoint, Opened
from artifactd.stores.s3.sigv4 import path, query, signed

_OK = 200


class Door:
    """Signs and sends. Threads may use it at the same time. `sent` hears each operation."""

    def __init__(
        self,
        session: Opened,
        endpoint: Endpoint,
        clock: Clock,
        sent: Callable[[str], None],
        throttle: Throttle | None,
    ) -> None:
        self._session, self._clock, self._sent = session, clock, sent
        to = peer(session.url, session.tls, endpoint.connect_seconds, endpoint.read_seconds)
        self._wire = Wire(to, throttle)

    def put(
        self, operation: str, key: str, queried: Mapping[str, str], headers: Mapping[str, str], body: Checked
    ) -> str:
        """Send the bytes to `key`. Returns the ETag.

        Raises:
            StoreError: what the answer means; see `answers` and `Wire.send`.
            OSError: the source cannot be read.
        """
        target, told = self._session.root + path(key), query(queried)
        signed_headers = signed(
            "PUT",
            target,
            told,
            {"host": self._wire.peer.address, **headers},
            body.sha256,
            datetime.fromtimestamp(self._clock.now(), UTC),
            self._session.credentials(),
            self._session.region,
        )
        del signed_headers["host"]  # the wire says it
        self._sent(operation)
        answer = self._wire.send("PUT", f"{target}?{told}" if told else target, signed_headers, body.body)
        if answer.status != _OK:
            code, said = of_xml(answer.body)
            raise meaning(answer.status, code, said, answer.headers, key)
        etag = answer.headers.get("etag")
        if not etag:
            raise Unanswered(f"{key}: {FOREIGN}")
        return etag

    def close(self) -> None:
        """Close idle connections."""
        self._wire.close()
