"""What is under way at once, how it is bundled, and that nothing stays open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import State
from artifactd.decisions.outage import FILES_AT_ONCE
from artifactd.mirror.lane import BATCH_BYTES, BATCH_FILES
from artifactd.mirror.pipeline import batches
from artifactd.stores.base import StoreError, Unavailable
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before, randomly
from tests.support.rig import LARGE, Rig, rigged


@pytest.fixture
def stores() -> dict[str, FaultyStore]:
    return {name: FaultyStore(MemoryStore(name)) for name in ("live", "shaky")}


@pytest.fixture
def rig(tmp_path: Path, stores: dict[str, FaultyStore]) -> Iterator[Rig]:
    yield from rigged(tmp_path, *stores.values())


def open_artifacts(rig: Rig) -> int:
    """Descriptors of this process that lead into the data directory, to anything but a directory."""
    here = Path("/proc/self/fd")
    targets = [os.path.realpath(here / number) for number in os.listdir(here)]  # noqa: PTH208 - it lists itself
    return sum(target.startswith(f"{rig.data}/") and Path(target).is_file() for target in targets)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([5], [[5]]),
        ([0] * (BATCH_FILES + 1), [[0] * BATCH_FILES, [0]]),
        ([BATCH_BYTES - 1, 1, 7], [[BATCH_BYTES - 1, 1], [7]]),
        ([BATCH_BYTES - 1, 2, 7], [[BATCH_BYTES - 1], [2, 7]]),
        ([3 * BATCH_BYTES, 1, 1], [[3 * BATCH_BYTES], [1, 1]]),
        ([1, 3 * BATCH_BYTES, 1], [[1], [3 * BATCH_BYTES], [1]]),
    ],
)
def test_a_batch_is_closed_by_its_files_or_its_bytes_whichever_comes_first(
    sizes: list[int], expected: list[list[int]]
) -> None:
    assert list(batches(sizes, lambda size: size)) == expected


def test_no_more_files_are_under_way_or_open_than_a_lane_takes(
    rig: Rig, stores: dict[str, FaultyStore]
) -> None:
    for store in stores.values():
        store.gate.shut()
    for number in range(FILES_AT_ONCE + 100):
        rig.new(f"{number}.csv", LARGE[:300_000])
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: rig.mirror.due is None and rig.mirror.inbox.empty())
    for _ in range(20):
        rig.mirror.turn(0.01)
    assert rig.mirror.in_flight <= FILES_AT_ONCE * len(stores)
    assert open_artifacts(rig) <= FILES_AT_ONCE
    for store in stores.values():
        store.gate.open()
    rig.finish()
    assert {len(set(store.tried)) for store in stores.values()} == {FILES_AT_ONCE + 100}
    assert open_artifacts(rig) == 0


def test_a_file_stays_open_until_the_last_store_has_it_and_no_longer(
    rig: Rig, stores: dict[str, FaultyStore]
) -> None:
    path = rig.new("a.csv", LARGE)
    stores["shaky"].gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: rig.states(path).get("live") is State.PROVEN)
    assert open_artifacts(rig) == 1
    stores["shaky"].gate.open()
    rig.until(lambda: rig.states(path) == {"live": State.PROVEN, "shaky": State.PROVEN})
    assert open_artifacts(rig) == 0


def test_whatever_stores_do_nothing_stays_open_or_under_way(tmp_path: Path) -> None:
    stores = {
        name: FaultyStore(MemoryStore(name), randomly(seed, 0.4)) for seed, name in enumerate(("one", "two"))
    }
    rig = Rig(tmp_path, stores)
    for number in range(30):
        rig.new(f"{number}.csv", LARGE + b"%d" % number)
    rig.new("link.csv", b"")
    rig.file(rig.path("link.csv")).unlink()
    rig.file(rig.path("link.csv")).symlink_to("0.csv")
    for _ in range(8):
        rig.finish()
    assert open_artifacts(rig) == 0
    assert rig.mirror.in_flight == 0
    wanted = {row.state for row in rig.rows() if row.key != "alice/one/link.csv"}
    assert wanted == {State.PROVEN}
    assert rig.breaks() == []
    rig.crash()


def test_there_is_no_room_while_every_store_is_out_and_room_for_one_when_its_pause_is_over(
    rig: Rig, stores: dict[str, FaultyStore]
) -> None:
    for store in stores.values():
        store.always = before(Unavailable)
    rig.new("a.csv", b"one")
    rig.settle()
    now = rig.clock.monotonic()
    assert [one.room(now) for one in rig.mirror.stores()] == [0, 0]
    again = max(one.next_try() or 0.0 for one in rig.mirror.stores())
    assert [one.room(again) for one in rig.mirror.stores()] == [1, 1]


def test_a_data_directory_that_cannot_be_opened_between_sighting_and_reading_is_waited_for(
    rig: Rig, stores: dict[str, FaultyStore]
) -> None:
    path = rig.new("a.csv", b"one")
    rig.mirror.rescan("test")
    rig.work()
    away = rig.data.rename(rig.base / "away")
    rig.time.advance(3.0)
    rig.until(lambda: any("cannot be opened" in one.reason for one in rig.mirror.waiting()), "the reason")
    away.rename(rig.data)
    rig.finish()
    assert rig.states(path) == dict.fromkeys(stores, State.PROVEN)


def test_one_failing_artifact_takes_no_other_with_it(rig: Rig, stores: dict[str, FaultyStore]) -> None:
    stores["live"].scripted.append(before(StoreError))
    for number in range(5):
        rig.new(f"{number}.csv", b"%d" % number)
    rig.settle()
    states = sorted(row.state for row in rig.rows(store="live"))
    assert states == [State.PROVEN] * 4 + [State.RETRYING]


class Broken(MemoryStore):
    """A store that breaks its promise never to raise."""

    def _put(self, puts: object) -> list[object]:  # type: ignore[override] # it takes anything and returns nothing
        raise ZeroDivisionError(puts)


def test_an_exception_that_nobody_foresaw_costs_its_batch_a_try_and_is_told(tmp_path: Path) -> None:
    whole = FaultyStore(MemoryStore("whole"))
    rig = Rig(tmp_path, {"broken": Broken("broken"), "whole": whole})
    path = rig.new("a.csv", b"one")
    rig.settle()
    assert rig.states(path) == {"broken": State.RETRYING, "whole": State.PROVEN}
    assert rig.rows(path, "broken")[0].reason.startswith("unexpected ZeroDivisionError: ")
    rig.crash()
