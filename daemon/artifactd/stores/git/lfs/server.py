"""An LFS server: where it is, what it is asked, what its answers mean (git-lfs, docs/api/).

Redirects are not followed. What a server names as the place of a file has to be https, and only the
repository's own host gets the password. Nothing of what it says is used before it was looked at (`action`).
"""

import http.client
import json
import re
import shlex
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Timer
from typing import Final, Self, assert_never
from urllib.parse import SplitResult, urlsplit

from artifactd.config.destinations.git_address import Address, Protocol
from artifactd.stores.base import Denied, Unacceptable, Unavailable
from artifactd.stores.git import answers
from artifactd.stores.git.lfs.pointer import Pointer
from artifactd.stores.git.process import GitFailed, NoGit, Runner
from artifactd.stores.git.remote import Remote
from artifactd.stores.http.answers import pause
from artifactd.stores.http.connect import trust
from artifactd.stores.http.deadline import LEAST_RATE
from artifactd.stores.http.messages import MOST_FIELDS
from artifactd.stores.mends import mended

JSON: Final = "application/vnd.git-lfs+json"
_SECONDS: Final = 60.0
"""of silence, or of connecting, after which a connection is given up"""

_LONGEST_ANSWER: Final = 1 << 20
_OURS: Final = frozenset({"content-length", "host", "transfer-encoding"})
"""Headers that a server may not choose: they say where a request goes, and where it ends."""

