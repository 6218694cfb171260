"""What a server does with checksums and conditions, found out by offering it wrong ones."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unavailable
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.objects.server import Absent, Taken, condition
from artifactd.stores.s3 import checksums
from artifactd.stores.s3.checksums import Verified
from artifactd.stores.s3.direct_put import DirectPut

_CONTENT: Final = b"Written by artifactd, to see how this server keeps what it is given. It may stay.\n"
_OTHER: Final = b"Written by artifactd with a wrong checksum. A server that checks it has not kept this.\n"


@dataclass(frozen=True, slots=True)
class Probed:
    """What the server does."""

    verified: Verified
    honours_conditions: bool


_MEND: Final = (
    "this is what artifactd's probe of the server gets here: is aws_s3_endpoint_url the address of an S3 "
    "server, with no proxy in between that changes answers?"
)

Read = Callable[[str], Iterator[bytes] | None]


def probe(
    direct: DirectPut, key: str, headers: Mapping[str, str], chosen: Verified | None, read: Read
) -> Probed:
    """Find out. It leaves a small object at `key`, and one beside it where nothing is verified.

    Whatever goes wrong with it speaks of the store, of no copy.

    Raises:
        Denied: the server does not take such a put, or does not give back what it was given.
        Unavailable: it cannot be found out now.
    """
    try:
        return _probed(direct, key, headers, chosen, read)
    except (Unavailable, Denied):
        raise
    except Refusal as error:
        raise Denied(f"{error.reason}: {_MEND}", error.what) from error
    except Unanswered as error:
        raise Unavailable(error.reason, error.what) from error
    except StoreError as error:
        raise Unavailable(f"{error.reason}: {_MEND}", error.what) from error


def _probed(
    direct: DirectPut, key: str, headers: Mapping[str, str], chosen: Verified | None, read: Read
) -> Probed:
    verified = chosen or _verified(direct, key, headers)
    honours = _refuses(direct, key, headers, verified) or _refuses(direct, key, headers, verified)
    try:
        chunks = read(key)
    except Refusal:  # the account may not read, or nobody what lies in this storage class
        return Probed(verified, honours)  # then the server is taken at its word
    if chunks is None or _start(chunks) != _CONTENT:
        raise Denied(
            "the server does not give back what artifactd's probe wrote there: remove this object, if there "
            "is one. If that does not help, the server, or a proxy before it, does not keep what it is given",
            key,
        )
    return Probed(verified, honours)


def _start(chunks: Iterator[bytes]) -> bytes:
    """As much as tells whether it is ours. What somebody else wrote there may have any size."""
    content = b""
    while len(content) <= len(_CONTENT) and (chunk := next(chunks, b"")):
        content += chunk
    return content


def _refuses(direct: DirectPut, key: str, headers: Mapping[str, str], verified: Verified) -> bool:
    """Whether the server refuses to write where something is. The first put may be what makes it so."""
    body = checksums.of_content(_CONTENT, verified)
    try:
        direct.put("PutObject", key, {}, {**headers, **body.headers, **condition(Absent())}, body)
    except Taken:
        return True
    return False


def _verified(direct: DirectPut, key: str, headers: Mapping[str, str]) -> Verified:
    """What the server checks, tried with the checksum of other bytes."""
    for verified in (Verified.SHA256, Verified.MD5):
        wrong = checksums.of_content(_CONTENT, verified).headers
        body = checksums.of_content(_OTHER, verified)
        try:
            direct.put("PutObject", f"{key}-refused", {}, {**headers, **wrong}, body)
        except Corrupt:
            return verified
        except Denied:
            raise
        except Refusal:
            continue  # it does not know such a header
    return Verified.NOTHING
