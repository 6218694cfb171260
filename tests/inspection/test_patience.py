"""Stores that are waited for no longer than one likes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from artifactd import checksum
from artifactd.artifact import Digest, Key
from artifactd.clock import SYSTEM
from artifactd.inspection.patience import Patient
from artifactd.stores.base import Put, Source, StoreError, Unavailable, no_progress
from artifactd.stores.memory import MemoryStore

A, B, C = (Key(f"alice/one/{name}") for name in "abc")
FOREVER = 120.0


def holding(store: MemoryStore) -> MemoryStore:
    """The store, with three copies in it."""
    store.put([Put(key, Source(1, b"x"), Digest(checksum.of_bytes(b"x"))) for key in (A, B, C)])
    return store


class Hangs(MemoryStore):
    """Reads of B hang."""

    def __init__(self) -> None:
        super().__init__("hangs")
        self.read, self.on = list[Key](), threading.Event()
        self.on.set()

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        self.read.append(key)
        if key == B:
            self.on.wait(FOREVER)
        return super().digest(key, progress)


def test_a_store_that_hangs_is_given_up_and_not_asked_again() -> None:
    store, passed = Hangs(), list[int]()
    holding(store)
    store.read.clear()
    store.on.clear()
    patient = Patient(store, 0.05, "mend it", SYSTEM)
    first, *rest = patient.digests([A, B, C], passed.append)
    assert (first, passed) == (checksum.of_bytes(b"x"), [1])
    assert [str(one) for one in rest] == [
        "it did not answer within 0.05 s, and is not asked again: mend it"
    ] * 2
    assert list(patient.stats([A])) == [rest[0]]
    with pytest.raises(Unavailable, match="mend it"):
        next(patient.keys())
    assert store.read == [A, B]
    store.on.set()


class Away(MemoryStore):
    """Says at once that it is unavailable, but of A."""

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        if key != A:
            raise Unavailable("come again")
        return super().digest(key, progress)


@pytest.mark.parametrize(
    ("order", "given_up"), [([B, C, B, C], 2), ([B, A, C, A, B, A], 0)], ids=["only that", "now and then"]
)
def test_a_store_that_is_only_ever_unavailable_is_given_up(order: Sequence[Key], given_up: int) -> None:
    minutes = iter(range(0, 6000, 60))
    clock = replace(SYSTEM, monotonic=lambda: next(minutes))
    store = Away("away")
    store.copies[A] = b"x"
    found = list(Patient(store, 100.0, "mend it", clock).digests(order))
    assert [("mend it" in str(one)) for one in found].count(True) == given_up
    assert len(found) == len(order)


class Broken(MemoryStore):
    """Cannot be listed to the end."""

    def keys(self, prefix: str = "") -> Iterator[Key]:
        yield from super().keys(prefix)
        raise StoreError("torn")


def test_what_a_store_answers_comes_as_it_is() -> None:
    store = holding(MemoryStore("well"))
    patient = Patient(store, FOREVER, "", SYSTEM)
    keys = [A, Key("nobody/one/a"), B]
    assert list(patient.stats(keys)) == list(store.stats(keys))
    assert list(patient.digests(keys)) == list(store.digests(keys))
    assert (patient.stat(A), patient.digest(A), patient.uri(A)) == (
        store.stat(A),
        store.digest(A),
        store.uri(A),
    )
    assert set(patient.keys("alice/")) == {A, B, C}
    listing = Patient(Broken("broken", store.copies), FOREVER, "", SYSTEM).keys()
    assert [next(listing) for _ in range(3)] == [A, B, C]
    with pytest.raises(StoreError, match="torn"):
        next(listing)
