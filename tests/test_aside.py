"""Calls that may hang."""

import threading

import pytest

from artifactd.aside import aside


def test_what_a_call_returns_or_raises_is_had_from_its_result() -> None:
    assert aside(threading.current_thread, "by itself").result(30).name == "by itself"
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 // 0, "wrong").result(30)


def test_a_call_that_hangs_is_waited_for_no_longer_than_one_likes() -> None:
    go = threading.Event()
    hanging = aside(lambda: go.wait(30), "hangs")
    with pytest.raises(TimeoutError):
        hanging.result(0.01)
    go.set()
    assert hanging.result(30)
