"""The whole mirror where one store, or one file, is slow: it delays itself and nothing else."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Identity, Key
from artifactd.decisions.allowance import ENTRIES, ENTRIES_OF_A_FILE
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.lifecycle import State
from artifactd.decisions.outage import LARGE_AT_ONCE
from artifactd.decisions.settle import LARGE, ROOM
from artifactd.mirror.lane import Lane
from artifactd.stores.base import Put, Result, Source, Unavailable
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, Inner, before
from tests.support.rig import Rig, copies, rigged

HUGE = bytes(LARGE + 1)


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def shaky() -> FaultyStore:
    return FaultyStore(MemoryStore("shaky"))


@pytest.fixture
def pair(tmp_path: Path, live: FaultyStore, shaky: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live, shaky)


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


# --- one store ---


def test_the_next_version_of_a_file_does_not_wait_for_a_store_that_hangs(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    shaky.gate.shut()
    path = pair.new("a.csv", b"one")
    pair.mirror.touched({path: True})
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: copies(live) == {"alice/one/a.csv": b"one"} and shaky.gate.waiting == 1)
    pair.write(path, b"two")
    pair.mirror.touched({path: True})
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: copies(live) == {"alice/one/a.csv": b"two"})
    assert shaky.at_once == 1, "two puts of one key are never under way"
    shaky.gate.open()
    pair.finish()
    assert copies(shaky) == {"alice/one/a.csv": b"two"}
    assert set(pair.states(path).values()) == {State.PROVEN}


def test_it_is_known_since_when_a_store_that_hangs_has_not_answered(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    answering, hanging = pair.mirror.stores()
    shaky.gate.shut()
    path = pair.new("a.csv", b"one")
    pair.mirror.touched({path: True})
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: copies(live) == {"alice/one/a.csv": b"one"} and shaky.gate.waiting == 1)
    began = pair.clock.monotonic()
    pair.time.advance(60.0)
    pair.until(lambda: answering.silent_since is None)
    assert (hanging.silent_since, hanging.asked_bytes, hanging.under_way) == (began, 3, 1)
    shaky.gate.open()
    pair.finish()
    assert (hanging.silent_since, hanging.asked_bytes) == (None, 0)


def test_a_store_that_answers_one_thread_is_not_silent_because_of_another(
    rig: Rig, live: FaultyStore
) -> None:
    (state,) = rig.mirror.stores()
    hung, released = threading.Event(), threading.Event()

    def hangs(put: Put, inner: Inner) -> Result:
        hung.set()
        released.wait(30)
        return inner(put)

    live.scripted.append(hangs)
    rig.new("a.csv", b"one")
    rig.scan()
    rig.time.advance(3.0)
    rig.until(hung.is_set)
    rig.time.advance(100.0)
    later = rig.clock.monotonic()
    rig.new("b.csv", b"two")
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: "alice/one/b.csv" in copies(live) and state.under_way == 1)
    assert state.silent_since is not None
    assert state.silent_since >= later
    released.set()
    rig.finish()
    assert state.silent_since is None


def test_the_end_of_the_record_gets_to_one_store_while_another_hangs(pair: Rig, shaky: FaultyStore) -> None:
    shaky.gate.shut()
    put = Put(Key("_artifactd/anchors/x"), Source(4, b"line"), checksum.of_bytes(b"line"))
    anchored: list[str] = []
    pair.mirror.anchor(put, anchored.append)
    pair.until(lambda: anchored == ["live"])
    pair.mirror.anchor(put, anchored.append)  # it does not pile up where it cannot get through
    pair.until(lambda: anchored == ["live", "live"])
    assert shaky.gate.waiting == 1
    shaky.gate.open()
    pair.until(lambda: "shaky" in anchored)


def test_who_gives_an_anchor_up_does_not_wait_for_it_and_hears_no_more_of_it(
    pair: Rig, shaky: FaultyStore
) -> None:
    """At the end of the daemon: the ledger is closed by the time that the store has done with it."""
    shaky.gate.shut()
    put = Put(Key("_artifactd/anchors/x"), Source(4, b"line"), checksum.of_bytes(b"line"))
    anchored: list[str] = []
    pair.mirror.anchor(put, anchored.append)
    pair.until(lambda: anchored == ["live"])
    pair.mirror.drain(0.0)
    pair.mirror.close()
    assert shaky.at_once == 1, "it hangs still"
    shaky.gate.open()
    pair.mirror.inbox.get(timeout=20.0)()
    assert anchored == ["live"]


def test_a_store_that_is_out_is_tried_with_the_smallest_file(rig: Rig, live: FaultyStore) -> None:
    live.always = before(Unavailable)
    rig.new("first.csv", b"12345")
    rig.settle()
    huge, small, other = (
        rig.new("huge.csv", HUGE),
        rig.new("small.csv", b"1"),
        rig.new("other.csv", b"123456789"),
    )
    tried = len(live.tried)
    rig.settle()
    rig.pass_time(700.0)
    assert {key.name for key, _ in live.tried[tried:]} == {"small.csv"}
    live.always = None
    rig.finish()
    assert {rig.states(path)["live"] for path in (huge, small, other)} == {State.PROVEN}


def test_what_a_store_missed_is_sent_without_another_scan(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    shaky.gate.shut()
    for number in range(1200):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.scan()
    pair.time.advance(3.0)
    pair.until(lambda: len(copies(live)) == 1200 and not pair.mirror.scanning)
    scans = len(pair.told("scan.finished"))
    shaky.gate.open()
    pair.until(lambda: len(copies(shaky)) == 1200)
    assert len(pair.told("scan.finished")) == scans
    assert set(pair.written().values()) == {1}


# --- one file ---


class Slow(MemoryStore):
    """Holds up whoever brings a large file, or one for another server."""

    def __init__(self, apart: int | None) -> None:
        super().__init__("slow")
        self.apart = apart
        self.go_on = threading.Event()
        self.large = 0

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        if any(put.size >= (self.apart or len(HUGE)) for put in puts):
            self.large += 1
            assert self.go_on.wait(60.0)
        return super()._put(puts)


@pytest.mark.parametrize(("huge", "apart"), [(HUGE, None), (bytes(1000), 1000)])
def test_small_files_never_wait_for_large_ones_of_the_same_moment(
    tmp_path: Path, huge: bytes, apart: int | None
) -> None:
    store = Slow(apart)
    rig = Rig(tmp_path, {"slow": store})
    for number in range(12):
        rig.new(f"huge{number}.csv", huge + b"%d" % number)
    for number in range(20):
        rig.new(f"small{number}.csv", b"%d" % number)
    rig.time.advance(30.0)  # writing that much takes its time
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: len(store.copies) == 20 and store.large > 0)
    assert {key.name[:5] for key in store.copies} == {"small"}
    store.go_on.set()
    rig.finish()
    assert len(store.copies) == 32
    rig.crash()


def test_what_was_passed_over_is_not_read_again_before_there_is_room_for_it() -> None:
    store = MemoryStore("live")
    store.apart = 1000
    lane = Lane(store, Backoff(), 2, lambda _lane, _job: None)
    identity = Identity(1, 1, 1, 1, 1)
    for number in range(LARGE_AT_ONCE):
        lane.begin(b"under way %d" % number, identity, 1000)
    for path, size in ((b"one", 1000), (b"small", 999), (b"two", 1000)):
        lane.pass_over(path, size)
    assert lane.next_ones(10, 0.0) == [b"small"]
    lane.gave_up(b"under way 0", 1000)
    assert lane.next_ones(10, 0.0) == [b"one"]
    lane.close(wait=True)


# --- one user ---


def test_a_file_that_is_rewritten_all_the_time_is_exported_ever_more_seldom_and_never_lost(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.path("a.csv")
    for version in range(200):
        rig.write(path, b"%d" % version)
        rig.mirror.touched({path: True})
        rig.pass_time(2.5)
    assert len(rig.recorded) <= 2 * 10
    rig.pass_time(600.0, 2.5)
    assert copies(live) == {"alice/one/a.csv": b"199"}


def test_a_user_who_fills_the_record_is_held_back_told_once_and_holds_up_nobody(
    rig: Rig, live: FaultyStore
) -> None:
    def churn(rounds: int) -> None:
        for number in range(rounds):
            names = [f"{number}-{one}.csv" for one in range(250)]
            paths = [rig.new(name, b"x", "mallory/h2oai_experiment_one") for name in names]
            rig.mirror.touched(dict.fromkeys(paths, True))
            rig.pass_time(0.1, 2.5)
            for path in paths:
                rig.file(path).unlink()
            rig.mirror.touched(dict.fromkeys(paths, False))
            rig.work()

    churn(ENTRIES // 500 + 4)
    held = len(rig.recorded)
    assert ENTRIES <= held <= ENTRIES + 2 * 512
    assert [line["user"] for line in rig.told("user.held_back")] == ["mallory"]
    assert rig.mirror.held_back() == ["mallory"]
    rig.new("b.csv", b"bob's", "bob/h2oai_experiment_one")
    rig.mirror.touched({b"bob/h2oai_experiment_one/b.csv": True})
    rig.pass_time(0.1, 2.5)
    assert copies(live)["bob/one/b.csv"] == b"bob's"
    late = rig.new("late.csv", b"late", "mallory/h2oai_experiment_one")
    rig.mirror.touched({late: True})
    rig.pass_time(0.1, 3600.0, 2.5)
    assert copies(live)["mallory/one/late.csv"] == b"late"
    assert rig.mirror.held_back() == []


def test_a_user_who_is_held_back_with_more_files_than_are_waited_for_keeps_no_scan_from_its_end(
    rig: Rig, live: FaultyStore
) -> None:
    first = rig.new("first.csv", b"first", "mallory/h2oai_experiment_one")
    rig.settle()
    spent = rig.recorded[-1]
    for _ in range(ENTRIES + ENTRIES_OF_A_FILE * (ROOM + 100)):
        for listener in rig.recorder.listeners:
            listener(spent)
    for number in range(ROOM + 99):
        rig.new(f"{number}.csv", b"x", "mallory/h2oai_experiment_one")
    rig.mirror.rescan("test")
    rig.until(lambda: not rig.mirror.scanning, "the end of the scan")
    assert rig.mirror.waiting_files >= ROOM
    assert rig.mirror.last_scan is not None
    assert rig.mirror.last_scan.files == ROOM + 100
    assert copies(live) == {"mallory/one/first.csv": rig.file(first).read_bytes()}
