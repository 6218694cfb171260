"""What blobs hold, told while they stream by: their sizes, their digests, or that they point to LFS."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from artifactd.artifact import Digest
from artifactd.stores.base import no_progress
from artifactd.stores.git.lfs.pointer import LONGEST, Pointer, parse

Take = Callable[[bytes], None]
"""Takes the bytes of a blob, piece by piece."""


@dataclass(slots=True)
class Batch:
    """Takes what `git cat-file --batch` answers apart: a line for each blob, its bytes, a line feed."""

    begin: Callable[[str], Take]
    """is told the name of each blob"""
    missing: str = ""
    """the line of one that git does not have"""
    _line: bytearray = field(default_factory=bytearray)
    _left: int = 0
    """bytes to come of the blob and its line feed"""
    _take: Take = field(default=lambda _piece: None)

    def take(self, piece: bytes) -> None:
        """The next bytes of the answer."""
        at = 0
        while at < len(piece):
            at = self._content(piece, at) if self._left else self._head(piece, at)

    def _head(self, piece: bytes, at: int) -> int:
        end = piece.find(b"\n", at)
        self._line += piece[at : len(piece) if end < 0 else end]
        if end < 0:
            return len(piece)
        name, _, rest = self._line.decode("ascii", "replace").partition(" ")
        kind, _, size = rest.partition(" ")
        if kind == "blob" and size.isdecimal():
            self._left, self._take = int(size) + 1, self.begin(name)
        else:
            self.missing = f"{name} {rest}"
        self._line.clear()
        return end + 1

    def _content(self, piece: bytes, at: int) -> int:
        content = piece[at : at + self._left]
        self._left -= len(content)
        self._take(content if self._left else content[:-1])
        return at + len(content)


@dataclass(slots=True)
class Content:
    """The bytes that `take` is given."""

    progress: Callable[[int], None] = no_progress
    size: int = 0
    """bytes so far"""
    _reported: int = 0
    _start: bytes = b""
    _sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self._start += chunk[: LONGEST - len(self._start)]
        self._sha256.update(chunk)
        self.size += len(chunk)
        if self.size >= LONGEST:  # a pointer's bytes are not what the reader waits for
            self.report()

    def report(self) -> None:
        """Tell the progress up to here."""
        self.progress(self.size - self._reported)
        self._reported = self.size

    @property
    def pointer(self) -> Pointer | None:
        """What it points to; None where it stands for itself."""
        return parse(self._start) if self.size < LONGEST else None

    @property
    def digest(self) -> Digest:
        """Of the bytes themselves."""
        return Digest(self._sha256.hexdigest())
