"""The checksums and conditions of S3: what a put says of its bytes, and what an object's checksum proves."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifactd.artifact import Digest
from artifactd.stores.base import Put
from artifactd.stores.http.bodies import content_md5, held
from artifactd.stores.http.messages import Body, Piece
from artifactd.stores.objects.server import Absent, Expected, Holds

SHA256_HEADER: Final = "x-amz-checksum-sha256"
_AS_THE_SDK: Final = {"x-amz-sdk-checksum-algorithm": "SHA256"}
"""Object Lock wants this header, or an MD5, beside the checksum ("PutObject", Amazon S3 API Reference)."""

_SHA256_BYTES: Final = 32


class Verified(StrEnum):
    """What the server checks the bytes of a put against."""

    SHA256 = "sha256"
    """the checksum that S3 keeps with the object, and tells again"""
    MD5 = "md5"
    """Content-MD5, which older servers know; nothing of it is kept"""
    NOTHING = "read_back"
    """nothing: each copy is read back"""


@dataclass(frozen=True, slots=True)
class Checked:
    """Bytes to send, with what the server is to check them against."""

    body: Body
    sha256: str
    """in hex, for the signature"""
    headers: Mapping[str, str]


def whole(put: Put, verified: Verified) -> Checked:
    """The whole source.

    Raises:
        Corrupt: its bytes do not have the digest of `put`; nobody but us could tell.
        OSError: it cannot be read.
    """
    content = put.source.content
    body = Piece(put.source.fd, 0, put.size) if content is None else content
    return _checked(body, bytes.fromhex(put.digest), verified, str(put.key))


def part(piece: Body, digest: bytes, verified: Verified, what: str) -> Checked:
    """A part with this SHA-256 (32 bytes). Raises as `whole`."""
    return _checked(piece, digest, verified, what)


def of_content(content: bytes, verified: Verified) -> Checked:
    """Bytes that nobody has hashed yet."""
    return _checked(content, hashlib.sha256(content).digest(), verified, "")


def _checked(body: Body, digest: bytes, verified: Verified, what: str) -> Checked:
    if verified is Verified.SHA256:
        headers = {SHA256_HEADER: base64.b64encode(digest).decode(), **_AS_THE_SDK}
        return Checked(body, digest.hex(), headers)
    if verified is Verified.MD5:
        return Checked(body, digest.hex(), {"content-md5": content_md5(body, digest, what)})
    return Checked(held(body, digest, what), digest.hex(), {})


# --- what a checksum proves ---


def composite(digests: tuple[bytes, ...]) -> str:
    """The checksum of S3 over the parts with these SHA-256: that of their digests, one after the other."""
    joined = hashlib.sha256(b"".join(digests)).digest()
    return f"{base64.b64encode(joined).decode()}-{len(digests)}"


def fits(checksum: str, put: Put) -> bool:
    """Whether a checksum over parts is that of the parts of `put`. Some servers leave out their number."""
    parts = put.source.parts
    return parts is not None and checksum.partition("-")[0] == composite(parts.digests).partition("-")[0]


def proven(checksum: str, kind: str, like: Put | None) -> Digest | None:
    """The digest that an object's checksum proves.

    That is its own or, where it is over parts, that of `like` if those are its parts.
    """
    if not checksum:
        return None
    if "-" in checksum or kind == "COMPOSITE":
        return like.digest if like is not None and fits(checksum, like) else None
    try:
        digest = base64.b64decode(checksum, validate=True)
    except ValueError:
        return None
    return Digest(digest.hex()) if len(digest) == _SHA256_BYTES else None


def of_part(put: Put, number: int) -> dict[str, str]:
    """The checksum of a part, in boto3's name."""
    assert put.source.parts is not None, "only what has parts is sent in parts"  # noqa: S101 - see Sending
    return {"ChecksumSHA256": base64.b64encode(put.source.parts.digests[number - 1]).decode()}


# --- conditions ---


def bare(version: str) -> str:
    """An ETag without its quotes, as some servers compare it, against RFC 9110 (8.8.3)."""
    return version.removeprefix('"').removesuffix('"')


def option(expected: Expected) -> dict[str, str]:
    """The condition of `expected` in boto3's names."""
    match expected:
        case Absent():
            return {"IfNoneMatch": "*"}
        case Holds(version):
            return {"IfMatch": version}
