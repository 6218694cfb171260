import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from artifactd.clock import Clock
from artifactd.decisions.lifecycle import Change, Confirmed, ImpossibleStep, Refused, State
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.ledger.schema import Unwritable
from artifactd.log.lines import LINES, Log
from artifactd.mirror.recorder import Recorder, Stopped
from tests.support.lines import Lines
from tests.support.rows import a_row, identity, proven, started

PATIENCE = 120.0


@dataclass
class Desk:
    """A recorder on a real ledger, and what it told."""

    directory: Path
    level: int = logging.DEBUG
    told: Lines = field(default_factory=Lines)

    def __post_init__(self) -> None:
        self.ledger = Ledger.open(self.directory)
        self.recorder = Recorder(self.ledger, self._log(), Clock(time.monotonic, time.time, lambda: 0.5))

    def _log(self) -> Log:
        wrapper = structlog.make_filtering_bound_logger(self.level)
        log: Log = structlog.wrap_logger(None, processors=[self.told], wrapper_class=wrapper)
        return log

    def lines(self) -> list[str]:
        return [f"{line['log_level']} {line['event']}" for line in self.told.entries]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.ledger.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it should have happened by now"
        threading.Event().wait(0.01)


def test_what_is_recorded_is_told_with_the_fields_of_its_line(desk: Desk) -> None:
    (one,) = desk.recorder.record([Change(a_row(), started())])
    (two,) = desk.recorder.record([Change(one.row, proven())])
    assert desk.lines() == ["debug artifact.started", "info artifact.exported"]
    line = desk.told.entries[1]
    assert (line["seq"], line["hash"], line["uri"]) == (2, two.entry.hash, "file:///exports/mojo.zip")
    assert "reason" not in line
    assert line.keys() - {"event", "log_level"} <= set(LINES["artifact.exported"])


def test_a_level_that_is_off_tells_nothing_and_records_all_the_same(tmp_path: Path) -> None:
    desk = Desk(tmp_path, logging.ERROR)
    heard: list[Recorded] = []
    desk.recorder.listeners.append(heard.append)
    desk.recorder.record([Change(a_row(), started()), Change(a_row(1), Refused("a FIFO", identity()))])
    assert desk.lines() == ["error artifact.refused"]
    assert [one.entry.seq for one in heard] == [1, 2]
    desk.ledger.close()


def test_listeners_hear_what_is_on_record_already(desk: Desk) -> None:
    def listen(item: Recorded) -> None:
        heard.append((item.row.state, desk.ledger.head().seq))

    heard: list[tuple[State, int]] = []
    desk.recorder.listeners.append(listen)
    desk.recorder.record([Change(a_row(), started()), Change(a_row(1), started())])
    assert heard == [(State.UPLOADING, 2), (State.UPLOADING, 2)]


def test_nothing_to_record_is_nothing_on_record(desk: Desk) -> None:
    assert desk.recorder.record([]) == []
    assert desk.ledger.head().seq == 0


def test_a_note_is_on_record(desk: Desk) -> None:
    entry = desk.recorder.note({"action": "audit.anchored", "outcome": "success", "store": "s3"})
    assert [one.line for one in desk.ledger.entries()] == [entry.line]


def test_a_mistake_of_ours_is_not_waited_for(desk: Desk) -> None:
    with pytest.raises(ImpossibleStep):
        desk.recorder.record([Change(a_row(), Confirmed())])


# --- no space for the record ---


def filled(directory: Path) -> Path:
    """A file that takes all the space there is left."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


@pytest.fixture
def full(tmp_path: Path, tmpfs: Callable[[Path, str], Path]) -> Iterator[Desk]:
    """A desk whose disk is full: commits fail until the filler goes."""
    desk = Desk(tmpfs(tmp_path / "state", "1m"))
    desk.ledger.record([Change(a_row(), started())], 1.0)
    filled(desk.directory)
    yield desk
    desk.ledger.close()


# More than fits into what the log has left of its last page.
MANY = [Change(a_row(number), started()) for number in range(1, 200)]


def test_while_the_record_cannot_be_written_it_waits_and_goes_on_when_space_returns(full: Desk) -> None:
    recorded: list[Recorded] = []
    thread = threading.Thread(target=lambda: recorded.extend(full.recorder.record(MANY)))
    thread.start()
    until(lambda: "error ledger.unwritable" in full.lines())
    assert recorded == []
    (full.directory / "filler").unlink()
    thread.join(PATIENCE)
    assert len(recorded) == len(MANY)
    assert full.lines()[:2] == ["error ledger.unwritable", "info ledger.writable"]
    assert full.ledger.head().seq == 1 + len(MANY)


def test_its_patience_ends_with_the_reason_and_nothing_is_on_record(full: Desk) -> None:
    """A sync from cron would wait for ever, and hold the state's lock."""
    full.recorder.patience = 0.0
    with pytest.raises(Unwritable, match="no room"):
        full.recorder.record(MANY)
    assert full.lines() == ["error ledger.unwritable"]
    assert full.ledger.head().seq == 1


def test_told_to_stop_it_gives_up_and_nothing_is_on_record(full: Desk) -> None:
    raised: list[BaseException] = []

    def record() -> None:
        try:
            full.recorder.record(MANY)
        except Stopped as stopped:
            raised.append(stopped)

    thread = threading.Thread(target=record)
    thread.start()
    until(lambda: "error ledger.unwritable" in full.lines())
    full.recorder.stopping.set()
    thread.join(PATIENCE)
    [stopped] = raised
    assert isinstance(stopped, Unwritable), "which commands end well for"
    assert "told to stop while the record could not be written: no room" in str(stopped)
    assert full.lines() == ["error ledger.unwritable"]
    assert full.ledger.head().seq == 1
