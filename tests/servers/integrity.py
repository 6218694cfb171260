"""Whether a body is what its request's headers say, as a strict server finds out."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from tests.servers.faults import Answer, Seen

_HEX_DIGEST: Final = re.compile("[0-9a-f]{64}")


def verdict(seen: Seen, body: Iterable[bytes]) -> Answer | None:
    """None for a body that is right; else what a strict server answers."""
    if "aws-chunked" in seen.headers.get("content-encoding", ""):
        return Answer.s3(
            501, "NotImplemented"
        )  # its checksum lies in the body: nobody shall think it was looked at
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for piece in body:
        sha256.update(piece)
        md5.update(piece)
    if all(told == found for told, found in _claims(seen, sha256.digest(), md5.digest())):
        return None
    azure = "x-ms-version" in seen.headers
    return Answer.azure(400, "Md5Mismatch") if azure else Answer.s3(400, "BadDigest")


def _claims(seen: Seen, sha256: bytes, md5: bytes) -> Iterator[tuple[str, str]]:
    """What was told, and what was found."""
    headers = seen.headers
    if "content-md5" in headers:
        yield headers["content-md5"], base64.b64encode(md5).decode()
    if _HEX_DIGEST.fullmatch(headers.get("x-amz-content-sha256", "")):
        yield headers["x-amz-content-sha256"], sha256.hex()
    # There it is the checksum of the object, not of the request's body.
    if "x-amz-checksum-sha256" in headers and seen.operation != "CompleteMultipartUpload":
        yield headers["x-amz-checksum-sha256"], base64.b64encode(sha256).decode()
