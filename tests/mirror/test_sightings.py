"""What follows from a file that is not as it was: damaged, gone, or on a disk by another number."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Digest, Identity
from artifactd.decisions.lifecycle import (
    Change,
    Event,
    Failed,
    Kept,
    Lost,
    Proven,
    Replayed,
    Started,
    State,
    Unchanged,
)
from artifactd.mirror.answers import Principal
from artifactd.stores.base import StoreError
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before
from tests.support.rig import LARGE, Rig, copies, rigged
from tests.support.rows import D2


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


def read_as(rig: Rig, path: bytes, size: int, digest: Digest | None = None) -> None:
    """The record has the file as read with other bytes than it has now, and not written since."""
    [row] = rig.rows(path)
    assert row.identity is not None
    assert row.digest is not None
    started = Started(replace(row.identity, size=size), digest or row.digest, size, "closed+no_writer")
    rig.recorder.record([Change(row, started), Change(row, PROVEN)])
    rig.recorded.clear()
    rig.again()
    rig.work()


PROVEN = Proven("read_back", "", written=True, seconds=1.0, uri="")

# --- a damaged source ---


def test_a_file_that_lost_bytes_and_was_not_written_is_told_once_and_its_copy_is_kept(
    rig: Rig, live: FaultyStore
) -> None:
    """As a power cut leaves it: inode and times are those on record, the size is not."""
    path = rig.new("a.csv", b"")
    rig.settle()
    [proven] = rig.rows(path)
    read_as(rig, path, size=22)
    rig.finish()
    rig.pass_time(100_000.0)
    rig.finish()
    assert rig.events() == ["Kept"]
    [kept] = rig.rows(path)
    assert (kept.state, kept.digest, kept.proof) == (State.KEPT, proven.digest, proven.proof)
    assert "it holds 0 bytes, and held 22 when it was read, yet nobody wrote it since" in kept.reason
    assert len(live.tried) == 1
    assert rig.mirror.scan is not None
    assert (rig.mirror.scan.done, rig.mirror.scan.stuck) == (0, 1)


def test_a_damaged_file_that_is_written_again_is_exported(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"")
    rig.settle()
    read_as(rig, path, size=22)
    rig.write(path, b"written again")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"written again"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_a_damaged_file_that_is_as_it_was_again_is_proven_as_it_was(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    [row] = rig.rows(path)
    assert row.identity is not None
    rig.recorder.record([Change(row, Kept("it is damaged", replace(row.identity, size=0)))])
    rig.again()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert rig.events()[-1] == "Unchanged"
    assert len(live.tried) == 1


def test_a_damaged_file_that_is_deleted_leaves_the_copy_as_it_was(rig: Rig) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    read_as(rig, path, size=22)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.work()
    assert rig.states(path) == {"live": State.PROVEN}


@pytest.mark.parametrize("size", [3, 22], ids=["as many bytes", "fewer bytes"])
@pytest.mark.parametrize("how", ["interrupted", "lost, and tried again"])
def test_a_file_that_was_damaged_before_its_copy_was_proven_is_refused(
    rig: Rig, live: FaultyStore, how: str, size: int
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    [row] = rig.rows(path)
    assert row.identity is not None
    events: list[Event] = [Started(replace(row.identity, size=size), D2, size, "closed")]
    if how != "interrupted":
        events += [PROVEN, Lost("missing"), Replayed(0.0, "bob")]
        assert isinstance(live.inner, MemoryStore)
        live.inner.copies.clear()
    rig.recorder.record([Change(row, event) for event in events])
    rig.again()
    rig.finish()
    assert len(live.tried) == 1
    assert rig.states(path) == {"live": State.REFUSED}
    assert "it is damaged" in rig.rows(path)[0].reason
    rig.write(path, b"again")
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}


@pytest.mark.parametrize("asked", [1, 2])
def test_who_asks_for_a_damaged_file_is_told_each_time(rig: Rig, asked: int) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    read_as(rig, path, size=22)
    answers: list[dict[str, object]] = []
    for _ in range(asked):
        rig.by_hand.ask(path, None, Principal("bob", 1000), lambda answer: answers.append(dict(answer)))
        rig.work()
    assert [(one["ok"], one["final"]) for one in answers] == [(False, True)] * asked
    assert all("it is damaged" in str(one["reason"]) for one in answers)
    entries = [entry.fields for entry in rig.ledger.entries()]
    asked_for = [one["outcome"] for one in entries if one["action"] == "export.requested"]
    assert asked_for == ["pending", "failure"] * asked, "each has its end on record"


def test_who_asks_for_a_file_that_was_damaged_and_is_written_again_gets_it(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    read_as(rig, path, size=22)
    rig.write(path, b"again")
    answers: list[dict[str, object]] = []
    rig.by_hand.ask(path, None, Principal("bob", 1000), lambda answer: answers.append(dict(answer)))
    rig.finish()
    assert (answers[-1]["ok"], answers[-1]["final"]) == (True, True)
    assert copies(live) == {"alice/one/a.csv": b"again"}


# --- a device by another number ---


def elsewhere(rig: Rig, path: bytes) -> Identity:
    """The file's identity, on a device by another number."""
    status = rig.file(path).stat()
    return Identity(1, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def test_a_device_whose_number_changed_with_a_reboot_costs_no_reading(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", LARGE)
    rig.settle()
    [row] = rig.rows(path)
    rig.recorder.record([Change(row, Unchanged(elsewhere(rig, path)))])
    rig.recorded.clear()
    rig.again()
    rig.finish()
    assert rig.events() == []
    assert rig.mirror.waiting_files == 0
    assert len(live.tried) == 1


@pytest.mark.parametrize(("there", "state"), [("mounted", State.GONE), ("not mounted", State.RETRYING)])
def test_a_deleted_file_has_ended_where_another_shows_that_its_disk_is_mounted(
    rig: Rig, live: FaultyStore, there: str, state: State
) -> None:
    path, other = rig.new("a.csv", b"one"), rig.new("b.csv", b"two", "bob/h2oai_experiment_two")
    live.always = before(StoreError)
    rig.settle()
    rows = {row.artifact.path: row for row in rig.rows()}
    changes = [Change(rows[one], Failed("disk", 0.0, elsewhere(rig, one))) for one in (path, other)]
    rig.recorder.record(changes)
    for one in (path,) if there == "mounted" else (path, other):
        rig.file(one).unlink()
    rig.again()
    rig.finish()
    assert rig.states(path) == {"live": state}


def test_what_a_crash_interrupted_ends_where_its_file_is_gone_and_its_disk_has_another_number(
    rig: Rig,
) -> None:
    path, other = rig.new("a.csv", b"one"), rig.new("b.csv", b"two", "bob/h2oai_experiment_two")
    rig.settle()
    rows = {row.artifact.path: row for row in rig.rows()}
    [begun] = rig.recorder.record([Change(rows[path], Started(elsewhere(rig, path), D2, 3, "closed"))])
    assert begun.row.state is State.UPLOADING
    rig.recorder.record([Change(rows[other], Unchanged(elsewhere(rig, other)))])
    rig.file(path).unlink()
    rig.again()
    rig.finish()
    assert rig.states(path) == {"live": State.GONE}
