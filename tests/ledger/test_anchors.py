"""What an anchor proves."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.ledger import anchors, record
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Entry
from artifactd.ledger.schema import FILE
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


def anchored(ledger: Ledger, store: MemoryStore) -> Key:
    """The end of the record, put into the store and told of on record, as an engine does it."""
    found = anchors.anchor(ledger)
    assert found is not None
    assert isinstance(store.put([found[0]])[0], Receipt)
    told = {"store": store.name, "key": found[0].key.text}
    ledger.note(9.0, {"action": "audit.anchored", "outcome": "success", **told})
    return found[0].key


def examined(ledger: Ledger, store: MemoryStore) -> anchors.Anchored:
    told = anchors.Told()
    assert list(record.breaks(told.passing(ledger.entries()))) == []
    assert told.last == ledger.head().seq
    return anchors.examined(ledger, store, told)


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


def test_that_copies_were_verified_is_no_reason_to_anchor_again(tmp_path: Path, store: MemoryStore) -> None:
    ledger = Ledger.open(tmp_path)
    verified = {"action": "copies.verified", "outcome": "success"}
    ledger.note(1.0, verified)
    anchored(ledger, store)
    assert anchors.anchor(ledger) is None
    for _ in range(3):
        ledger.note(10.0, verified)
        assert anchors.anchor(ledger) is None
    noted(ledger, 1)
    ledger.note(11.0, verified)
    found = anchors.anchor(ledger)
    assert found is not None
    assert found[1].tells("copies.verified"), "what came before it is covered"


def test_a_record_that_went_on_after_its_anchor_does_not_contradict_it(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger = Ledger.open(tmp_path)
    noted(ledger, 3)
    anchored(ledger, store)
    noted(ledger, 3)
    assert examined(ledger, store) == anchors.Anchored(3, ())


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
    found = examined(forged, store)
    assert found.last == 0
    assert ["does not hold entry 4" in one.reason for one in found.contradictions] == [True]


def test_a_record_that_ends_before_its_anchor_was_cut(tmp_path: Path, store: MemoryStore) -> None:
    long, short = Ledger.open(tmp_path / "long"), Ledger.open(tmp_path / "short")
    noted(long, 5)
    anchored(long, store)
    noted(short, 4)
    assert ["does not hold entry 5" in one.reason for one in examined(short, store).contradictions] == [True]


def test_anchors_of_another_record_say_nothing(tmp_path: Path, store: MemoryStore) -> None:
    mine, other = Ledger.open(tmp_path / "mine"), Ledger.open(tmp_path / "other")
    noted(mine, 2)
    other.note(77.0, {"action": "another", "outcome": "success"})
    anchored(other, store)
    assert examined(mine, store) == anchors.Anchored(0, ())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"000000000002-{checksum.of_bytes(b'a')}", b"not what its name says", "was altered"),
        (f"000000000002-{checksum.of_bytes(b'')}x", b"", "is no anchor"),
        (f"2-{checksum.of_bytes(b'')}", b"", "is no anchor"),
        (f"\N{FULLWIDTH DIGIT TWO}{'0' * 11}-{checksum.of_bytes(b'')}", b"", "is no anchor"),
        (f"999999999999-{checksum.of_bytes(b'')}", b"", "does not hold entry 999999999999"),
        (f"000000000000-{checksum.of_bytes(b'')}", b"", "does not hold entry 0"),
        ("notes.txt", b"x", "is no anchor"),
    ],
)
def test_what_lies_at_an_anchors_place_and_is_none_contradicts_the_record(
    tmp_path: Path, store: MemoryStore, name: str, content: bytes, said: str
) -> None:
    ledger = Ledger.open(tmp_path)
    noted(ledger, 2)
    anchored(ledger, store)
    key = f"{anchors.FOLDER}{next(ledger.entries()).hash[:12]}/{name}"
    put(store, key, content)
    found = examined(ledger, store)
    assert [(one.key, said in one.reason) for one in found.contradictions] == [(key, True)]
    assert found.last == 2


def test_anchors_that_the_record_tells_of_and_that_are_gone_contradict_it_in_one_sentence(
    tmp_path: Path, store: MemoryStore
) -> None:
    ledger, keys = Ledger.open(tmp_path), list[Key]()
    for _ in range(4):
        noted(ledger, 1)
        keys.append(anchored(ledger, store))
    for key in keys[1:]:
        del store.copies[key]
    found = examined(ledger, store)
    assert found.last == 1
    (one,) = found.contradictions
    assert one.key == keys[1].text
    assert f"So are 2 more, the last at {keys[3]}." in one.reason
    assert "put it back from a backup, an earlier version or, in git, an earlier commit" in one.reason


def test_an_anchor_of_another_store_is_not_missed_in_this_one(tmp_path: Path, store: MemoryStore) -> None:
    ledger = Ledger.open(tmp_path)
    noted(ledger, 1)
    anchored(ledger, MemoryStore("other"))
    assert examined(ledger, store) == anchors.Anchored(0, ())


def test_an_entry_that_was_altered_into_nonsense_names_no_anchor() -> None:
    told = anchors.Told()
    line = '{"action":"audit.anchored","store":'
    assert [one.seq for one in told.passing([Entry(1, line, "0"), Entry(2, f"{line}3}}", "0")])] == [1, 2]
    assert (told.last, told.keys) == (2, {})


def test_other_records_that_are_anchored_in_the_store_are_named(tmp_path: Path, store: MemoryStore) -> None:
    before, after = Ledger.open(tmp_path / "before"), Ledger.open(tmp_path / "after")
    noted(before, 2)
    anchored(before, store)
    after.note(77.0, {"action": "ledger.rebuilt", "outcome": "success"})
    anchored(after, store)
    assert anchors.other_records(before, store) == [next(after.entries()).hash[:12]]
    assert anchors.other_records(after, store) == [next(before.entries()).hash[:12]]


def test_a_store_is_used_where_an_earlier_version_put_an_anchor(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.note(1.0, {"action": "audit.anchored", "outcome": "success", "store": "file_system"})
    ledger.note(2.0, {"action": "config.taken", "outcome": "success", "settings": '"store":"s3"'})
    ledger.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("DELETE FROM counts")
    again = Ledger.open(tmp_path)
    assert anchors.used(again, "file_system")
    assert not anchors.used(again, "s3")
    again.close()
