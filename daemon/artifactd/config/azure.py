"""What Azure puts together into one secret, taken apart: connection strings and SAS tokens. Pure.

The sources are Azure's "Configure Azure Storage connection strings" and its SDK, which looks for names in any
case and takes spaces for a part of them.
"""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

_EMULATOR, _EMULATOR_ADDRESS = "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"
"""what UseDevelopmentStorage=true stands for, with a key that everybody knows"""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a connection string says. Its `repr` holds no secret."""

    account: str
    """"": the address says it"""
    address: str = field(repr=False)
    """where it leads to: its scheme and its host, and perhaps more"""
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, written: str) -> Self:
        """The connection that `written` describes.

        Raises:
            ValueError: it is none, or has no credentials. The message says what is allowed and shows nothing.
        """
        parts = [part.partition("=") for part in written.rstrip(";").split(";")]
        found = {name.casefold(): value for name, equals, value in parts if equals and value}
        if found.get("usedevelopmentstorage") == "true":
            return cls(_EMULATOR, _EMULATOR_ADDRESS, ())
        account, token = found.get("accountname", ""), found.get("sharedaccesssignature", "")
        key = found.get("accountkey", "") if account else ""
        protocol = found.get("defaultendpointsprotocol", "https")
        address = found.get("blobendpoint") or (f"{protocol}://{account}" if account else "")
        if len(found) != len(parts) or not address or not (is_key(key) or tuple(signatures(token))):
            raise ValueError(
                "a whole connection string, without spaces: AccountName with AccountKey, or "
                "SharedAccessSignature with BlobEndpoint or AccountName"
            )
        return cls(account, address, tuple(secret for secret in (key, token, *signatures(token)) if secret))


def is_key(written: str) -> bool:
    """Whether it can be an account's key, which is written in base64."""
    try:
        return len(b64decode(written, validate=True)) > 0
    except ValueError:
        return False


def signatures(token: str) -> Iterator[str]:
    """The signature of a SAS token, as it is written there and decoded. None: it is no whole token."""
    for part in token.removeprefix("?").split("&"):
        name, _, value = part.partition("=")
        if name == "sig" and value:
            yield from dict.fromkeys((value, unquote(value)))
