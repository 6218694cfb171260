"""HTTP/1.1 (RFC 9112) as far as a put needs it: bodies, answers, and what is believed of them. Pure."""

import re
from collections.abc import Mapping, Sequence
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


MOST_FIELDS: Final = 100
"""Lines in the head of an answer, or behind its body. Python's own http.client takes as many."""

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""What says where an answer ends. Said twice in two ways, the next answer could be made up."""

_STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_VALUE: Final = re.compile(rb"[\x00\r\n]")
_SIZE: Final = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")


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
    return int(status), version, parsed_fields(lines)


def parsed_fields(lines: Sequence[bytes]) -> dict[str, str]:
    """Headers or trailers, names in lower case (RFC 9112, 5); of a name that comes again the last one.

    Raises:
        ValueError: a line is none, or there are too many, or they disagree on where the answer ends.
    """
    bounded(len(lines), MOST_FIELDS)
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, said = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or _NO_VALUE.search(said):
            raise ValueError("it sends a header that is none")
        key, value = name.decode("latin-1").lower(), said.decode("latin-1").strip()
        if key in _FRAMING and fields.get(key, value) != value:
            raise ValueError(f"it sends two {key}")
        fields[key] = value
    return fields


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body comes in chunks (RFC 9112, 7.1).

    Raises:
        ValueError: it comes in another coding, which nobody asked for, or has a length as well.
    """
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked" or "content-length" in headers:
        raise ValueError("it does not say where its answer ends")
    return True


def length(headers: Mapping[str, str]) -> int | None:
    """The body's bytes, as its header says; None where it says nothing.

    Raises:
        ValueError: it says what is no number of bytes.
    """
    said = headers.get("content-length")
    if said is None:
        return None
    if not _SIZE.fullmatch(said):
        raise ValueError("it says a length that is none")
    return int(said)


def chunk_size(line: bytes) -> int:
    """The bytes of the chunk that this line begins; 0: it was the last.

    Raises:
        ValueError: it begins none.
    """
    size = line.partition(b";")[0].rstrip(b" \t")
    if not _CHUNK_SIZE.fullmatch(size):
        raise ValueError("it sends a chunk without a size")
    return int(size, 16)
