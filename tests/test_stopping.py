import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from artifactd.stopping import Stopping, signals


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Told by SIGUSR1, as the daemon is by SIGTERM."""
    told = Stopping()
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: told.set())
    yield told
    signal.signal(signal.SIGUSR1, before)


def test_nobody_is_told_at_first(stopping: Stopping) -> None:
    assert not stopping.wait(0.0)
    assert not stopping.is_set()


def test_a_signal_ends_the_wait_at_once(stopping: Stopping) -> None:
    with subprocess.Popen(["kill", "-USR1", str(os.getpid())]):
        assert stopping.wait(60.0)


def test_who_was_told_stays_told_and_waits_no_more(stopping: Stopping) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert stopping.wait(60.0)
    assert stopping.wait(60.0)
    assert stopping.is_set()


def test_signals_in_the_middle_of_anything_never_block(stopping: Stopping) -> None:
    for _ in range(2000):
        os.kill(os.getpid(), signal.SIGUSR1)
        stopping.wait(0.0)
    assert stopping.is_set()


def test_the_signals_of_a_service_manager_are_told_by_name_and_only_for_the_block() -> None:
    told, names, before = Stopping(), list[str](), signal.getsignal(signal.SIGTERM)
    with signals(told, names.append, lambda: names.append("again")):
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert (told.is_set(), names) == (True, ["again", "SIGTERM"])
    assert signal.getsignal(signal.SIGTERM) is before
