"""What a server that only answers keeps: of an object what is told of it, of artifactd's probe its bytes."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

_PROBE = "_artifactd/"
_TOLD_AGAIN = ("x-amz-checksum-", "x-amz-meta-", "x-ms-meta-", "content-md5", "x-ms-blob-content-md5")


class Taken(Exception):
    """There is something where the client expects nothing."""


class Changed(Exception):
    """There is something else than the client expects."""


class Unlike(Exception):
    """The bytes do not have the checksum that came with them."""


@dataclass(slots=True)
class Request:
    """One request. A body is there only if it is `kept`."""

    method: str
    key: str
    """the path without the slash before it: the bucket or the account, and so on"""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """names in lower case"""
    size: int
    """bytes of the body as it is sent; 0 of one in chunks"""
    body: bytes = b""

    @classmethod
    def of(cls, head: bytes) -> "Request":
        """The request that begins with this head.

        Raises:
            ValueError: it is none.
        """
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path, _, query = target.partition("?")
        queried = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        return cls(method, unquote(path[1:]), queried, headers, int(headers.get("content-length", 0)))

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "transfer-encoding" in self.headers

    @property
    def length(self) -> int:
        """Bytes of the object, or of the part, that the body is: a client may wrap it (`aws-chunked`)."""
        return int(self.headers.get("x-amz-decoded-content-length", self.size))

    @property
    def kept(self) -> bool:
        """Whether the body is of interest."""
        return _PROBE in self.key

    @property
    def md5(self) -> bytes:
        """The MD5 that came with the body; empty where none did."""
        return b64decode(self.headers.get("content-md5", ""))

    @property
    def told_again(self) -> dict[str, str]:
        """Headers that a client hears again when it asks for the object."""
        return {name: value for name, value in self.headers.items() if name.startswith(_TOLD_AGAIN)}


@dataclass(frozen=True, slots=True)
class Object:
    """What is told of one object."""

    size: int
    etag: str
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(slots=True)
class Kept:
    """All objects, and what of others has come."""

    objects: dict[str, Object] = field(default_factory=dict)
    parts: dict[str, dict[str, Request]] = field(default_factory=dict)
    """upload → part → how it came"""
    begun: dict[str, Request] = field(default_factory=dict)
    """upload → how it began"""
    versions: int = 0

    def write(self, request: Request) -> Object:
        """The object that the request makes.

        Raises:
            Taken, Changed, Unlike: it does not.
        """
        self._expect(request)
        if request.kept and not _fits(request):
            raise Unlike
        content = request.body if request.kept else b""
        return self._keep(request, request.length, request.md5.hex(), request.told_again, content)

    def put_together(self, request: Request, upload: str, headers: Mapping[str, str]) -> Object:
        """The object that has come in parts. Its ETag is made as Amazon makes it: clients compare it.

        Raises:
            Taken, Changed: there is another one.
        """
        self._expect(request)
        parts = [part for _, part in sorted(self.parts.pop(upload).items(), key=_order)]
        sums = [part.md5 for part in parts]
        etag = f"{_md5(b''.join(sums))}-{len(parts)}" if all(sums) else ""
        return self._keep(request, sum(part.length for part in parts), etag, headers)

    def _expect(self, request: Request) -> None:
        there, headers = self.objects.get(request.key), request.headers
        if there is not None and headers.get("if-none-match") == "*":
            raise Taken
        if "if-match" in headers and (there is None or headers["if-match"] != there.etag):
            raise Changed

    def _keep(
        self, request: Request, size: int, etag: str, headers: Mapping[str, str], content: bytes = b""
    ) -> Object:
        self.versions += 1
        made = Object(size, f'"{etag or f"version-{self.versions}"}"', headers, content)
        self.objects[request.key] = made
        return made


def _order(item: tuple[str, Request]) -> tuple[int, str]:
    return len(item[0]), item[0]


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _fits(request: Request) -> bool:
    sha256, md5 = hashlib.sha256(request.body).digest(), bytes.fromhex(_md5(request.body))
    found = {"x-amz-checksum-sha256": sha256, "content-md5": md5}
    return all(request.headers.get(name) in {None, b64encode(one).decode()} for name, one in found.items())
