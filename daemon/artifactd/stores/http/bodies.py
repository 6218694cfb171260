"""Bodies that are proven to have their SHA-256 before they are sent, for servers that check less."""

import base64
import hashlib
import os
from collections.abc import Iterator

from artifactd import checksum
from artifactd.checksum import BUFFER
from artifactd.stores.base import Corrupt
from artifactd.stores.http.messages import Body


def size_of(body: Body) -> int:
    """Its bytes."""
    return len(body) if isinstance(body, bytes) else body.size


def content_md5(body: Body, digest: bytes, what: str) -> str:
    """The body's MD5 as Content-MD5 has it (RFC 1864), from the pass that proves its SHA-256 (32 bytes).

    A server that checks it gets the bytes that were hashed, or refuses them, though a file is read once more.

    Raises:
        Corrupt: it has another SHA-256.
        OSError: it cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for piece in _pieces(body):
        sha256.update(piece)
        md5.update(piece)
    _compare(sha256.hexdigest(), digest, what)
    return base64.b64encode(md5.digest()).decode()


def held(body: Body, digest: bytes, what: str) -> bytes:
    """The body in memory, with this SHA-256: nobody else compares, so no second read may change it.

    Raises:
        Corrupt, OSError: as above.
    """
    content = body if isinstance(body, bytes) else b"".join(_pieces(body))
    _compare(checksum.of_bytes(content), digest, what)
    return content


def _compare(sha256: str, digest: bytes, what: str) -> None:
    if sha256 != digest.hex():
        raise Corrupt(f"the bytes to send have sha256 {sha256}, not {digest.hex()}", what)


def _pieces(body: Body) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    offset, end = body.offset, body.offset + body.size
    while offset < end and (piece := os.pread(body.fd, min(BUFFER, end - offset), offset)):
        yield piece
        offset += len(piece)