_HREF: Final = re.compile(r"[!-~]{1,8192}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE: Final = re.compile(r"[ -~]{0,16384}")
_HAS_NONE: Final = frozenset({404, 405, 410, 501})
"""What servers without LFS say to a batch request."""


class NoLfs(Exception):
    """The server has no LFS for this repository."""


class Gone(Exception):
    """The server does not have the file."""


@dataclass(frozen=True, slots=True)
class Action:
    """Where a file is to be sent to, or had from."""

    href: str
    header: Mapping[str, str]


def action(said: object) -> Action:
    """What a server says of where to send or to get something.

    Raises:
        ValueError: it is no address and headers.
        Denied: it is an address of another kind than https.
    """
    match said:
        case {"href": str(href), **rest}:
            header = rest.get("header") or {}
        case _:
            raise ValueError("it has no address")
    if not isinstance(header, dict) or len(header) > MOST_FIELDS:
        raise ValueError("it has headers that are none")
    if not all(_is_header(*pair) for pair in header.items()):
        raise ValueError("it has a header that is none")
    _address(href)
    return Action(href, {name: value for name, value in header.items() if name.lower() not in _OURS})


def _is_header(name: str, value: object) -> bool:
    return (
        isinstance(value, str) and _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None
    )


def _address(href: str) -> SplitResult:
    """The parts of an address. Raises as `action`."""
    if not _HREF.fullmatch(href):
        raise ValueError("its address holds what no address holds")
    url = urlsplit(href)
    if url.scheme != "https":
        raise Denied("The LFS server names an address that is not https://, which is never used")
    if not url.hostname or "@" in url.netloc or url.port == 0:  # the port is a number up to 65535, or raises
        raise ValueError("its address names no host, or a user")
    return url


class _Limit:
    """Cuts a connection when a request took its time in all: http.client's time-out is of silence alone."""

    def __init__(self, connection: http.client.HTTPSConnection, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self._connection = connection
        self._timer = Timer(seconds, self._cut)

    def __enter__(self) -> Self:
        self._socket = self._connection.sock  # it forgets it where an answer ends with the connection
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self.over:  # whatever was made of what was cut
            raise TimeoutError

    def _cut(self) -> None:
        self.over = True
        with suppress(OSError):  # not TLS's own way, which is the other thread's
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class LfsServer:
    """The LFS server of a remote."""

    remote: Remote
    runner: Runner
    """runs ssh, which tells where the LFS of an ssh remote is"""
    seconds: float = _SECONDS
    """that a server may be silent, and that a request of no bytes may take besides connecting"""

    @property
    def possible(self) -> bool:
        """Whether a server of this kind can have LFS."""
        return self.remote.address.protocol is not Protocol.FILE

    def actions(self, operation: str, pointer: Pointer) -> dict[str, Action]:
        """What the server says is to be done for one file.

        Raises:
            NoLfs, Gone: see there.
            StoreError: it says what is no answer, or why not, or nothing.
        """
        place = self._place(operation)
        asked = {
            "operation": operation,
            "transfers": ["basic"],
            "ref": {"name": self.remote.ref},
            "objects": [{"oid": pointer.digest, "size": pointer.size}],
            "hash_algo": "sha256",
        }
        batch = Action(f"{place.href}/objects/batch", {"Content-Type": JSON, **place.header})
        with self.request("POST", batch, json.dumps(asked).encode()) as answer:
            if answer.status in _HAS_NONE:  # some servers say so of a single file that they do not have
                raise Gone if operation == "download" else NoLfs
            must_be_well(answer)
            return parsed(answer.read(_LONGEST_ANSWER))

    def _place(self, operation: str) -> Action:
        """Where the server's LFS is, and what to show there (git-lfs, docs/api/server-discovery.md)."""
        address = self.remote.address
        match address.protocol:
            case Protocol.HTTPS:
                url = address.url.rstrip("/")
                return Action(f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs", {})
            case Protocol.SSH:
                return self._by_ssh(operation)
            case Protocol.FILE:
                raise NoLfs
            case _:
                assert_never(address.protocol)

    def _by_ssh(self, operation: str) -> Action:
        address = self.remote.address
        server, *port = _ssh_server(address)
        asked = f"git-lfs-authenticate {shlex.quote(address.path)} {operation}"
        try:
            output = self.runner.run(*self.remote.ssh()[1:], *port, server, asked, program="ssh")
        except NoGit as error:
            raise Denied(str(error)) from error
        except GitFailed as failed:
            met = answers.meaning(failed.said)
            if isinstance(met, Unavailable):
                raise met from failed
            raise NoLfs from failed  # git itself tells, in a moment, of all else that is wrong
        try:
            place = action(json.loads(output))
        except (ValueError, RecursionError) as error:
            raise NoLfs from error
        return replace(place, href=place.href.rstrip("/"))

    @contextmanager
    def request(
        self, method: str, action: Action, body: bytes | Iterator[bytes] | None = None, size: int = 0
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read within the block. `size`: bytes that are sent or come back.

        Raises:
            Unavailable: there is no answer, or not all of it, in the time that so many bytes may take.
            Denied: the server is not to be trusted.
        """
        url = _address(action.href)
        path = f"{url.path}?{url.query}" if url.query else url.path or "/"
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=self.seconds, context=self._trust(url.netloc)
        )
        limit = _Limit(connection, self.seconds + size / LEAST_RATE)
        try:
            connection.connect()
            with limit:
                connection.request(method, path, body, self._signed(action.header, url.netloc))
                yield connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            reason = f"The LFS server's certificate: {error.verify_message}"
            raise Denied(mended(reason, error, answers.KEYS)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no name of a host
            reason = f"The LFS server does not answer: {_failure(error, url, limit)}"
            raise Unavailable(mended(reason, error, answers.KEYS)) from error
        finally:
            connection.close()

    def _trust(self, host: str) -> ssl.SSLContext:
        skip = self.remote.skip_cert_verification and host == self.remote.address.host
        return trust(self.remote.ca_file, verify=not skip)

    def _signed(self, header: Mapping[str, str], host: str) -> dict[str, str]:
        """The header, with the password where the server gave nothing else to show, and only on its host."""
        signed = {"Accept": JSON, **header}
        password = self.remote.password
        given = any(name.casefold() == "authorization" for name in header)
        if password is not None and not given and host == self.remote.address.host:
            word = f"{self.remote.user}:{password.text}".encode()
            signed["Authorization"] = f"Basic {b64encode(word).decode()}"
        return signed


def _ssh_server(address: Address) -> list[str]:
    """Who and where, and the options for a port, as ssh(1) takes them."""
    host, port = address.host, ""
    if address.url.startswith("ssh://"):
        url = urlsplit(address.url)
        host, port = url.hostname or "", str(url.port or "")
    return [f"{address.user}@{host}" if address.user else host, *(["-p", port] if port else ())]


def _failure(error: Exception, url: SplitResult, limit: _Limit) -> str:
    if limit.over:
        return f"{url.hostname} took more than {limit.seconds:.4g} seconds in all"
    return f"{type(error).__name__}: {error}"


def parsed(answer: bytes) -> dict[str, Action]:
    """The actions for the one file that was asked for.

    Raises:
        Gone, Unacceptable, Denied: the server's error for it; or it names an address that is not https.
        Unavailable: it is no such answer.
    """
    try:
        (row,) = json.loads(answer)["objects"]
        if "error" in row:
            raise _meaning(int(row["error"]["code"]), str(row["error"].get("message", "")))
        return {str(name): action(said) for name, said in (row.get("actions") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Unavailable(f"The LFS server says what is no answer: {type(error).__name__}") from error


def must_be_well(answer: http.client.HTTPResponse) -> None:
    """Raise what the status of the answer means, where it is no success.

    Raises:
        Gone, Denied, Unacceptable, Unavailable: by the status.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's success
        error = _meaning(answer.status, answer.reason)
        if isinstance(error, Unavailable):
            error.retry_after = pause(answer.headers.get("Retry-After", ""), least=0.0)
        raise error


def _meaning(status: int, reason: str) -> Exception:
    words = "".join(c if c.isprintable() else "?" for c in reason)[:200]
    sentence = f"The LFS server says {status} {words}"
    match status:
        case 404 | 410:
            return Gone(sentence)
        case 401 | 403:
            return Denied(f"{sentence}: it does not let this account in, or not write")
        case 413 | 422:
            return Unacceptable(sentence)
        case 507 | 509:
            return Denied(f"{sentence}: make room, or raise its limit")
        case 301 | 302 | 303 | 307 | 308:
            return Denied(f"{sentence}: it sends elsewhere, which is never followed")
        case _:
            return Unavailable(sentence)
