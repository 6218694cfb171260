"""What a server does with checksums and conditions, found out by offering it wrong ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.stores.base import Corrupt, Denied, Parts, Put, Refusal, Source, StoreError, Unavailable
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.objects.server import Absent, Conditions, Expected, Holds, Objects, Taken
from artifactd.stores.s3 import checksums
from artifactd.stores.s3.checksums import Verified
from artifactd.stores.s3.direct_put import DirectPut

_CONTENT: Final = b"Written by artifactd, to see how this server keeps what it is given. It may stay.\n"
_OTHER: Final = b"Written by artifactd with a wrong checksum. A server that checks it has not kept this.\n"
_DIGEST: Final = checksum.of_bytes(_CONTENT)
_PUT: Final = Put(
    Key("probe"),
    Source(len(_CONTENT), _CONTENT, parts=Parts(len(_CONTENT), (bytes.fromhex(_DIGEST),))),
    _DIGEST,
)
_NOBODYS: Final = Holds('"00000000000000000000000000000000"')
"""A version that nothing has."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the server makes of conditions."""

    honours: Conditions
    bare: bool = False
    """whether If-Match has to name a version without its quotes"""


_MEND: Final = (
    "this is what artifactd's probe of the server gets here: is aws_s3_endpoint_url the address of an S3 "
    "server, with no proxy in between that changes answers?"
)


@contextmanager
def probing() -> Iterator[None]:
    """Whatever goes wrong with a probe speaks of the store, of no copy.

    Raises:
        Denied: the server does not take such a put, or does not give back what it was given.
        Unavailable: it cannot be found out now.
    """
    try:
        yield
    except (Unavailable, Denied):
        raise
    except Refusal as error:
        raise Denied(f"{error.reason}: {_MEND}", error.what) from error
    except Unanswered as error:
        raise Unavailable(error.reason, error.what) from error
    except StoreError as error:
        raise Unavailable(f"{error.reason}: {_MEND}", error.what) from error


# --- checksums ---


def checked(direct: DirectPut, key: str, headers: Mapping[str, str]) -> Verified:
    """What the server checks, tried with the checksum of other bytes.

    It leaves a small object beside `key` where nothing is checked. Raises as `DirectPut.put`.
    """
    for verified in (Verified.SHA256, Verified.MD5):
        wrong = checksums.of_content(_CONTENT, verified).headers
        body = checksums.of_content(_OTHER, verified)
        try:
            direct.loop.run(direct.put("PutObject", f"{key}-refused", {}, {**headers, **wrong}, body))
        except Corrupt:
            return verified
        except Denied:
            raise
        except Refusal:
            continue  # it does not know such a header
    return Verified.NOTHING


def parts_checked(
    server: Objects, direct: DirectPut, key: str, headers: Mapping[str, str], verified: Verified
) -> bool:
    """Whether the server checks a part against what it checks a put against: not every server does.

    Where it cannot be found out, it does not. It leaves nothing, where the account may drop parts.

    Raises:
        Unavailable: it cannot be found out now.
    """
    wrong = checksums.of_content(_CONTENT, verified).headers
    body = checksums.of_content(_OTHER, verified)
    refused = False
    try:
        upload = server.begin(key, _PUT, {})
        try:
            place = {"partNumber": "1", "uploadId": upload}
            direct.loop.run(direct.put("UploadPart", key, place, {**headers, **wrong}, body))
        except Corrupt:
            refused = True
        server.abandon(key, upload)
    except Unavailable:
        raise
    except StoreError:
        pass  # what was found out before it counts
    return refused


# --- conditions ---


def conditioned(server: Objects, key: str) -> Probed:
    """Which conditions the server honours. It leaves a small object at `key`, which is read back.

    Raises:
        Denied: the server does not give back what it was given.
        StoreError: as `Objects`.
    """
    creates = _refuses(server, key, Absent()) or _refuses(server, key, Absent())  # the first one may create
    version = _version(server, key)
    if not creates:
        return Probed(Conditions(of_puts=False, of_completion=False))
    names = [version, checksums.bare(version)] if version else []
    taken = next((name for name in names if not _refuses(server, key, Holds(name))), "")
    return Probed(
        Conditions(of_completion=_completes(server, key), of_own_versions=bool(taken) or not names),
        bare=taken not in {"", version},
    )


def _version(server: Objects, key: str) -> str:
    """The version of the probe's object, which is there as it was written.

    Empty where the account may not read, or nobody what lies in this storage class: then the server is taken
    at its word.

    Raises:
        Denied: it is not.
    """
    try:
        chunks = server.read(key)
    except Refusal:
        return ""
    if chunks is None or _start(chunks) != _CONTENT:
        raise Denied(
            "the server does not give back what artifactd's probe wrote there: remove this object, if there "
            "is one. If that does not help, the server, or a proxy before it, does not keep what it is given",
            key,
        )
    with suppress(Refusal):  # as above
        if (head := server.head(key)) is not None:
            return head.version
    return ""


def _start(chunks: Iterator[bytes]) -> bytes:
    """As much as tells whether it is ours. What somebody else wrote there may have any size."""
    content = b""
    while len(content) <= len(_CONTENT) and (chunk := next(chunks, b"")):
        content += chunk
    return content


def _refuses(server: Objects, key: str, expected: Expected) -> bool:
    """Whether the server refuses to write where it does not find what is expected."""
    try:
        server.loop.run(server.put(key, _PUT, {}, expected))
    except Taken:
        return True
    return False


def _completes(server: Objects, key: str) -> bool:
    """Whether the server puts parts together only where it finds what is expected.

    That it cannot be found out means no: then each key is looked at before. A server that puts them together
    after all has written the bytes that were there.
    """
    try:
        upload = server.begin(key, _PUT, {})
        name = server.loop.run(server.part(key, upload, 1, _CONTENT, bytes.fromhex(_DIGEST)))
        for expected in (Absent(), _NOBODYS):
            with suppress(Taken):
                server.complete(key, upload, {1: name}, _PUT, {}, expected)
                return False
    except Unavailable:
        raise
    except StoreError:
        return False
    with suppress(Refusal):  # the account may write alone: a rule of the bucket drops it
        server.abandon(key, upload)
    return True
