"""Amazon's Signature Version 4 for S3, with the day's key kept: a signature costs a few microseconds. Pure.

"Signature Calculations for the Authorization Header", Amazon S3 API Reference. botocore signs the same way;
a test holds this file to it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

UNRESERVED = "-._~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. Its `repr` holds no secret."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"


def path(*parts: str) -> str:
    """The path of these parts, quoted as S3 wants it: once, slashes kept."""
    return "/" + quote("/".join(part for part in parts if part), safe="/" + UNRESERVED)


def query(values: Mapping[str, str]) -> str:
    """The canonical query: sorted, everything quoted."""
    pairs = sorted(
        (quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED)) for name, value in values.items()
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed(  # noqa: PLR0917 - the parts of a request, in their order
    method: str,
    target: str,
    queried: str,
    headers: Mapping[str, str],
    payload: str,
    at: datetime,
    credentials: Credentials,
    region: str,
) -> dict[str, str]:
    """`headers` (names in lower case, the host among them) with those that authorize the request.

    `target` is the quoted path, `queried` the canonical query, `payload` the SHA-256 of the body in hex, `at`
    the time in UTC.
    """
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "x-amz-content-sha256": payload, "x-amz-date": moment}
    if credentials.token is not None:
        sent["x-amz-security-token"] = credentials.token
    names = sorted(sent)
    listed = ";".join(names)
    lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
    request = f"{method}\n{target}\n{queried}\n{lines}\n{listed}\n{payload}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = _key(credentials.secret_key, moment[:8], region)
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()
    sent["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return sent


@lru_cache(maxsize=8)
def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
