"""What the tests of a store share: the view from outside, and the words to put with."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from artifactd import checksum
from artifactd.artifact import Digest, Key
from artifactd.stores.base import Proof, Put, Receipt, Refusal, Result, Source, Store, StoreError


class Harness(Protocol):
    """One empty destination. It looks at it without the store's own code: a store cannot vouch for itself."""

    proof: Proof
    """the level that the store's receipts claim"""

    @property
    def key_bytes(self) -> int:
        """The longest key that there is room for."""

    def store(self) -> Store:
        """A new store on this destination, as another daemon would open it."""

    def contents(self) -> dict[str, bytes]:
        """What lies there, by key."""

    def plant(self, key: str, content: bytes) -> None:
        """Put it there as somebody else would."""

    def marks(self) -> dict[str, object]:
        """By key, something that is another after each write, of the same bytes too: a version, an inode."""


NewDestination = Callable[[], Harness]


def digest(content: bytes) -> Digest:
    return checksum.of_bytes(content)


def a_put(key: str, content: bytes, *ours: bytes) -> Put:
    """A put of `content` that may replace what is in `ours`."""
    return Put(Key(key), Source(len(content), content), digest(content), tuple(digest(one) for one in ours))


def put_file(key: str, file: Path, content: bytes, fd: int) -> Put:
    """A put of the open file `fd`, which gets `content`."""
    file.write_bytes(content)
    return Put(Key(key), Source(len(content), fd=fd), digest(content))


def pattern(size: int) -> bytes:
    """Bytes that differ from one chunk to the next."""
    block = bytes(range(251))
    return (block * (size // len(block) + 1))[:size]


def only(results: Sequence[Result]) -> Result:
    (result,) = results
    return result


def receipt(results: Sequence[Result]) -> Receipt:
    result = only(results)
    assert isinstance(result, Receipt), result
    return result


def outcome(result: Result) -> str:
    """The result in a word."""
    if isinstance(result, Receipt):
        return "written" if result.written else "there"
    return type(result).__name__


def may_pass(result: Result) -> bool:
    """Whether the error is one to try again after."""
    return isinstance(result, StoreError) and not isinstance(result, Refusal)


def at_once(
    stores: Sequence[Store], keys: Sequence[str], contents: Sequence[bytes]
) -> list[tuple[Result, ...]]:
    """For each key what the stores said, each to its own content, all putting at the same moment."""
    barrier = threading.Barrier(len(stores))

    def put_all(store: Store, content: bytes) -> list[Result]:
        results = list[Result]()
        try:
            for key in keys:
                barrier.wait()
                results += store.put([a_put(key, content)])
        except BaseException:
            barrier.abort()
            raise
        return results

    with ThreadPoolExecutor(len(stores)) as pool:
        return list(zip(*pool.map(put_all, stores, contents), strict=True))
