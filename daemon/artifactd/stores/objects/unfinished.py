"""Large puts that were begun: what a store writes down so that a crash costs one part, not the whole file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Protocol

from artifactd.artifact import Digest, Key


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A put whose parts are being sent. The bytes are those of `digest`, so its parts stay what they are."""

    store: str
    key: Key
    digest: Digest
    part_size: int
    """bytes of each part but the last"""
    upload: str
    """the server's name for it"""
    attempt: str
    """as in the copy's own metadata"""
    began: float
    """seconds since the epoch"""
    parts: dict[int, str] = field(default_factory=dict)
    """number of each part that the server has, from 1 → what the server calls it"""

    def named(self, upload: str) -> "Unfinished":
        """This put begun anew under another name of the server's: it has no part yet."""
        return replace(self, upload=upload, parts={})


class UploadLog(Protocol):
    """Where a store writes down its unfinished puts, durably. Threads may use it at the same time.

    Every method raises `Unavailable` where it cannot be read or written; nothing was changed then.
    """

    def begun(self, unfinished: Unfinished) -> None:
        """Write down that this put begins."""

    def has(self, upload: str, number: int, name: str) -> None:
        """Write down that the server has this part."""

    def ended(self, upload: str) -> None:
        """Forget it: it was completed, or given up."""

    def unfinished(self, store: str) -> Sequence[Unfinished]:
        """What is written down for this store, the oldest first."""


class InMemory(UploadLog):
    """An upload log in memory: nothing survives the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun: dict[str, Unfinished] = {}

    def begun(self, unfinished: Unfinished) -> None:
        """As `UploadLog.begun`."""
        with self._lock:
            self._begun[unfinished.upload] = unfinished

    def has(self, upload: str, number: int, name: str) -> None:
        """As `UploadLog.has`."""
        with self._lock:
            known = self._begun[upload]
            self._begun[upload] = replace(known, parts=known.parts | {number: name})

    def ended(self, upload: str) -> None:
        """As `UploadLog.ended`."""
        with self._lock:
            self._begun.pop(upload, None)

    def unfinished(self, store: str) -> Sequence[Unfinished]:
        """As `UploadLog.unfinished`."""
        with self._lock:
            return [one for one in self._begun.values() if one.store == store]
