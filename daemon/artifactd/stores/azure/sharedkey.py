"""Shared Key: how a request to Azure Storage is signed with the account's key. Pure.

"Authorize with Shared Key", Azure Storage REST API. azure-storage-blob signs the same way; a test holds this
file to it.
"""

import base64
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

_SIGNED: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
"""The headers that are signed by their place, present or not."""


def authorization(  # noqa: PLR0917 - the parts of a request, in their order
    method: str, path: str, queried: Mapping[str, str], headers: Mapping[str, str], account: str, key: bytes
) -> str:
    """The value of the Authorization header.

    `path` is quoted, as it is sent; `queried` is not. `headers` have names in lower case, x-ms-date and
    content-length (bytes) among them.
    """
    lines = (
        method,
        *_by_place(headers),
        *(f"{name}:{headers[name]}" for name in _sorted(headers)),
        f"/{account}{path}",
        *(f"{name}:{queried[name]}" for name in sorted(queried)),
    )
    digest = hmac.digest(key, "\n".join(lines).encode(), "sha256")
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


def _by_place(headers: Mapping[str, str]) -> Iterable[str]:
    values = dict(headers)
    if values.get("content-length") == "0":  # as of version 2015-02-21
        values["content-length"] = ""
    return (values.get(name, "") for name in _SIGNED)


def _sorted(headers: Mapping[str, str]) -> list[str]:
    """The service's own headers as it sorts them: dashes do not count."""
    return sorted(
        (name for name in headers if name.startswith("x-ms-")), key=lambda name: name.replace("-", "")
    )
