"""What every store promises, and how it says that it could not.

A store takes create-only or compare-and-swap puts, reads, and lists. There is no delete: a mirror that cannot
delete cannot lose data. Nothing is overwritten but bytes that this daemon wrote itself.

The type of an error says what to do. `StoreError` may pass: try again. `Refusal` needs a person. Two of them
speak of the store as a whole (`Unavailable`, `Denied`): nothing else will succeed there either, for now.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifactd.artifact import Digest, Key
from artifactd.decisions.outage import AtOnce

CHUNK: Final = 1 << 20
"""Bytes of a source read at a time."""


class StoreError(Exception):
    """The put or the read failed and may succeed later. Nothing half-written is visible."""

    def __init__(self, reason: str, what: Key | str = "") -> None:
        super().__init__(f"{what}: {reason}" if what else reason)
        self.reason = reason
        """a sentence"""
        self.what = str(what)
        """the key, the part or the request that met it; empty where the reason says what it is about"""


class Unavailable(StoreError):
    """The store as a whole does not answer, has no room, or asks for a pause."""

    def __init__(self, reason: str, what: Key | str = "", retry_after: float = 0.0) -> None:
        super().__init__(reason, what)
        self.retry_after = retry_after
        """seconds that the store asks to be left alone for"""


class Corrupt(StoreError):
    """The store got other bytes than were meant. They were not published.

    Where a server checks nothing they may lie there: the next put of the key replaces them.
    """


class Refusal(StoreError):
    """The store will say the same again until a person changes something."""


class Denied(Refusal):
    """The store does not let this daemon in, or not write."""


class Unseen(Refusal):
    """The key is taken, and this daemon may not look by what. It was not touched."""


class Conflict(Refusal):
    """The key holds other bytes, which this daemon did not write. They were not touched."""

    @classmethod
    def over(cls, key: Key, held: str) -> "Conflict":
        """Of `key`, which holds bytes that are known by what is `held`. An earlier record may know them."""
        return cls(
            f"{key} holds other bytes ({held}), which artifactd did not write as far as its record goes"
        )


class Unacceptable(Refusal):
    """The store cannot hold such a key or such a size."""


class Proof(StrEnum):
    """How it is known that the store holds the bytes of the digest, the strongest first."""

    SERVER_CHECKSUM = "server_checksum"
    READ_BACK = "read_back"
    SELF_ASSERTED = "self_asserted"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A store's answer to a put: these bytes are there, durably."""

    digest: Digest
    size: int
    """bytes"""
    proof: Proof
    version: str = ""
    """what the store calls these bytes: an ETag, a blob; empty where it has no such name"""
    written: bool = True
    """False where the same bytes were there already"""


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store tells of a copy without reading it."""

    size: int | None
    """bytes; None where the store does not tell it without reading"""
    version: str = ""
    """as in a `Receipt`: while it is the same, so are the bytes"""
    digest: Digest | None = None
    """what the store's own checksum proves the bytes to hash to; None where it has no such checksum"""


@dataclass(frozen=True, slots=True)
class Parts:
    """A source in parts of one size, the last one smaller, with the SHA-256 of each.

    They were hashed in the same pass as the whole: whoever has these parts has the bytes of its digest.
    """

    size: int
    """bytes of each part but the last"""
    digests: tuple[bytes, ...]
    """32 bytes each"""


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes to put: an open file, or its content where it is small.

    Reading moves no position, so threads may share it.
    """

    size: int
    """bytes"""
    content: bytes | None = None
    fd: int = -1
    parts: Parts | None = None
    """for stores that send large sources in parts"""

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The bytes from the start: of a file at most `size` at a time, content in one piece.

        A file gives `self.size` bytes, or fewer if it was cut since; what was added since is left out.

        Raises:
            OSError: the file cannot be read.
        """
        if self.content is not None:
            yield self.content
            return
        offset = 0
        while offset < self.size and (chunk := os.pread(self.fd, min(size, self.size - offset), offset)):
            yield chunk
            offset += len(chunk)


@dataclass(frozen=True, slots=True)
class About:
    """Where a copy's bytes come from, for stores that keep it beside the bytes."""

    source: str = ""
    """path below the data directory, printable"""
    user: str = ""
    experiment_id: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """One copy to make."""

    key: Key
    source: Source
    digest: Digest
    """what `source` hashed to; the store proves that it got exactly this"""
    ours: tuple[Digest, ...] = ()
    """digests that this daemon wrote, or may have written, at the key: only these may be replaced"""
    version: str = ""
    """the store's name for what this daemon last proved at the key, from its `Receipt`; empty: nothing yet"""
    about: About = About()
    earlier: tuple[Digest, ...] = ()
    """digests of what lay at the key before those: where the store fell back to one, it is replaced, too"""

    @property
    def replaceable(self) -> tuple[Digest, ...]:
        """The digests that may be replaced."""
        return self.ours + self.earlier

    @property
    def size(self) -> int:
        """Bytes."""
        return self.source.size


