"""HTTP/1.1 (RFC 9112) as far as a put needs it: bodies, answers, and what is believed of them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from artifactd.stores.base import StoreError

HEAD_BYTES: Final = 64 << 10
"""The longest head of an answer."""

ANSWER_BYTES: Final = 1 << 20
"""An answer to a put is an error in a few hundred bytes, or nothing. More than this is no such server."""


class Unanswered(StoreError):
    """The connection was lost after the request, or some of it, was sent: it may have been acted on."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an open file, as a request's body."""

    fd: int
    offset: int
    size: int
    """bytes"""


Body = bytes | Piece


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes


def bounded(size: int, most: int) -> int:
    """`size`, which is at most `most` bytes.

    Raises:
        ValueError: it is more.
    """
    if size > most:
        raise ValueError("it says too much")
    return size


_STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9]{2})(?: .*)?", re.DOTALL)


def parsed_head(head: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Status, version and headers.

    Raises:
        ValueError: this is no answer in HTTP.
    """
    start, *lines = head.split(b"\r\n")
    matched = _STATUS_LINE.fullmatch(start)
    if matched is None:
        raise ValueError("it does not speak HTTP/1.1")
    version, status = matched.groups()
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(status), version, headers


def reason(error: Exception) -> str:
    """What an error of a connection says, for a person."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(getattr(error, "strerror", None) or error)
