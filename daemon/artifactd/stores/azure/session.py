"""Who we are to Azure, and how it is reached: what the SDK knows better than we do."""

import base64
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from artifactd import __version__
from artifactd.config.destinations.azure import AzureAccess, AzureTable
from artifactd.stores.azure.account import Account, TokenSource, account
from artifactd.stores.azure.answers import Request
from artifactd.stores.azure.sdk_errors import answered
from artifactd.stores.base import Denied
from artifactd.stores.http.connect import trust
from artifactd.stores.objects.in_time import InTime

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

VERSION: Final = "2025-05-05"
"""x-ms-version: of the protocol. The oldest SDK that is allowed speaks it; newer is not needed."""

_SCOPE: Final = "https://storage.azure.com/.default"
_EARLY: Final = 300.0
"""Seconds before its end that a token is renewed, as azure-core does."""
_TOKEN_SECONDS: Final = 120.0
"""That getting a token may take in all: azure-identity tries one way after the other."""

RANGES: Final = {"retry_total": 2, "retry_connect": 1, "retry_read": 1}
"""What the SDK may repeat: ranges of a read, after a second or two, as only it knows which comes next. All
else is repeated by us, who heed Retry-After and end when the store is closed."""

RANGE: Final = 8 << 20
"""Bytes read back at a time, and held in memory."""


class Bearer(TokenSource):
    """One token of Entra ID for both ways to the account, kept until it is about to end.

    Threads may ask at the same time; `now` tells seconds since the epoch.
    """

    def __init__(self, source: TokenSource, now: Callable[[], float]) -> None:
        self._source = source
        self._now = now
        self._in_time = InTime("Entra ID", _TOKEN_SECONDS)
        self._lock = Lock()
        self._got: Any = None
        self._ends = 0.0

    def token(self) -> str:
        """A token that holds now.

        Raises:
            Denied: the identity gets none.
            Unavailable: whoever gives tokens cannot be reached.
        """
        return str(self.get_token(_SCOPE).token)

    def kept(self) -> str | None:
        """The token, where it can be told without asking or waiting."""
        got = self._got
        return None if got is None or self._now() > self._ends - _EARLY else str(got.token)

    def get_token(self, *scopes: str, **options: Any) -> Any:  # noqa: ANN401 - azure-core's protocol
        """As `TokenSource.get_token`, which the SDK asks. Raises as `token`."""
        del scopes, options  # nobody asks for another scope
        with self._lock:
            if self._now() > self._ends - _EARLY:
                asked = partial(self._in_time, partial(self._source.get_token, _SCOPE), 0, "Entra ID")
                self._got = answered(Request("Entra ID", "GetToken"), asked)
                self._ends = float(self._got.expires_on)
            return self._got

    def forget(self) -> None:
        """The token was not believed: ask for another one."""
        with self._lock:
            self._ends = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with the account."""

    account: Account
    client: "ContainerClient" = field(repr=False)
    bearer: Bearer | None
    """None: a key or a SAS token opens the account"""
    tls: ssl.SSLContext


def opened(
    access: AzureAccess,
    table: AzureTable,
    identity: TokenSource | None,
    sent: Callable[[str], None],
    now: Callable[[], float],
) -> Opened:
    """A session. Nothing is sent.

    `identity` takes the place of azure-identity's DefaultAzureCredential; `sent` hears the operation of each
    request of the SDK; `now` tells seconds since the epoch.

    Raises:
        Denied: there are no credentials, or they or the address cannot be used.
    """
    found = account(access)
    bearer = None if found.key or found.sas else Bearer(identity or _identity(), now)
    if bearer is not None and urlsplit(found.url).scheme != "https":
        raise Denied("tokens of Entra ID go over https only: mend [azure] endpoint_url, or set a key")
    if found.sas and not table.sas_over_http and _goes_open_by_proxy(found.url):
        raise Denied(
            "the SAS token would go unencrypted to the proxy of HTTP_PROXY: set NO_PROXY for the account's "
            "host, write https in its address, or set sas_over_http in [azure]"
        )
    authorities = _authorities(table.cert_location)
    request = Request("Azure cannot be used as configured", "Open")
    credential = _credential(found) if bearer is None else bearer
    client = answered(request, lambda: _client(found, credential, table, authorities, sent))
    return Opened(found, client, bearer, _context(authorities))


def _goes_open_by_proxy(url: str) -> bool:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - a run that sends nothing does not pay for it

    parts = urlsplit(url)
    return parts.scheme == "http" and "http" in getproxies() and not proxy_bypass(parts.netloc)


def _credential(found: Account) -> Any:  # noqa: ANN401 - one of two classes of azure-core
    from azure.core.credentials import (  # noqa: PLC0415 - a run that sends nothing does not pay for it
        AzureNamedKeyCredential,
        AzureSasCredential,
    )

    if found.key:
        return AzureNamedKeyCredential(found.name, base64.b64encode(found.key).decode())
    return AzureSasCredential(found.sas)


def _client(
    found: Account,
    credential: Any,  # noqa: ANN401 - one of three classes
    table: AzureTable,
    authorities: Path,
    sent: Callable[[str], None],
) -> "ContainerClient":
    from azure.storage.blob import BlobServiceClient, LinearRetry  # noqa: PLC0415 - as azure.core

    service = BlobServiceClient(
        found.url,
        credential,
        api_version=VERSION,
        connection_timeout=table.connect_timeout_seconds,
        read_timeout=table.read_timeout_seconds,
        connection_verify=str(authorities),
        permit_redirects=False,
        retry_policy=LinearRetry(backoff=1, retry_total=0),  # see RANGES
        raw_request_hook=lambda request: sent(_operation(request.http_request)),
        max_single_get_size=RANGE,
        max_chunk_get_size=RANGE,
        user_agent=f"artifactd/{__version__}",
    )
    return service.get_container_client(table.container)


def _operation(request: Any) -> str:  # noqa: ANN401 - azure-core has two classes of requests
    if "comp=list" in urlsplit(request.url).query.split("&"):
        return "ListBlobs"
    return "HeadBlob" if request.method == "HEAD" else "GetBlob"


def _identity() -> TokenSource:
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - an extra that not everybody installs
    except ImportError:
        raise Denied(
            "there are no credentials for Azure: set an account key, a SAS token or a connection string; "
            "for an identity of Entra ID, install artifactd[azure-identity]"
        ) from None
    source: TokenSource = DefaultAzureCredential()
    return source


def _authorities(chosen: Path | None) -> Path:
    """The certificates that both ways to the account are checked with: chosen, or as the SDK chooses."""
    import certifi  # noqa: PLC0415 - as azure.core

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return chosen or Path(named or certifi.where())


def _context(authorities: Path) -> ssl.SSLContext:
    try:
        return trust(directory=authorities) if authorities.is_dir() else trust(authorities)
    except OSError as error:
        raise Denied(f"no certificates can be read from {authorities}: mend [azure] cert_location") from error
