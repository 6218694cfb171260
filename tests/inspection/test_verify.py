"""What a verification makes of what it finds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Artifact, Digest, Identity, Key, Kind
from artifactd.decisions.lifecycle import Change, Proven, Row, Started, State
from artifactd.inspection import verify
from artifactd.inspection.verify import Condition
from artifactd.ledger.ledger import Ledger
from artifactd.stores.base import Put, Receipt, Source, Stat, StoreError, Unavailable, no_progress
from artifactd.stores.memory import MemoryStore

A, B, C = (Digest(checksum.of_bytes(content)) for content in (b"a", b"b", b"c"))
IDENTITY = Identity(1, 2, 1, 3, 4)


def row(state: State, digest: Digest | None, ours: tuple[Digest, ...]) -> Row:
    artifact = Artifact(b"alice/h2oai_experiment_one/a.csv", "alice", "one", b"a.csv", Kind.OTHER)
    return Row(
        "memory",
        artifact,
        "alice/one/a.csv",
        "alice/one/a.csv",
        "all",
        state,
        digest=digest,
        ours=ours,
        proof="x",
    )


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (row(State.PROVEN, A, (A,)), A, Condition.WHOLE),
        (row(State.PROVEN, A, (A,)), B, Condition.DIFFERENT),
        (row(State.PROVEN, A, (A,)), None, Condition.MISSING),
        (row(State.PROVEN, A, (A,)), Unavailable("away"), Condition.UNREADABLE),
        (row(State.LOST, A, (A,)), A, Condition.WHOLE),
        (row(State.LOST, A, (A,)), B, Condition.DIFFERENT),
        # A replacement that was begun may have happened or not: both bytes are ours, and neither is an alarm.
        (row(State.RETRYING, B, (A, B)), A, Condition.WHOLE),
        (row(State.RETRYING, B, (A, B)), B, Condition.WHOLE),
        (row(State.RETRYING, B, (A, B)), C, Condition.DIFFERENT),
        (row(State.REFUSED, B, (A, B)), A, Condition.WHOLE),
    ],
)
def test_what_the_store_holds_is_compared_with_what_is_on_record(
    known: Row, found: Digest | StoreError | None, expected: Condition
) -> None:
    finding = verify.compare(known, found)
    assert finding.condition is expected
    assert bool(finding.reason) is (expected is not Condition.WHOLE)


# --- what a store says without being read ---

SEEN = replace(row(State.PROVEN, A, (A,)), proof="server_checksum", version="v1", size=1)


@pytest.mark.parametrize(
    ("known", "told", "expected"),
    [
        (SEEN, Stat(1, "v1"), A),
        (SEEN, Stat(1, "v2"), None),
        (SEEN, Stat(2, "v1"), None),
        (replace(SEEN, proof="read_back"), Stat(1, "v1"), None),
        (replace(SEEN, version=""), Stat(1, ""), None),
        (replace(SEEN, state=State.LOST), Stat(1, "v1"), None),
        (SEEN, Stat(1, "v2", A), A),
        (SEEN, Stat(1, "v1", B), B),  # its own checksum goes before our memory of a version
    ],
)
def test_a_store_vouches_by_its_own_checksum_or_by_the_version_that_it_verified(
    known: Row, told: Stat, expected: Digest | None
) -> None:
    assert verify.vouched(known, told) == expected


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
    known = proven(ledger, row(State.NEW, None, ()), A)
    put(store, known.key, b"a")
    store.told, store.reads = told, 0
    assert verify.ask(known, ledger, store, seen.append).condition is expected
    assert store.reads == reads
    assert verify.read_back(known, ledger, store, no_progress).condition is Condition.WHOLE
    ledger.close()


# --- with a real ledger ---


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("memory")


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
    seen = proven(ledger, row(State.NEW, None, ()), A)
    proven(ledger, seen, B)
    put(store, seen.key, b"b")
    finding = verify.read_back(seen, ledger, store, lambda _count: None)
    assert (finding.condition, finding.row.digest) == (Condition.WHOLE, B)


def test_keys_that_nobody_put_on_record_are_unknown_and_artifactds_own_are_not(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger = Ledger.open(tmp_path)
    proven(ledger, row(State.NEW, None, ()), A)
    for key in ("alice/one/a.csv", "alice/one/stray.csv", "_artifactd/check"):
        put(store, key, b"a")
    assert [key.text for key in verify.unknown(store, ledger)] == ["alice/one/stray.csv"]
