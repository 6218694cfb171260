"""The whole mirror on a real directory and a real ledger: what is exported, and when."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import Change, Lost, Proven, State, Vanished
from artifactd.decisions.settle import ROOM
from artifactd.stores.base import Conflict, StoreError
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before
from tests.support.rig import LARGE, Rig, copies, rigged


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


# --- what is exported, and when ---


def test_a_file_that_stays_put_is_exported_once_and_costs_nothing_afterwards(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    head = rig.ledger.head()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.events(path) == ["Started", "Proven"]
    assert (len(live.tried), rig.ledger.head()) == (1, head)


def test_nothing_is_exported_within_the_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    rig.mirror.rescan("test")
    rig.work()
    rig.pass_time(1.0)
    assert not live.tried
    rig.pass_time(1.5)
    assert live.tried


def test_a_file_that_is_held_open_for_writing_is_waited_for_and_shown(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    with rig.file(path).open("ab"):
        rig.finish()
        assert not live.tried
        assert [one.reason for one in rig.mirror.waiting()] == ["open for writing"]
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}


def test_a_change_while_it_is_being_uploaded_is_exported_afterwards(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.write(path, b"another")
    rig.mirror.touched({path: True})
    live.gate.open()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"another"}
    assert [key.text for key, _ in live.tried] == ["alice/one/a.csv"] * 2


def test_a_large_file_that_changes_under_the_upload_is_never_published_as_a_mixture(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", LARGE)
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    with rig.file(path).open("r+b") as file:
        file.write(b"changed")
    live.gate.open()
    rig.work()
    assert copies(live) == {}
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"changed" + LARGE[7:]}


def test_a_file_deleted_and_made_again_during_its_upload_ends_with_its_last_bytes(
    rig: Rig, live: FaultyStore
) -> None:
    """Two puts of one key at the same time could end with the older bytes and a record of the newer."""
    path = rig.new("a.csv", b"first")
    rig.settle()
    rig.write(path, b"second")
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.write(path, b"first")
    rig.mirror.touched({path: True})
    rig.time.advance(3.0)
    for _ in range(20):
        rig.mirror.turn(0.01)
    assert live.gate.waiting == 1, "one key, one put at a time"
    live.gate.open()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"first"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_a_file_that_vanishes_during_its_upload_is_on_record_as_exported_only(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    live.gate.open()
    rig.finish()
    assert rig.events(path) == ["Started", "Proven"]
    assert copies(live) == {"alice/one/a.csv": b"one"}


def test_a_touch_without_a_change_is_one_event_and_no_put(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    os.utime(rig.file(path), (1, 1))
    rig.finish()
    assert rig.events(path) == ["Started", "Proven", "Unchanged"]
    assert len(live.tried) == 1


def test_a_change_that_dates_back_is_a_change(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.write(path, b"two")
    os.utime(rig.file(path), (1, 1))
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"two"}


def test_deletion_at_the_source_leaves_the_copy_and_the_record(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_what_is_gone_before_it_was_exported_is_told(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    rig.file(path).unlink()
    live.always = None
    rig.finish()
    assert rig.states(path) == {"live": State.GONE}
    assert isinstance(rig.recorded[-1].event, Vanished)


@pytest.mark.parametrize("how", ["unreadable", "replaced by a file", "moved away"])
def test_a_data_directory_that_cannot_be_seen_is_not_everything_deleted(
    rig: Rig, live: FaultyStore, how: str
) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    away = rig.data.with_name("away")
    rig.data.rename(away)
    if how == "replaced by a file":
        rig.data.write_bytes(b"")
    elif how == "unreadable":
        rig.data.symlink_to("loop")
        rig.data.with_name("loop").symlink_to("data")
    live.always = None
    rig.finish()
    assert rig.states(path) == {"live": State.RETRYING}
    rig.data.unlink(missing_ok=True)
    away.rename(rig.data)
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}


# --- a store that falls back ---


def fallen_back(rig: Rig, live: FaultyStore) -> bytes:
    """A copy of three versions, whose store holds the first one again."""
    path = rig.new("a.csv", b"one")
    rig.settle()
    for content in (b"two", b"three"):
        rig.write(path, content)
        rig.finish()
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies[rig.key("a.csv")] = b"one"
    return path


def test_a_store_that_fell_back_to_an_older_version_of_ours_gets_the_next_one(
    rig: Rig, live: FaultyStore
) -> None:
    path = fallen_back(rig, live)
    rig.write(path, b"four")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"four"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_a_copy_that_was_found_to_have_fallen_back_is_mended_by_a_retry(rig: Rig, live: FaultyStore) -> None:
    path = fallen_back(rig, live)
    [row] = rig.rows(path)
    [lost] = rig.recorder.record([Change(row, Lost("the store has other bytes"))])
    rig.replay([lost.row])
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"three"}
    assert rig.states(path) == {"live": State.PROVEN}


# --- clocks ---


@pytest.mark.parametrize("step", [-86_400.0, -100.0, 34_560_000.0])
def test_a_clock_that_is_set_neither_hastens_nor_delays_a_try_and_makes_no_duration_absurd(
    rig: Rig, live: FaultyStore, step: float
) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    [row] = rig.rows(path)
    assert row.retry_at is not None
    tries = len(live.tried)
    wait = row.retry_at - rig.clock.now()
    rig.time.epoch += step
    rig.pass_time(wait / 2)
    assert len(live.tried) == tries
    live.always = None
    rig.pass_time(wait / 2 + 1.0)
    rig.pass_time(3.0)
    assert rig.states(path) == {"live": State.PROVEN}
    [seconds] = [one.entry.fields["seconds"] for one in rig.recorded if isinstance(one.event, Proven)]
    assert isinstance(seconds, float)
    assert 0.0 <= seconds < 60.0


def test_a_next_try_that_was_written_down_with_the_clock_ahead_comes_at_the_next_start(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    rig.time.epoch -= 86_400.0
    live.always = None
    rig.again()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}


# --- hints, scans, bounds ---


def test_new_files_that_no_event_told_of_are_counted_and_lead_to_a_doubt(rig: Rig) -> None:
    counts: list[int] = []
    rig.mirror.listen(missed=counts.append)
    rig.mirror.expect_events(rig.clock.now() - 1.0)
    rig.new("told.csv", b"one")
    rig.mirror.touched({rig.path("told.csv"): True})
    rig.new("untold.csv", b"two")
    rig.time.advance(3.0)
    rig.mirror.rescan("timer")
    rig.work()
    assert counts == [1]
    assert [line["count"] for line in rig.told("watch.missed")] == [1]


def test_files_that_nobody_watches_are_no_sign_of_a_deaf_watcher(rig: Rig) -> None:
    counts: list[int] = []
    rig.mirror.listen(missed=counts.append, hears=lambda path: path != rig.path("beyond.csv"))
    rig.mirror.expect_events(rig.clock.now() - 1.0)
    rig.new("beyond.csv", b"one")
    rig.time.advance(3.0)
    rig.mirror.rescan("timer")
    rig.work()
    assert counts == []


def test_a_hint_from_driverless_ai_ends_the_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    counts: list[int] = []
    rig.mirror.appeared(b"alice/h2oai_experiment_one", hinted=True, done=counts.append)
    rig.work()
    assert counts == [1]
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.rows()[0].evidence == "hinted+no_writer"


def test_what_is_waited_for_at_once_is_bounded_and_nothing_is_lost_by_it(
    tmp_path: Path, live: FaultyStore
) -> None:
    rig = Rig(tmp_path, {"live": live})
    folder = rig.data / "alice/h2oai_experiment_one"
    folder.mkdir(parents=True)
    paths = [rig.path(f"{number}.csv") for number in range(ROOM + 2500)]
    for path in paths:
        rig.file(path).touch()
    rig.mirror.rescan("test")
    for _ in range(30):
        rig.mirror.turn(0.0)
    rig.mirror.touched(dict.fromkeys(paths, True))
    rig.mirror.appeared(b"alice")
    assert rig.mirror.waiting_files < ROOM + 1000
    rig.pass_time(3.0)
    rig.settle()
    assert len(copies(live)) == len(paths)
    rig.crash()


def test_hints_alone_cannot_break_the_bound(rig: Rig) -> None:
    paths = [rig.path(f"{number}.csv") for number in range(ROOM + 2500)]
    rig.new("0.csv", b"")
    for path in paths:
        rig.file(path).touch()
    rig.mirror.touched(dict.fromkeys(paths, False))
    assert rig.mirror.waiting_files < ROOM + 1000


def test_an_upload_that_a_crash_interrupted_is_repeated_before_anything_is_scanned(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    live.gate.open()
    rig.again()
    assert rig.mirror.attends_to(path)
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    event = rig.recorded[-1].event
    assert isinstance(event, Proven)
    assert not event.written


def test_a_conflict_blocks_nothing_else(rig: Rig, live: FaultyStore) -> None:
    live.scripted.append(before(Conflict))
    paths = [rig.new(f"{number}.csv", b"%d" % number) for number in range(3)]
    rig.finish()
    assert sorted(state for path in paths for state in rig.states(path).values()) == [
        State.PROVEN,
        State.PROVEN,
        State.REFUSED,
    ]


def test_a_file_that_is_deleted_while_it_is_waited_for_is_waited_for_no_more(rig: Rig) -> None:
    path = rig.new("a.csv", b"one")
    rig.mirror.rescan("test")
    rig.work()
    assert rig.mirror.attends_to(path)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.work()
    assert not rig.mirror.attends_to(path)
    assert list(rig.mirror.waiting()) == []


def test_by_how_much_the_clock_was_set_is_known(rig: Rig) -> None:
    rig.time.advance(5.0)
    assert rig.mirror.stepped == 0.0
    rig.time.epoch -= 3600.0
    assert rig.mirror.stepped == pytest.approx(-3600.0)
