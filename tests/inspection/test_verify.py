"""How a verification looks at copies and keys."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Digest, Identity, Key
from artifactd.decisions.lifecycle import Change, Proven, Row, Started
from artifactd.inspection import verify
from artifactd.inspection.findings import Condition
from artifactd.ledger.ledger import Ledger
from artifactd.stores.base import Put, Receipt, Source, Stat, StoreError, Unavailable, no_progress
from artifactd.stores.memory import MemoryStore
from tests.support.rows import a_row

A, B = (Digest(checksum.of_bytes(content)) for content in (b"a", b"b"))
NEW = replace(a_row(key="alice/one/a.csv"), store="memory")
IDENTITY = Identity(1, 2, 1, 3, 4)


class Vouching(MemoryStore):
    """Says what it is told to say of every copy, and counts how often one is read."""

    told: Stat | StoreError | None = None
    reads = 0

    def stat(self, key: Key) -> Stat | None:
        del key
        if isinstance(self.told, StoreError):
            raise self.told
        return self.told

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        self.reads += 1
        return super().digest(key, progress)


@pytest.mark.parametrize(
    ("told", "expected", "reads"),
    [
        (Stat(1, "", A), Condition.WHOLE, 0),
        (Stat(1, "", B), Condition.DIFFERENT, 0),
        (None, Condition.MISSING, 0),
        (Unavailable("away"), Condition.UNREADABLE, 0),
        (Stat(1), Condition.WHOLE, 1),
    ],
)
def test_a_copy_is_read_only_where_the_store_cannot_vouch_for_it(
    tmp_path: Path, told: Stat | StoreError | None, expected: Condition, reads: int
) -> None:
    ledger, store, seen = Ledger.open(tmp_path), Vouching("memory"), list[int]()
    known = proven(ledger, NEW, A)
    put(store, known.key, b"a")
    store.told, store.reads = told, 0
    assert [one.condition for one in verify.ask([known], store, seen.append)] == [expected]
    assert store.reads == reads
    assert [one.condition for one in verify.read_back([known], store, no_progress)] == [Condition.WHOLE]
    ledger.close()


class Asked(MemoryStore):
    """Keeps what it was asked for at once: how many stats, and which keys to read, by their last digit."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked, self.read = list[int](), list[list[str]]()

    def stats(self, keys: Sequence[Key]) -> Iterator[Stat | StoreError | None]:
        self.asked.append(len(keys))
        return super().stats(keys)

    def digests(
        self, keys: Sequence[Key], progress: Callable[[int], None] = no_progress
    ) -> Iterator[Digest | StoreError | None]:
        self.read.append([key.text[-1] for key in keys])
        return super().digests(keys, progress)


# --- with a real ledger ---


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("memory")


def of(number: int) -> Row:
    return replace(
        NEW,
        key=f"alice/one/{number}",
        artifact=replace(NEW.artifact, path=b"%d/h2oai_experiment_one/a" % number),
    )


def put(store: MemoryStore, key: str, content: bytes) -> None:
    (result,) = store.put([Put(Key(key), Source(len(content), content), checksum.of_bytes(content))])
    assert isinstance(result, Receipt)


def proven(ledger: Ledger, before: Row, digest: Digest) -> Row:
    (started,) = ledger.record([Change(before, Started(IDENTITY, digest, 1, "quiet"))], 1.0)
    (done,) = ledger.record([Change(started.row, Proven("read_back", "", True, 0.0, "memory:"))], 1.0)
    return done.row


def test_a_copy_that_the_daemon_replaced_while_it_was_verified_is_whole(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger = Ledger.open(tmp_path)
    seen = proven(ledger, NEW, A)
    proven(ledger, seen, B)
    put(store, seen.key, b"b")
    (finding,) = verify.settled(verify.read_back, [seen], ledger, store, no_progress)
    assert (finding.condition, finding.row.digest) == (Condition.WHOLE, B)


def test_copies_are_asked_for_all_at_once_and_read_so_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_FILES_AT_ONCE", 3)
    monkeypatch.setattr(verify, "_BYTES_AT_ONCE", 20)
    sizes = [1, 1, 1, 1, 30, 10, 11]
    ledger, store = Ledger.open(tmp_path), Asked("memory")
    rows = [replace(proven(ledger, of(n), A), size=size) for n, size in enumerate(sizes)]
    put(store, rows[0].key, b"a")
    found = list(verify.ask(rows, store, no_progress))
    assert store.asked == [len(sizes)]
    assert store.read == [["0"]]
    assert [one.condition for one in found].count(Condition.WHOLE) == 1
    list(verify.read_back(rows, store, no_progress))
    assert store.read[1:] == [["0", "1", "2"], ["3"], ["4"], ["5"], ["6"]]
    ledger.close()


def test_keys_that_nobody_put_on_record_are_unknown_and_artifactds_own_are_not(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger = Ledger.open(tmp_path)
    proven(ledger, NEW, A)
    for key in ("alice/one/a.csv", "alice/one/stray.csv", "_artifactd/check"):
        put(store, key, b"a")
    assert [key.text for key in verify.unknown(store, ledger)] == ["alice/one/stray.csv"]
