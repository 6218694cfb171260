"""A flood of one event does not drown the others, and is told of."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
import structlog

from artifactd.log.flood import MOST, WINDOW_SECONDS, Repeats
from artifactd.log.log import Form, configure


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passed(repeats: Repeats, count: int, **line: object) -> list[Any]:
    """The lines that come through, of so many."""
    found = []
    for number in range(count):
        try:
            found.append(repeats(None, "info", {"event": "hint.unknown", "number": number, **line}))
        except structlog.DropEvent:
            continue
    return found


def test_so_many_lines_of_an_event_pass_and_the_next_window_says_how_many_did_not(clock: Clock) -> None:
    repeats = Repeats(clock)
    assert [line["number"] for line in passed(repeats, MOST + 40)] == list(range(MOST))
    clock.now = WINDOW_SECONDS - 0.1
    assert passed(repeats, 2) == []
    clock.now = WINDOW_SECONDS
    first, second = passed(repeats, 2)
    assert first["held_back"] == 42
    assert "held_back" not in second
    clock.now = 2 * WINDOW_SECONDS
    assert "held_back" not in passed(repeats, 1)[0]


def test_one_event_holds_back_no_other(clock: Clock) -> None:
    repeats = Repeats(clock)
    passed(repeats, 2 * MOST)
    assert len(passed(repeats, MOST, event="watch.doubted")) == MOST


def test_a_line_of_the_record_is_never_held_back(clock: Clock) -> None:
    assert len(passed(Repeats(clock), 3 * MOST, event="artifact.exported", seq=1)) == 3 * MOST
    assert len(passed(Repeats(clock), 3 * MOST, event="artifact.exported", each=[{"seq": "1"}])) == 3 * MOST


def test_the_log_holds_back_what_comes_too_often(clock: Clock) -> None:
    stdout = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(stdout)) as text:
        log = configure("info", Form.JSON, common={}, repeats=Repeats(clock))
        for _ in range(MOST + 5):
            log.warning("watch.doubted", reason="overflow")
        clock.now = WINDOW_SECONDS
        log.warning("watch.doubted", reason="overflow")
        lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
        text.detach()
    assert len(lines) == MOST + 1
    assert lines[-1]["held_back"] == 5
