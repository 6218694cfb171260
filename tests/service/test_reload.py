"""What becomes of the wish for another configuration while looking at one takes its time, or hangs."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from artifactd.config.assemble import load
from artifactd.config.effective import Config
from artifactd.service.reload import EXAMINED_SECONDS, Reload
from tests.support.faults import ManualClock

FILE = 'enable_artifacts_upload = true\nartifacts_file_system_directory = "exports"\n'


class Asking:
    """A `Reload` of which a test turns the loop. Each load waits until it is let go."""

    def __init__(self, base: Path) -> None:
        self.file = base / "config.toml"
        self.file.write_text(FILE)
        self.lines, self.notes = LogCapture(), list[Any]()
        self.begun, self.go = queue.SimpleQueue[None](), threading.Semaphore(0)
        self.time, self.inbox = ManualClock(0.0), queue.SimpleQueue[Callable[[], None]]()
        self.reload = Reload(
            self._load,
            load(self.file, {}),
            structlog.wrap_logger(None, processors=[self.lines]),
            self.time.clock,
            inbox=self.inbox,
            in_flight=lambda: 0,
            note=self.notes.append,
        )

    def _load(self) -> Config:
        self.begun.put(None)
        found = load(self.file, {})
        self.go.acquire()
        return found

    def ask(self, principal: str) -> list[Any]:
        """The answers, as they come."""
        answers: list[Any] = []
        self.reload.ask(principal, answers.append)
        return answers

    def loading(self) -> None:
        """A load has read the file, and hangs."""
        self.begun.get(timeout=30)

    def loaded(self) -> None:
        """The load that hangs ends, and the loop hears of it."""
        self.go.release()
        self.inbox.get(timeout=30)()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    asking = Asking(tmp_path)
    yield asking
    asking.go.release(9)


def test_nobody_waits_while_a_configuration_is_looked_at(asking: Asking) -> None:
    answers = asking.ask("alice")
    asking.loading()
    assert asking.reload.due(0) is None
    assert not asking.reload.idle
    asking.loaded()
    taken = asking.reload.due(0)
    assert taken is not None
    assert taken.principal == "alice"
    assert answers == []


def test_a_configuration_that_hangs_is_refused_in_time_and_what_it_comes_to_later_is_not_taken(
    asking: Asking,
) -> None:
    answers = asking.ask("alice")
    asking.loading()
    asking.time.advance(EXAMINED_SECONDS + 1)
    assert asking.reload.due(0) is None
    (answer,) = answers
    assert not answer["ok"]
    assert answer["final"]
    assert "the configuration cannot be examined: a directory that it names hangs" in answer["reason"]
    assert answer["problems"] == [answer["reason"]]
    assert [line["event"] for line in asking.lines.entries] == ["config.reload_failed"]
    assert [note["action"] for note in asking.notes] == ["config.refused"]
    assert asking.reload.idle
    asking.loaded()
    assert asking.reload.due(0) is None
    assert asking.reload.idle


def test_one_is_looked_at_at_a_time_and_a_later_wish_gets_what_the_file_says_then(asking: Asking) -> None:
    first = asking.ask("alice")
    asking.loading()
    asking.file.write_text(FILE + "[watch]\nquiet_seconds = 7\n")
    asking.ask("bob")
    assert [answer["reason"] for answer in first] == ["overtaken by a later reload"]
    assert asking.begun.empty()
    asking.loaded()
    asking.loading()
    assert asking.reload.due(0) is None
    asking.loaded()
    taken = asking.reload.due(0)
    assert taken is not None
    assert (taken.principal, taken.config.watch.quiet_seconds) == ("bob", 7)


def test_a_wish_that_comes_while_a_load_hangs_for_good_is_refused_too_and_begins_no_thread(
    asking: Asking,
) -> None:
    asking.ask("alice")
    asking.loading()
    asking.time.advance(EXAMINED_SECONDS + 1)
    asking.reload.due(0)
    answers = asking.ask("bob")
    asking.time.advance(EXAMINED_SECONDS + 1)
    asking.reload.due(0)
    assert "hangs" in answers[0]["reason"]
    assert asking.begun.empty()


def test_what_waits_is_not_taken_while_a_later_wish_may_overtake_it(asking: Asking) -> None:
    first = asking.ask("alice")
    asking.loading()
    asking.loaded()
    asking.ask("bob")
    asking.loading()
    assert asking.reload.due(0) is None
    asking.loaded()
    assert [answer["reason"] for answer in first] == ["overtaken by a later reload"]
    taken = asking.reload.due(0)
    assert taken is not None
    assert taken.principal == "bob"


def test_who_waits_for_a_look_is_answered_when_the_daemon_stops(asking: Asking) -> None:
    answers = asking.ask("alice")
    asking.loading()
    asking.reload.forget("the daemon stops")
    assert [answer["reason"] for answer in answers] == ["the daemon stops"]
    asking.loaded()
    assert asking.reload.due(0) is None


@pytest.mark.parametrize(
    ("exports", "made", "enabled", "refused"),
    [
        ("elsewhere", False, True, True),
        ("elsewhere", True, True, False),
        ("elsewhere", False, False, False),
        ("exports", False, True, False),
    ],
)
def test_a_new_destination_that_is_not_there_is_refused_and_the_one_of_before_is_waited_for(
    asking: Asking, exports: str, *, made: bool, enabled: bool, refused: bool
) -> None:
    directory = asking.file.parent / exports
    if made:
        directory.mkdir()
    asking.file.write_text(
        f'enable_artifacts_upload = {str(enabled).lower()}\nartifacts_file_system_directory = "{exports}"\n'
    )
    answers = asking.ask("alice")
    asking.loading()
    asking.loaded()
    told = (
        f"artifacts_file_system_directory: there is no directory {directory}. Is it mounted? Make it, or mend"
    )
    assert [answer["reason"].startswith(told) for answer in answers] == [True] * refused
    assert (asking.reload.due(0) is None) is refused
