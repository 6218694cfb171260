"""What an anchor proves."""

from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.ledger import anchors, record
from artifactd.ledger.ledger import Ledger
from artifactd.stores.base import Put, Receipt, Source
from artifactd.stores.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("memory")


def put(store: MemoryStore, key: str, content: bytes) -> None:
    (result,) = store.put([Put(Key(key), Source(len(content), content), checksum.of_bytes(content))])
    assert isinstance(result, Receipt)


def noted(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.note(float(number), {"action": "test", "outcome": "success"})


def anchored(ledger: Ledger, store: MemoryStore) -> None:
    found = anchors.anchor(ledger)
    assert found is not None
    assert isinstance(store.put([found[0]])[0], Receipt)


def test_an_empty_record_has_nothing_to_anchor(tmp_path: Path) -> None:
    assert anchors.anchor(Ledger.open(tmp_path)) is None


def test_an_anchor_is_the_last_line_under_its_number_and_its_own_hash(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    noted(ledger, 3)
    found = anchors.anchor(ledger)
    assert found is not None
    anchor, entry = found
    assert anchor.source.content == entry.line.encode()
    assert anchor.digest == entry.hash
    assert anchor.key.name == f"000000000003-{entry.hash}"


def test_a_record_that_went_on_after_its_anchor_does_not_contradict_it(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger = Ledger.open(tmp_path)
    noted(ledger, 3)
    anchored(ledger, store)
    noted(ledger, 3)
    assert list(anchors.contradictions(ledger, store)) == []
    assert list(record.breaks(ledger.entries())) == []


def test_a_record_that_was_written_anew_from_its_second_entry_contradicts_its_anchor(
    tmp_path: Path, store: MemoryStore
) -> None:
    true, forged = Ledger.open(tmp_path / "true"), Ledger.open(tmp_path / "forged")
    noted(true, 1)
    noted(forged, 1)
    noted(true, 3)
    anchored(true, store)
    for _ in range(3):
        forged.note(9.0, {"action": "test", "outcome": "failure"})
    assert list(record.breaks(forged.entries())) == []
    assert [found.seq for found in anchors.contradictions(forged, store)] == [4]


def test_a_record_that_ends_before_its_anchor_was_cut(tmp_path: Path, store: MemoryStore) -> None:
    long, short = Ledger.open(tmp_path / "long"), Ledger.open(tmp_path / "short")
    noted(long, 5)
    anchored(long, store)
    noted(short, 4)
    assert [found.seq for found in anchors.contradictions(short, store)] == [5]


def test_anchors_of_another_record_and_files_that_are_no_anchors_say_nothing(
    tmp_path: Path, store: MemoryStore
) -> None:
    mine, other = Ledger.open(tmp_path / "mine"), Ledger.open(tmp_path / "other")
    noted(mine, 2)
    other.note(77.0, {"action": "another", "outcome": "success"})
    anchored(other, store)
    first = next(mine.entries()).hash[:12]
    put(store, f"{anchors.FOLDER}{first}/000000000009-{checksum.of_bytes(b'a')}", b"not what its name says")
    put(store, f"{anchors.FOLDER}{first}/notes.txt", b"x")
    assert list(anchors.contradictions(mine, store)) == []


def test_other_records_that_are_anchored_in_the_store_are_named(tmp_path: Path, store: MemoryStore) -> None:
    before, after = Ledger.open(tmp_path / "before"), Ledger.open(tmp_path / "after")
    noted(before, 2)
    anchored(before, store)
    after.note(77.0, {"action": "ledger.rebuilt", "outcome": "success"})
    anchored(after, store)
    assert anchors.other_records(before, store) == [next(after.entries()).hash[:12]]
    assert anchors.other_records(after, store) == [next(before.entries()).hash[:12]]
