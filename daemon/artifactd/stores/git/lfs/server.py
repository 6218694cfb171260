"""An LFS server: where it is, what it is asked, what its answers mean (git-lfs, docs/api/).

Redirects are not followed. What a server names as the place of a file has to be https, and only the
repository's own host gets the password.
"""

import http.client
import json
import shlex
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

from artifactd.config.destinations.git_address import Address, Protocol
from artifactd.stores.base import Denied, Unacceptable, Unavailable
from artifactd.stores.git import answers
from artifactd.stores.git.lfs.pointer import Pointer
from artifactd.stores.git.process import GitFailed, NoGit, Runner
from artifactd.stores.git.remote import Remote
from artifactd.stores.http.answers import pause
from artifactd.stores.http.connect import trust

JSON: Final = "application/vnd.git-lfs+json"
_SECONDS: Final = 60.0
"""of silence, after which a connection is given up"""

_LONGEST_ANSWER: Final = 1 << 20
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


@dataclass(frozen=True, slots=True)
class LfsServer:
    """The LFS server of a remote."""

    remote: Remote
    runner: Runner
    """runs ssh, which tells where the LFS of an ssh remote is"""

    @property
    def possible(self) -> bool:
        """Whether a server of this kind can have LFS."""
        return self.remote.address.protocol is not Protocol.FILE

    def actions(self, operation: str, pointer: Pointer) -> dict[str, Action]:
        """What the server says is to be done for one file."""
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
            return _parsed(answer.read(_LONGEST_ANSWER))

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
            place = json.loads(output)
            return Action(str(place["href"]).rstrip("/"), dict(place.get("header") or {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoLfs from error

    @contextmanager
    def request(
        self, method: str, action: Action, body: bytes | Iterator[bytes] | None = None
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
        skip = self.remote.skip_cert_verification and host == self.remote.address.host
        return trust(self.remote.ca_file, verify=not skip)

    def _signed(self, header: Mapping[str, str], host: str) -> dict[str, str]:
        """The header, with the password where the server gave nothing else to show, and only on its host."""
        signed = {"Accept": JSON, **header}
        password = self.remote.password
        given = any(name.casefold() == "authorization" for name in header)
        if password is not None and not given and host == self.remote.address.host:
            word = f"{self.remote.user}:{password.get_secret_value()}".encode()
            signed["Authorization"] = f"Basic {b64encode(word).decode()}"
        return signed


def _ssh_server(address: Address) -> list[str]:
    """Who and where, and the options for a port, as ssh(1) takes them."""
    host, port = address.host, ""
    if address.url.startswith("ssh://"):
        url = urlsplit(address.url)
        host, port = url.hostname or "", str(url.port or "")
    return [f"{address.user}@{host}" if address.user else host, *(["-p", port] if port else ())]


def _parsed(answer: bytes) -> dict[str, Action]:
    """The actions for the one file that was asked for.

    Raises:
        Gone, Unacceptable, Denied: the server's error for it.
        Unavailable: it is no such answer.
    """
    try:
        (row,) = json.loads(answer)["objects"]
        if "error" in row:
            raise _meaning(int(row["error"]["code"]), str(row["error"].get("message", "")))
        actions: dict[str, Any] = row.get("actions") or {}
        return {name: Action(str(a["href"]), dict(a.get("header") or {})) for name, a in actions.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
