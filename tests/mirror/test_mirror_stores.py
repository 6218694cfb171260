"""The whole mirror with stores that fail, hang, or lose their answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import State
from artifactd.decisions.outage import FILES_AT_ONCE
from artifactd.stores.base import Corrupt, Denied, StoreError, Unavailable
from artifactd.stores.memory import MemoryStore
from tests.support.faults import Fault, FaultyStore, after, before, flipped
from tests.support.rig import LARGE, Rig, copies, rigged


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def shaky() -> FaultyStore:
    return FaultyStore(MemoryStore("shaky"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


@pytest.fixture
def pair(tmp_path: Path, live: FaultyStore, shaky: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live, shaky)


@pytest.mark.parametrize("error", [Unavailable, Denied])
def test_a_dead_store_delays_nothing_in_another_and_is_told_once(
    pair: Rig, live: FaultyStore, shaky: FaultyStore, error: type[StoreError]
) -> None:
    shaky.always = before(error)
    for number in range(300):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.settle()
    assert len(copies(live)) == 300
    assert [line["store"] for line in pair.told("store.unavailable")] == ["shaky"]
    shaky.always = None
    pair.finish()
    assert copies(shaky) == copies(live)
    assert [line["store"] for line in pair.told("store.recovered")] == ["shaky"]
    assert set(pair.written().values()) == {1}


def test_a_store_that_is_out_is_tried_with_one_artifact_at_a_time(pair: Rig, shaky: FaultyStore) -> None:
    shaky.always = before(Unavailable)
    for number in range(50):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.settle()
    for _ in range(20):
        before_this, shaky.at_once = len(shaky.tried), 0
        pair.pass_time(601.0)
        pair.settle()
        assert len(shaky.tried) <= before_this + 2, "a probe, and perhaps one after its pause"
        assert shaky.at_once <= 1
    assert len(pair.told("store.unavailable")) == 1


def test_the_pauses_between_probes_grow_to_the_cap(rig: Rig, live: FaultyStore) -> None:
    live.always = before(Unavailable)
    rig.new("a.csv", b"one")
    rig.settle()
    for _ in range(3600):
        rig.pass_time(1.0)
    assert 8 <= len(live.tried) <= 22, "1, 2, 4 … 512 seconds, then every 300 to 600"


def test_a_hanging_store_delays_nothing_in_another(pair: Rig, live: FaultyStore, shaky: FaultyStore) -> None:
    shaky.gate.shut()
    first = pair.new("first.csv", b"first")
    pair.scan()
    pair.time.advance(3.0)
    pair.until(lambda: pair.states(first) == {"live": State.PROVEN, "shaky": State.UPLOADING})
    second = pair.new("second.csv", b"second")
    pair.mirror.touched({second: True})
    pair.time.advance(3.0)
    pair.until(lambda: pair.states(second) == {"live": State.PROVEN, "shaky": State.UPLOADING})
    shaky.gate.open()
    pair.finish()
    assert (
        copies(shaky) == copies(live) == {"alice/one/first.csv": b"first", "alice/one/second.csv": b"second"}
    )


def test_more_than_fits_into_a_hanging_store_is_exported_elsewhere_and_found_when_it_answers(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    shaky.gate.shut()
    for number in range(1200):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.scan()
    pair.time.advance(3.0)
    pair.until(lambda: len(copies(live)) == 1200)
    assert max(one.under_way for one in pair.mirror.stores()) <= FILES_AT_ONCE
    shaky.gate.open()
    pair.finish()
    assert copies(shaky) == copies(live)
    assert set(pair.written().values()) == {1}


def test_files_that_were_passed_over_during_an_outage_are_no_reason_to_doubt_the_watcher(
    rig: Rig, live: FaultyStore
) -> None:
    rig.mirror.expect_events(rig.clock.now() - 1.0)
    live.always = before(Unavailable)
    first = rig.new("first.csv", b"first")
    rig.mirror.touched({first: True})
    rig.pass_time(3.0)
    second = rig.new("second.csv", b"second")
    rig.mirror.touched({second: True})
    rig.pass_time(0.1)
    live.always = None
    rig.finish()
    assert len(copies(live)) == 2
    assert rig.told("watch.missed") == []


@pytest.mark.parametrize(
    "fault", [before(StoreError), after(StoreError), after(Corrupt), after(Unavailable), flipped]
)
def test_a_put_that_failed_or_whose_answer_was_lost_is_proven_by_a_later_one(
    rig: Rig, live: FaultyStore, fault: Fault
) -> None:
    path = rig.new("a.csv", LARGE)
    live.scripted.extend([fault] * 3)
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": LARGE}
    assert rig.states(path) == {"live": State.PROVEN}
    assert len(live.tried) == 4


def test_a_new_version_follows_one_whose_answer_was_lost(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.scripted.append(after(StoreError))
    rig.settle()
    rig.write(path, b"two")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"two"}


def test_tries_that_are_used_up_end_with_a_person(tmp_path: Path, live: FaultyStore) -> None:
    rig = Rig(tmp_path, {"live": live}, tables="[retry]\ngive_up_after = 3")
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.finish()
    assert rig.states(path) == {"live": State.REFUSED}
    assert rig.rows(path)[0].reason.startswith("given up after 3 tries: ")
    live.always = None
    rig.replay(rig.rows(path))
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    rig.crash()
