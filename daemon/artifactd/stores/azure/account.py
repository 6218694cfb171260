"""Which account, where it is, and who we are to it. Pure.

Connection strings are read here and not by the SDK, so that the address is known without loading it.
"Configure Azure Storage connection strings", Azure Storage documentation; a test holds this file to the SDK.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from artifactd.stores.base import Denied

_EMULATOR: Final = {
    "accountname": "devstoreaccount1",
    "accountkey": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "blobendpoint": "http://127.0.0.1:10000/devstoreaccount1",
}
"""What UseDevelopmentStorage=true stands for. Everybody knows this key: it opens an emulator."""


class TokenSource(Protocol):
    """Gives tokens of Entra ID, as a credential of azure-identity does."""

    def get_token(self, *scopes: str, **options: Any) -> Any:  # noqa: ANN401 - azure-core's protocol
        """A token for these scopes."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks: a connection string, a key, a SAS token, or else an identity of Entra ID."""

    account: str = ""
    """the account's name; "": the connection string or the address says it"""
    key: str = field(default="", repr=False)
    connection_string: str = field(default="", repr=False)
    sas_token: str = field(default="", repr=False)
    """with or without its leading "?" """
    identity: TokenSource | None = None
    """in place of azure-identity's DefaultAzureCredential"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the container is, and how to reach it."""

    container: str
    url: str = ""
    """the whole address of the account's blob service; "": made of account and suffix"""
    suffix: str = "core.windows.net"
    authorities: Path | None = None
    """file with the certificates to check the server's with; None: $REQUESTS_CA_BUNDLE, else the SDK's own"""
    connect_seconds: float = 10.0
    read_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """An account's blob service. With neither `key` nor `sas`, tokens of Entra ID open it."""

    url: str
    """scheme, host and perhaps a path; it ends without "/" and holds no secret"""
    name: str
    key: bytes = field(default=b"", repr=False)
    sas: str = field(default="", repr=False)
    """the query that opens it, without "?" """

    @property
    def sas_ends(self) -> float | None:
        """When the SAS token ends, in seconds since the epoch; None where it does not say."""
        return _moment(next(iter(parse_qs(self.sas).get("se", ())), ""))


def account(access: Access, endpoint: Endpoint) -> Account:
    """The account that is meant.

    Raises:
        Denied: too little is said, or what is said cannot be read.
    """
    if access.connection_string:
        return _connected(_settings(access.connection_string))
    url = endpoint.url or (f"https://{access.account}.blob.{endpoint.suffix}" if access.account else "")
    return _made(url, access.account, access.key, access.sas_token)


def _connected(said: Mapping[str, str]) -> Account:
    if said.get("usedevelopmentstorage", "").lower() == "true":
        said = _EMULATOR
    name = said.get("accountname", "")
    scheme, suffix = (
        said.get("defaultendpointsprotocol", "https"),
        said.get("endpointsuffix", "core.windows.net"),
    )
    url = said.get("blobendpoint", "") or (f"{scheme}://{name}.blob.{suffix}" if name else "")
    key, sas = said.get("accountkey", ""), said.get("sharedaccesssignature", "")
    if not key and not sas and "sig=" not in url:
        raise Denied(f"the connection string has no credentials: {_MEND}")
    return _made(url, name, key, "" if key else sas)


_MEND: Final = "set artifacts_azure_connection_string to the whole string that the Azure portal shows"


def _settings(written: str) -> dict[str, str]:
    """The parts of a connection string, their names in lower case."""
    pairs = [part.partition("=") for part in written.strip().rstrip(";").split(";")]
    if not all(equals for _, equals, _ in pairs):
        raise Denied(f"the connection string cannot be read: {_MEND}")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _made(url: str, name: str, key: str, sas: str) -> Account:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Denied("no account is named: set artifacts_azure_blob_account_name or [azure] endpoint_url")
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    sas = (sas or parts.query).strip().lstrip("?").strip("&")
    if not sas.isascii() or not sas.isprintable() or " " in sas:
        raise Denied(
            "the SAS token holds what no SAS token holds: set artifacts_azure_sas_token to the whole of it"
        )
    return Account(place, name or _named(place), _decoded(key), "" if key else sas)


def _named(url: str) -> str:
    """The account that an address speaks of: in the host's name, or with an emulator in the path."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    in_path = parts.path.strip("/").partition("/")[0]
    return in_path or host.partition(".")[0]


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except ValueError:
        raise Denied(
            "the account's key is not base64: set artifacts_azure_blob_account_key to the whole of it"
        ) from None


def _moment(written: str) -> float | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
