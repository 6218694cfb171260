"""Large files in Git LFS, beside the repository: sent, and read back before they count.

What was uploaded is read back and hashed, because a server need not look at what it gets.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from artifactd import checksum
from artifactd.artifact import Digest
from artifactd.stores.base import Corrupt, Denied, Put, StoreError, no_progress
from artifactd.stores.git.lfs.pointer import Pointer
from artifactd.stores.git.lfs.server import JSON, Action, Gone, LfsServer, must_be_well


@dataclass(frozen=True, slots=True)
class Lfs:
    """The large files of a remote."""

    server: LfsServer

    def upload(self, put: Put) -> Pointer:
        """See to it that the server has the bytes, known to it by their digest, and prove it.

        Raises:
            NoLfs: see there.
            Corrupt: the source changed, or the server has other bytes by that name.
            StoreError: they could not be sent or read back.
        """
        pointer = Pointer(put.digest, put.size)
        try:
            actions = self.server.actions("upload", pointer)
        except Gone as error:
            raise Denied(str(error)) from error
        if "upload" in actions:
            self._send(actions["upload"], put)
            if "verify" in actions:
                self._verify(actions["verify"], pointer)
        try:
            digest = self.digest(pointer)
        except Gone:
            raise StoreError("the LFS server does not have what it just took", put.key) from None
        if digest != put.digest:
            raise Corrupt(f"the LFS server holds sha256 {digest} by the name of {put.digest}", put.key)
        return pointer

    def digest(self, pointer: Pointer, progress: Callable[[int], None] = no_progress) -> Digest:
        """Read the bytes that `pointer` stands for, and hash them: no more of them than it says there are.

        Raises:
            NoLfs, Gone: see there.
            Corrupt: there are more.
            StoreError: they cannot be read.
        """
        action = self.server.actions("download", pointer).get("download")
        if action is None:
            raise StoreError(f"the LFS server does not say where sha256 {pointer.digest} is to be had")
        sha256 = hashlib.sha256()
        with self.server.request("GET", action, size=pointer.size) as answer:
            must_be_well(answer)
            _must_fit(answer.length or 0, pointer)
            size = 0
            while chunk := answer.read(checksum.BUFFER):
                _must_fit(size := size + len(chunk), pointer)
                sha256.update(chunk)
                progress(len(chunk))
            if answer.length:  # http.client does not tell
                raise ConnectionResetError(None, "the end is missing")
        return Digest(sha256.hexdigest())

    def _send(self, action: Action, put: Put) -> None:
        header = {"Content-Type": "application/octet-stream", **action.header}
        header["Content-Length"] = str(put.size)
        with self.server.request("PUT", Action(action.href, header), _proven(put), put.size) as answer:
            must_be_well(answer)

    def _verify(self, action: Action, pointer: Pointer) -> None:
        body = json.dumps({"oid": pointer.digest, "size": pointer.size}).encode()
        header = {"Content-Type": JSON, **action.header}
        with self.server.request("POST", Action(action.href, header), body) as answer:
            must_be_well(answer)


def _must_fit(size: int, pointer: Pointer) -> None:
    if size > pointer.size:
        raise Corrupt(f"the LFS server has more than {pointer.size} bytes by the name of {pointer.digest}")


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
        raise StoreError(f"the source cannot be read: {error.strerror}", put.key) from error
    if left or sha256.hexdigest() != put.digest:
        raise Corrupt("it changed while it was uploaded", put.key)
    yield waiting
