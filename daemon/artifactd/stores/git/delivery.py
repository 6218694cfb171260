"""One put on its way into a commit."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from artifactd import checksum
from artifactd.artifact import Digest
from artifactd.stores.base import Corrupt, Put, Result, Source, StoreError, Unacceptable
from artifactd.stores.git.lfs.pointer import Pointer, parse


@dataclass(slots=True, eq=False)
class CommitDelivery:
    """What is known of one put so far."""

    put: Put
    path: str
    """in the repository"""
    blob: str
    """git's name for what the key is to hold: the bytes, or the pointer to them"""
    source: Source
    """what the key is to hold"""
    pointer: Pointer | None = None
    """what stands in the repository where the bytes lie in LFS"""
    result: Result | None = None
    """None while it is on its way"""

    @classmethod
    def of_pointer(cls, put: Put, path: str, pointer: Pointer) -> "CommitDelivery":
        """Of a put whose bytes lie in LFS already."""
        content = pointer.content
        return cls(put, path, blob_name(content), Source(len(content), content), pointer)

    @property
    def folder(self) -> str:
        """The folder of the copy, with the slash at its end; empty for the root."""
        return self.path[: self.path.rfind("/") + 1]

    @property
    def own_folder(self) -> str:
        """The uppermost folder that is artifactd's, with the slash at its end: the prefix, else the user's.

        Empty where the copy lies in no folder.
        """
        prefix = self.path.removesuffix(self.put.key.text)
        return prefix or self.path[: self.path.find("/") + 1]

    @property
    def name(self) -> str:
        """The copy's name in its folder."""
        return self.put.key.name


Verdicts = dict[CommitDelivery, Result]
"""What becomes of each, as far as it is decided."""


def named_blob(put: Put) -> str:
    """Read the source and prove it: git's name for its bytes, which says as much of them as their digest.

    Raises:
        Corrupt: it has other bytes than were announced.
        Unacceptable: who reads it back would take it for a pointer to another file.
        StoreError: it cannot be read.
    """
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % put.size, usedforsecurity=False)
    size, start = 0, b""
    try:
        for chunk in put.source.chunks(checksum.BUFFER):
            start = start or chunk
            sha256.update(chunk)
            sha1.update(chunk)
            size += len(chunk)
    except OSError as error:
        raise StoreError(f"the source cannot be read: {error.strerror}", put.key) from error
    digest = Digest(sha256.hexdigest())
    if digest != put.digest or size != put.size:
        raise Corrupt(f"the source has sha256 {digest}, {put.digest} was announced", put.key)
    if size == len(start) and parse(start):
        raise Unacceptable(
            "it is a pointer of Git LFS itself, which would be taken for what it names", put.key
        )
    return sha1.hexdigest()


def blob_name(content: bytes) -> str:
    """Git's name for a blob of `content`: SHA-1 over its header and itself."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def as_file(source: Source, spool: Path) -> tuple[str, tuple[int, ...]]:
    """A path that git can read exactly the source's bytes from, and the descriptors that it needs for it.

    An open file is read where it is; content, and what a file has not grown by, is copied to `spool`.

    Raises:
        OSError: the source cannot be read, or the copy not be written.
    """
    here = f"/dev/fd/{source.fd}"
    if source.content is None and os.fstat(source.fd).st_size == source.size and os.access(here, os.R_OK):
        return here, (source.fd,)
    with spool.open("wb") as file:
        for chunk in source.chunks():
            file.write(chunk)
    return str(spool), ()
