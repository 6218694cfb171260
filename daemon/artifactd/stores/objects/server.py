"""What servers of objects can do, said once for Amazon S3 and Azure Blob Storage."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from artifactd.artifact import Digest
from artifactd.stores.base import Proof, Put, StoreError
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Body

Metadata = Mapping[str, str]
"""What is kept beside an object's bytes: names without "-" and "_", values in ASCII."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The key has to hold nothing."""


@dataclass(frozen=True, slots=True)
class Holds:
    """The key has to hold this version."""

    version: str


Expected = Absent | Holds


def condition(expected: Expected) -> dict[str, str]:
    """The header under which a write happens only if the key holds what is expected (RFC 9110, 13.1)."""
    match expected:
        case Absent():
            return {"if-none-match": "*"}
        case Holds(version):
            return {"if-match": version}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which conditions of a write a server honours."""

    of_puts: bool = True
    """it refuses a put where the key does not hold what is expected"""
    of_completion: bool = True
    """likewise where it puts parts together"""
    of_own_versions: bool = True
    """it takes a version that it named itself for that version; else nothing can be replaced there"""


class Taken(StoreError):
    """The key does not hold what was expected. Nothing was written."""


class Forgotten(StoreError):
    """The server no longer knows the parts that it was sent: it has put them together, or dropped them."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a server tells of an object without sending it."""

    size: int
    """bytes"""
    version: str
    attempt: str
    """which try wrote it, as its metadata says; empty where it does not"""
    digest: Digest | None
    """what a checksum that the server has verified proves; None where it has none that says enough"""
    claimed: str = ""
    """the digest of the bytes that were sent, as the object's metadata says; empty where it does not"""


class Objects(ABC):
    """A bucket or a container. Keys are whole, with the prefix. Threads may call at the same time.

    What sends bytes runs in its `loop`. All else blocks, and is called in threads.

    Every method may raise what the store's contract knows: `Unavailable` (with `retry_after` where the server
    asks for a pause), `Denied`, `Unacceptable`, and `Unanswered` where it is not known what became of it.
    """

    loop: Loop
    """of all its connections"""
    honours: Conditions = Conditions()
    """known once it is `ready`"""
    proof: Proof = Proof.SERVER_CHECKSUM
    """how it is known that it got the bytes; READ_BACK: not yet, they have to be read; known once `ready`"""
    proof_of_parts: Proof = Proof.SERVER_CHECKSUM
    """likewise of an object in parts"""

    @abstractmethod
    def ready(self) -> None:
        """Find out what the server can do. Called before the first put, and again until it succeeds.

        Raises:
            Unavailable, Denied: it cannot be found out. Nothing else is raised: this is of no one copy.
        """

    @abstractmethod
    async def put(self, key: str, put: Put, metadata: Metadata, expected: Expected) -> str:
        """Write the object in one request. Returns its version.

        Raises:
            Taken: the key does not hold what was expected.
            Corrupt: the bytes do not have the digest; they are not visible.
            OSError: the source cannot be read; nothing is visible.
        """

    @abstractmethod
    def begin(self, key: str, put: Put, metadata: Metadata) -> str:
        """Announce an object in parts. Returns the server's name for it. Nothing is visible yet."""

    @abstractmethod
    async def part(self, key: str, upload: str, number: int, piece: Body, digest: bytes) -> str:
        """Send a part, numbered from 1, with this SHA-256 (32 bytes). Returns the server's name for it.

        Raises:
            Forgotten: the server does not know the upload.
            Corrupt, OSError: as `put`.
        """

    @abstractmethod
    def complete(  # noqa: PLR0917 - what is put together, as what, and when
        self,
        key: str,
        upload: str,
        names: Mapping[int, str],
        put: Put,
        metadata: Metadata,
        expected: Expected,
    ) -> str:
        """Put the parts together, which makes the object visible. Returns its version.

        Raises:
            Taken, Forgotten: as above.
            Corrupt: the server put together something else than was sent.
        """

    @abstractmethod
    def abandon(self, key: str, upload: str) -> None:
        """Have the server drop the parts of an upload. One that it does not know is dropped already."""

    @abstractmethod
    def head(self, key: str, like: Put | None = None) -> Head | None:
        """What is at `key`; None where nothing is.

        A checksum over parts says nothing by itself, but may prove that the object has the bytes of `like`.
        """

    @abstractmethod
    def read(self, key: str) -> Iterator[bytes] | None:
        """The object's bytes; None where there is none."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """Every key that starts with `prefix`."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """Where the object lies, for people and the record. It holds no secret."""

    @abstractmethod
    def requests(self) -> Mapping[str, int]:
        """Requests sent so far, by operation."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""
