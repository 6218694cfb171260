"""The lean way of bytes into a container: requests signed by us, over our own connections."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from artifactd.clock import Clock
from artifactd.config.destinations.azure import AzureTable
from artifactd.stores.azure.answers import FOREIGN, Request, meaning, of_answer
from artifactd.stores.azure.blob_options import dated
from artifactd.stores.azure.sdk_errors import KEYS
from artifactd.stores.azure.session import VERSION, Opened
from artifactd.stores.azure.sharedkey import authorization
from artifactd.stores.base import StoreError
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.bodies import size_of
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Answer, Body, Unanswered

_CREATED = 201
_REDIRECTION = 300
_UNBELIEVED = 401


class DirectPut:
    """Signs and sends, in `loop`. `sent` hears each operation."""

    def __init__(  # noqa: PLR0917 - one of each, and each of a type of its own
        self,
        session: Opened,
        table: AzureTable,
        clock: Clock,
        sent: Callable[[str], None],
        throttle: Throttle | None,
        loop: Loop,
    ) -> None:
        self._session, self._clock, self._sent, self._loop = session, clock, sent, loop
        parts = urlsplit(session.account.url)
        self._root = f"{parts.path}/{table.container}/"
        server = Server.at(
            session.account.url,
            session.tls,
            table.connect_timeout_seconds,
            table.read_timeout_seconds,
            KEYS,
        )
        self._client = Client(server, throttle, clock.monotonic, loop)

    async def put(
        self, request: Request, key: str, queried: Mapping[str, str], headers: Mapping[str, str], body: Body
    ) -> str:
        """Send the bytes; `headers` have their MD5 for the server to check.

        Returns the ETag; a block has none: "".

        Raises:
            StoreError: what the answer means; see `answers` and `Client.request`. It shows no SAS token.
        """
        now = self._clock.now()
        path = self._root + quote(key, safe="/~")
        sent = {
            **headers,
            "x-ms-date": dated(datetime.fromtimestamp(now, UTC)),
            "x-ms-version": VERSION,
        }
        sent |= await self._authorized(path, queried, sent, size_of(body))
        self._sent(request.operation)
        answer = await self._client.request("PUT", self._target(path, queried), sent, body)
        if answer.status >= _REDIRECTION:
            account = self._session.account
            asked = replace(request, now=now, sas_ends=account.sas_ends, sas_begins=account.sas_begins)
            raise self._refused(answer, asked)
        etag = answer.headers.get("etag", "")
        if answer.status != _CREATED or (not etag and request.operation != "PutBlock"):
            raise Unanswered(FOREIGN, request.what)
        return etag

    async def _authorized(
        self, path: str, queried: Mapping[str, str], headers: Mapping[str, str], size: int
    ) -> dict[str, str]:
        account, bearer = self._session.account, self._session.bearer
        if bearer is not None:
            token = bearer.kept() or await self._loop.aside(bearer.token)
            return {"authorization": f"Bearer {token}"}
        if not account.key:
            return {}  # the SAS token goes with the query
        signed = {**headers, "content-length": str(size)}
        return {"authorization": authorization("PUT", path, queried, signed, account.name, account.key)}

    def _target(self, path: str, queried: Mapping[str, str]) -> str:
        pairs = [f"{name}={quote(value, safe='')}" for name, value in queried.items()]
        query = "&".join((*pairs, *filter(None, [self._session.account.sas])))
        return f"{path}?{query}" if query else path

    def _refused(self, answer: Answer, request: Request) -> StoreError:
        if answer.status == _UNBELIEVED and self._session.bearer is not None:
            self._session.bearer.forget()
        return meaning(of_answer(answer.status, answer.headers, answer.body), request)
