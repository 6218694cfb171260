"""What the values of object stores have in common. Pure.

As in `values`, every parser raises ValueError with what is allowed as its message. An empty text stands for
"not set". Nothing is refused here that the services themselves would take.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from unicodedata import normalize
from urllib.parse import urlsplit

from artifactd.artifact import InvalidKey, Key
from artifactd.config.values import address, optional, seconds, size_within, text, unquoted, whole

OPEN = "bytes and signatures travel unencrypted; mend: https"
UNREADABLE = "what lies there cannot be read back until it is restored, so `verify` cannot prove it"

_ASLEEP = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE"})
"""Storage classes of S3 and tiers of Azure, in capitals, whose objects have to be restored to be read."""

MOST_CONNECTIONS: Final = 64
"""that may be set: some checksums have each hold a whole part in memory"""

_MOST_TAGS = 10
"""of an object: S3's limit and Azure's"""


def matching(pattern: str, allowed: str) -> Callable[[object], str]:
    """The parser of texts that match, and of the empty one."""
    expression = re.compile(pattern, re.ASCII)

    def parse(value: object) -> str:
        if text(value) and not expression.fullmatch(text(value)):
            raise ValueError(allowed)
        return text(value)

    return parse


word = matching(r"[!-~]+", "a word of letters, digits and signs, in ASCII and without spaces")
"""A value that travels in a header of HTTP."""


def prefix(value: object) -> str:
    """What stands before every key: parts as keys have them, without a slash at either end."""
    try:
        return Key(normalize("NFC", text(value))).text if text(value) else ""
    except InvalidKey as error:
        raise ValueError(f'folders such as "exports/dai", no slash at either end: {error}') from None


def endpoint(value: object) -> str:
    """The address of a service. It is shown, so it may hold no query: that may be a SAS token."""
    if text(value) and not _plain(address(value)):
        raise ValueError('an address such as "https://s3.example.org:9000", with no "?" or "#" in it')
    return text(value)


def _plain(written: str) -> bool:
    try:
        url = urlsplit(written)
        whole = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # a port that is no number
        return False
    return bool(whole) and re.search(r"[\s?#]", written) is None


def tags(words: str, allowed: str, start: str = "") -> Callable[[object], dict[str, str]]:
    """The parser of tags, a table or "team=risk, retention=7y" in a text, from the characters `words`."""
    name, content = re.compile(f"{start}[{words}]{{1,128}}"), re.compile(f"[{words}]{{0,256}}")
    rule = f'at most {_MOST_TAGS} tags such as {{ team = "risk" }}; names up to 128 and values up to 256 of '

    def parse(value: object) -> dict[str, str]:
        pairs = list(_pairs(value))
        right = all(
            isinstance(word, str)
            and isinstance(said, str)
            and name.fullmatch(word)
            and content.fullmatch(said)
            for word, said in pairs
        )
        found = dict(pairs) if right else {}
        if len(found) != len(pairs) or len(found) > _MOST_TAGS:
            raise ValueError(rule + allowed)
        return {str(word): str(said) for word, said in sorted(found.items())}

    return parse


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return value.items()
    inner = text(value).strip().removeprefix("{").removesuffix("}").strip()
    pairs = (part.partition("=") for part in inner.split(",") if inner)
    return ((_word(name), _word(said) if equals else None) for name, equals, said in pairs)


def _word(written: str) -> object:
    return unquoted(written.strip())


def connections(value: object) -> int | Literal["auto"]:
    """The parser of how many requests may be under way at once; "auto": what turns out to be best."""
    if isinstance(value, str) and value.strip().casefold() == "auto":
        return "auto"
    try:
        return whole(1, MOST_CONNECTIONS)(value)
    except ValueError as error:
        raise ValueError(f'"auto", or {error}') from None


def kept(connections: int | Literal["auto"]) -> int:
    """Connections that an SDK keeps, where it is used."""
    return MOST_CONNECTIONS if connections == "auto" else connections


def asleep(written: str) -> bool:
    """Whether objects of this storage class or tier have to be restored to be read."""
    return written.upper() in _ASLEEP


def in_the_open(written: str) -> bool:
    """Whether what is sent to this address leaves this machine unencrypted."""
    url = urlsplit(written)
    host = url.hostname or ""
    try:
        near = ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    return url.scheme == "http" and not near


Word = Annotated[str, word]
Endpoint = Annotated[str, endpoint]
Prefix = Annotated[str, prefix]
Connections = Annotated[int | Literal["auto"], connections]
# A bare number is bytes: one that is meant as megabytes would stop all traffic, so small ones are refused.
Bandwidth = Annotated[int | None, optional(size_within("1 kB", "1 TB"))]
ConnectSeconds = Annotated[float, seconds(600)]
ReadSeconds = Annotated[float, seconds(3600)]
