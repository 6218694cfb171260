"""How many copies there are is known at once, whoever put them on record."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import Change, Failed, Lost, Row, State
from artifactd.health.copy_counts import CopyCounts
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import Unwritable
from artifactd.stores.base import Conflict, StoreError
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before
from tests.support.rig import Rig, rigged

CSV = b"row,prediction\n"


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore("memory"))


@pytest.fixture
def rig(tmp_path: Path, store: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, store)


def listening(rig: Rig) -> CopyCounts:
    counts = CopyCounts(rig.ledger, rig.clock)
    rig.recorder.listeners.append(counts.heard)
    return counts


def known(copies: Mapping[tuple[str, State], int]) -> dict[tuple[str, State], int]:
    """Without what there is none of."""
    return {name: count for name, count in copies.items() if count}


def test_through_every_state_the_count_is_the_ledgers(rig: Rig, store: FaultyStore) -> None:
    rig.new("before.csv", CSV)
    rig.settle()
    counts = listening(rig)
    assert known(counts.copies()) == {("memory", State.PROVEN): 1}
    store.scripted += [before(StoreError), before(Conflict)]
    for name in ("failed.csv", "refused.csv", "well.csv"):
        rig.new(name, CSV + name.encode())
        rig.settle()
        assert known(counts.copies()) == rig.ledger.count_by_store()
    assert len(known(counts.copies())) >= 2, "the faults came"
    rig.finish()
    rig.write(rig.path("well.csv"), CSV + b"changed")
    rig.finish()
    assert known(counts.copies()) == rig.ledger.count_by_store()


def test_what_another_process_puts_on_record_is_noticed(rig: Rig) -> None:
    counts = listening(rig)
    rig.new("one.csv", CSV)
    rig.settle()
    counts.copies()
    other = Ledger.open(rig.config.state_directory)
    other.record([Change(row, Lost("gone")) for row in other.rows()], rig.clock.now())
    other.close()
    assert known(counts.copies()) == {("memory", State.LOST): 1}


def test_a_ledger_that_cannot_be_read_now_is_counted_later(rig: Rig) -> None:
    rig.new("one.csv", CSV)
    rig.settle()
    counts = listening(rig)
    rig.ledger._db.set_progress_handler(lambda: 1, 1)  # noqa: SLF001 - SQLite is interrupted whatever it does
    with pytest.raises(Unwritable):
        rig.ledger.count_by_store()
    assert known(counts.copies()) == {}
    rig.ledger._db.set_progress_handler(None, 0)  # noqa: SLF001 - as above
    assert known(counts.copies()) == {("memory", State.PROVEN): 1}


def test_a_file_that_cannot_be_read_is_no_unfinished_business_of_a_store(rig: Rig) -> None:
    counts = listening(rig)
    path = rig.new("one.csv", CSV)
    artifact = rig.mirror.artifact(path)
    assert artifact is not None
    row = Row("memory", artifact, "alice/one/one.csv", "alice/one/one.csv", "all")
    rig.recorder.record([Change(row, Failed("it cannot be opened: Permission denied", 2e9))])
    assert rig.states(path) == {"memory": State.RETRYING}
    assert counts.unfinished_since() is None


def test_an_unfinished_copy_is_as_old_as_its_first_try_however_often_it_is_tried(
    rig: Rig, store: FaultyStore
) -> None:
    counts = listening(rig)
    assert counts.unfinished_since() is None
    store.always = before(StoreError)
    rig.new("one.csv", CSV)
    rig.settle()
    since = counts.unfinished_since()
    assert since is not None
    rig.pass_time(5.0)
    rig.new("two.csv", CSV + b"two")
    rig.finish()
    assert len(store.tried) > 4
    assert counts.unfinished_since() == since
    store.always = None
    rig.finish()
    assert counts.unfinished_since() is None
