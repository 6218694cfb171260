"""The reference store: a dictionary. What it does is what the contract means."""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from artifactd import checksum
from artifactd.artifact import Digest, Key
from artifactd.stores.base import (
    Conflict,
    Proof,
    Put,
    Receipt,
    Result,
    Stat,
    Store,
    StoreError,
    no_progress,
)

_TURN = Lock()
"""Held for one put: stores may share their copies."""


class MemoryStore(Store):
    """Copies in `self.copies`, for tests and for reading. Stores that share `copies` are one destination."""

    def __init__(self, name: str = "memory", copies: dict[Key, bytes] | None = None) -> None:
        self.name = name
        self.copies: dict[Key, bytes] = {} if copies is None else copies

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        return [self._one(put) for put in puts]

    def _one(self, put: Put) -> Result:
        with _TURN:
            digest = self.digest(put.key)
            if digest == put.digest:
                return Receipt(digest, len(self.copies[put.key]), Proof.READ_BACK, written=False)
            if digest is not None and digest not in put.replaceable:
                return Conflict.over(put.key, f"sha256 {digest}")
            try:
                content = b"".join(put.source.chunks())
            except OSError as error:
                return StoreError(f"the source cannot be read: {error.strerror}", put.key)
            receipt = Receipt(checksum.of_bytes(content), len(content), Proof.READ_BACK)
            if receipt.digest == put.digest:
                self.copies[put.key] = content
            return receipt

    def uri(self, key: Key) -> str:
        """A name for people; nothing else can open it."""
        return f"memory:{self.name}/{key}"

    def stat(self, key: Key) -> Stat | None:
        """As `Store.stat`."""
        return Stat(len(self.copies[key])) if key in self.copies else None

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """As `Store.digest`."""
        if key not in self.copies:
            return None
        progress(len(self.copies[key]))
        return checksum.of_bytes(self.copies[key])

    def keys(self, prefix: str = "") -> Iterator[Key]:
        """As `Store.keys`."""
        return (key for key in list(self.copies) if key.text.startswith(prefix))
