"""Git LFS: large files beside the repository (git-lfs, docs/api/batch.md, with the transfer "basic").

What was uploaded is read back and hashed, because a server need not look at what it gets. Redirects are not
followed; what a server names as the place of a file has to be https, and only the repository's own host gets
the password.
"""

import hashlib
import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from artifactd import checksum
from artifactd.artifact import Digest
from artifactd.stores.base import (
    Corrupt,
    Denied,
    Put,
    StoreError,
    Unacceptable,
    Unavailable,
    no_progress,
)
from artifactd.stores.gitaddress import Protocol
from artifactd.stores.gitremote import Remote
from artifactd.stores.lfspointer import Pointer

_JSON: Final = "application/vnd.git-lfs+json"
_SECONDS: Final = 60.0
"""of silence, after which a connection is given up"""

_LONGEST_ANSWER: Final = 1 << 20
_HAS_NONE: Final = frozenset({404, 405, 410, 501})
"""What servers without LFS say to a batch request."""


class NoLfs(Exception):  # noqa: N818 - an outcome
    """The server has no LFS for this repository."""


class Gone(Exception):  # noqa: N818 - an outcome
    """The server does not have the file."""


@dataclass(frozen=True, slots=True)
class _Action:
    """Where a file is to be sent to, or had from."""

    href: str
    header: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lfs:
    """The large files of a remote."""

    remote: Remote

    def upload(self, put: Put) -> Pointer:
        """See to it that the server has the bytes, known to it by their digest, and prove it.

        Raises:
            NoLfs: see there.
            Corrupt: the source changed, or the server has other bytes by that name.
            StoreError: they could not be sent or read back.
        """
        pointer = Pointer(put.digest, put.size)
        try:
            actions = self._actions("upload", pointer)
        except Gone as error:
            raise Denied(str(error)) from error
        if "upload" in actions:
            self._send(actions["upload"], put)
            if "verify" in actions:
                self._verify(actions["verify"], pointer)
        try:
            there = self.digest(pointer)
        except Gone:
            raise StoreError(f"{put.key}: the LFS server does not have what it just took") from None
        if there != put.digest:
            raise Corrupt(f"{put.key}: the LFS server holds sha256 {there} by the name of {put.digest}")
        return pointer

    def digest(self, pointer: Pointer, progress: Callable[[int], None] = no_progress) -> Digest:
        """Read the bytes that `pointer` stands for, and hash them.

        Raises:
            NoLfs, Gone: see there.
            StoreError: they cannot be read.
        """
        action = self._actions("download", pointer).get("download")
        if action is None:
            raise StoreError(f"the LFS server does not say where sha256 {pointer.digest} is to be had")
        sha256 = hashlib.sha256()
        with self._request("GET", action) as answer:
            _must_be_well(answer)
            while chunk := answer.read(checksum.BUFFER):
                sha256.update(chunk)
                progress(len(chunk))
        return Digest(sha256.hexdigest())

    @property
    def possible(self) -> bool:
        """Whether a server of this kind can have LFS."""
        return self.remote.address.protocol is Protocol.HTTPS

    # --- the protocol ---

    def _actions(self, operation: str, pointer: Pointer) -> dict[str, _Action]:
        """What the server says is to be done for one file."""
        if not self.possible:
            raise NoLfs
        asked = {
            "operation": operation,
            "transfers": ["basic"],
            "ref": {"name": self.remote.ref},
            "objects": [{"oid": pointer.digest, "size": pointer.size}],
            "hash_algo": "sha256",
        }
        batch = _Action(f"{_endpoint(self.remote.address.url)}/objects/batch", {"Content-Type": _JSON})
        with self._request("POST", batch, json.dumps(asked).encode()) as answer:
            if answer.status in _HAS_NONE:  # some servers say so of a single file that they do not have
                raise Gone if operation == "download" else NoLfs
            _must_be_well(answer)
            return _parsed(answer.read(_LONGEST_ANSWER))

    def _send(self, action: _Action, put: Put) -> None:
        header = {"Content-Type": "application/octet-stream", **action.header}
        header["Content-Length"] = str(put.size)
        with self._request("PUT", _Action(action.href, header), _proven(put)) as answer:
            _must_be_well(answer)

    def _verify(self, action: _Action, pointer: Pointer) -> None:
        said = json.dumps({"oid": pointer.digest, "size": pointer.size}).encode()
        header = {"Content-Type": _JSON, **action.header}
        with self._request("POST", _Action(action.href, header), said) as answer:
            _must_be_well(answer)

    @contextmanager
    def _request(
        self, method: str, action: _Action, body: bytes | Iterator[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read within the block."""
        url = urlsplit(action.href)
        if url.scheme != "https" or not url.hostname:
            raise Denied("The LFS server names an address that is not https://, which is never used")
        path = f"{url.path}?{url.query}" if url.query else url.path
        connection = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=_SECONDS, context=self._trust(url.netloc)
        )
        try:
            connection.request(method, path, body, self._signed(action.header, url.netloc))
            yield connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise Denied(
                f"The LFS server's certificate: {error.verify_message}. See ca_file of [git]"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"The LFS server does not answer: {type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _trust(self, host: str) -> ssl.SSLContext:
        trust = ssl.create_default_context(cafile=str(self.remote.ca_file) if self.remote.ca_file else None)
        if self.remote.skip_cert_verification and host == self.remote.address.host:
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        return trust

    def _signed(self, header: Mapping[str, str], host: str) -> dict[str, str]:
        """The header, with the password where the server gave nothing else to show, and only on its host."""
        signed = {"Accept": _JSON, **header}
        password = self.remote.password
        given = any(name.casefold() == "authorization" for name in header)
        if password is not None and not given and host == self.remote.address.host:
            word = f"{self.remote.user}:{password.get_secret_value()}".encode()
            signed["Authorization"] = f"Basic {b64encode(word).decode()}"
        return signed


def _endpoint(url: str) -> str:
    """Where a repository's LFS is found (git-lfs, docs/api/server-discovery.md)."""
    url = url.rstrip("/")
    return f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs"


def _parsed(answer: bytes) -> dict[str, _Action]:
    """The actions for the one file that was asked for.

    Raises:
        Gone, Unacceptable, Denied: the server's error for it.
        Unavailable: it is no such answer.
    """
    try:
        (one,) = json.loads(answer)["objects"]
        if "error" in one:
            raise _meaning(int(one["error"]["code"]), str(one["error"].get("message", "")))
        actions: dict[str, Any] = one.get("actions") or {}
        return {name: _Action(str(a["href"]), dict(a.get("header") or {})) for name, a in actions.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"The LFS server says what is no answer: {type(error).__name__}") from error


def _must_be_well(answer: http.client.HTTPResponse) -> None:
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's success
        pause = answer.headers.get("Retry-After", "")
        error = _meaning(answer.status, answer.reason)
        if isinstance(error, Unavailable) and pause.isdigit():
            error.retry_after = float(pause)
        raise error


def _meaning(status: int, said: str) -> Exception:
    words = "".join(c if c.isprintable() else "?" for c in said)[:200]
    told = f"The LFS server says {status} {words}"
    match status:
        case 404 | 410:
            return Gone(told)
        case 401 | 403:
            return Denied(f"{told}: it does not let this account in, or not write")
        case 413 | 422:
            return Unacceptable(told)
        case 507 | 509:
            return Denied(f"{told}: make room, or raise its limit")
        case 301 | 302 | 303 | 307 | 308:
            return Denied(f"{told}: it sends elsewhere, which is never followed")
        case _:
            return Unavailable(told)


def _proven(put: Put) -> Iterator[bytes]:
    """The source's bytes. The last of them are kept back unless all are those of the digest.

    Raises:
        Corrupt: they are not. The server got too few to take them for the file.
        StoreError: they cannot be read.
    """
    sha256 = hashlib.sha256()
    left, waiting = put.size, b""
    try:
        for chunk in put.source.chunks():
            sha256.update(chunk)
            left -= len(chunk)
            if waiting:
                yield waiting
            waiting = chunk
    except OSError as error:
        raise StoreError(f"{put.key}: the source cannot be read: {error.strerror}") from error
    if left or sha256.hexdigest() != put.digest:
        raise Corrupt(f"{put.key}: it changed while it was uploaded")
    yield waiting