Result = Receipt | StoreError

MOST_PARTS: Final = 10_000
"""Parts that Amazon S3 allows for one object; Azure Blob Storage allows 50,000."""


def size_of_parts(size: int, preferred: int) -> int:
    """Bytes of each part of a source of `size` bytes: as preferred, doubled until there are few enough."""
    while size > preferred * MOST_PARTS:
        preferred *= 2
    return preferred


def no_progress(_count: int) -> None:
    """For callers that show none."""


def _batches(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """The puts in their order, cut before a key that came already."""
    batch = dict[Key, Put]()
    for put in puts:
        if put.key in batch:
            yield list(batch.values())
            batch.clear()
        batch[put.key] = put
    if batch:
        yield list(batch.values())


class Store(ABC):
    """One destination. The public methods give the guarantees, the underscored ones do the work."""

    name: str
    """as in the configuration and the ledger"""
    part_size: int | None = None
    """bytes of the parts that this store wants larger sources hashed in; None: it sends them whole"""

    apart: int | None = None
    """bytes from which on puts wait for a server that smaller ones do not need; None: there is none"""

    def put(self, puts: Sequence[Put]) -> list[Result]:
        """Make these copies; one result for each, in order. It never raises for what a store can meet.

        A key that holds nothing gets the bytes. A key that holds the same bytes is a success without writing.
        A key that holds bytes listed in `ours`, or in `earlier`, is replaced in one step. Any other key is a
        `Conflict`, untouched. Puts of one key in one batch happen one after the other. Threads may put at the
        same time.

        After a receipt the copy survives a power cut and has been proven to have the digest. After an error,
        the key holds what it held, or all of the new bytes; putting again is safe.
        """
        results = [result for batch in _batches(puts) for result in self._put(batch)]
        return [
            Corrupt(f"the store vouches for {result.digest}, {put.digest} was sent", put.key)
            if isinstance(result, Receipt) and result.digest != put.digest
            else result
            for put, result in zip(puts, results, strict=True)
        ]

    @abstractmethod
    def _put(self, puts: Sequence[Put]) -> list[Result]:
        """Do what `put` promises, for at least one put and no key twice."""

    @abstractmethod
    def uri(self, key: Key) -> str:
        """Where the copy at `key` lies, for people and the record. It holds no secret."""

    @abstractmethod
    def stat(self, key: Key) -> Stat | None:
        """What lies at `key`, without reading it; None where nothing does.

        Raises:
            StoreError: it cannot be known.
        """

    @abstractmethod
    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """Read the copy at `key` and hash it; None where there is none.

        `progress` is told the bytes as they pass.

        Raises:
            StoreError: it cannot be known.
        """

    def stats(self, keys: Sequence[Key]) -> Iterator[Stat | StoreError | None]:
        """As `stat` of each of these keys, in their order; an error stands in its key's place.

        A store that can be asked for many at once is.
        """
        for key in keys:
            try:
                yield self.stat(key)
            except StoreError as error:
                yield error

    def digests(
        self, keys: Sequence[Key], progress: Callable[[int], None] = no_progress
    ) -> Iterator[Digest | StoreError | None]:
        """As `digest` of each of these keys, in their order; an error stands in its key's place.

        A store that can be asked for many at once is, and may need room for the bytes of all on this host's
        disk: ask for no more at a time than there is room for.
        """
        for key in keys:
            try:
                yield self.digest(key, progress)
            except StoreError as error:
                yield error

    @abstractmethod
    def keys(self, prefix: str = "") -> Iterator[Key]:
        """Every key that starts with `prefix`, in no order. Names that are no keys are passed over.

        Raises:
            StoreError: the store cannot be listed (to the end).
        """

    def doubts(self) -> Sequence[str]:
        """What this destination makes impossible to promise, in sentences; complete after the first put."""
        return ()

    @property
    def connections(self) -> AtOnce | None:
        """How many requests with bytes may be under way; None: the store knows no such bound."""
        return None

    def requests(self) -> Mapping[str, int]:
        """How many requests were sent since the store was opened, by the name of the operation.

        Empty where a store sends none.
        """
        return {}

    def close(self) -> None:  # noqa: B027 - most stores hold nothing open
        """Let go of what is open. The store is not used again."""
