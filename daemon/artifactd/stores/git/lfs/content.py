"""What a blob holds, told while it streams by: its size, its digest, or that it points to LFS."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from artifactd.artifact import Digest
from artifactd.stores.base import no_progress
from artifactd.stores.git.lfs.pointer import LONGEST, Pointer, parse


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
