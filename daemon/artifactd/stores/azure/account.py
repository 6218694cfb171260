"""Which account, where it is, and who we are to it, known without loading the SDK. Pure."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from artifactd.config.destinations.azure import AzureAccess
from artifactd.stores.base import Denied


class TokenSource(Protocol):
    """Gives tokens of Entra ID, as a credential of azure-identity does."""

    def get_token(self, *scopes: str, **options: Any) -> Any:  # noqa: ANN401 - azure-core's protocol
        """A token for these scopes."""


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
        return self._sas_moment("se")

    @property
    def sas_begins(self) -> float | None:
        """When it begins to hold, likewise."""
        return self._sas_moment("st")

    def _sas_moment(self, name: str) -> float | None:
        return _moment(next(iter(parse_qs(self.sas).get(name, ())), ""))


def account(access: AzureAccess) -> Account:
    """The account that is meant.

    Raises:
        Denied: too little is said, or what is said cannot be read.
    """
    parts = urlsplit(access.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Denied("no account is named: set artifacts_azure_blob_account_name or [azure] endpoint_url")
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    sas = "" if access.key else access.sas_token.strip().lstrip("?").strip("&")
    if not sas.isascii() or not sas.isprintable() or " " in sas:
        raise Denied(
            "the SAS token holds what no SAS token holds: set artifacts_azure_sas_token to the whole of it"
        )
    return Account(url, access.account or _named(url), _decoded(access.key), sas)


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
