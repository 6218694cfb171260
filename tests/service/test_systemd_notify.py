"""What a service manager hears, on a socket like its own, from the code and from the real daemon."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifactd.clock import Clock
from artifactd.service.systemd_notify import ServiceManager
from tests.support.process import PATIENCE, Site, until


class Ear:
    """The manager's socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(address)

    def hears(self) -> dict[str, str]:
        """The next word."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))

    def hears_of(self, name: str) -> dict[str, str]:
        """The next word that assigns `name`."""
        while name not in (word := self.hears()):
            pass
        return word

    def hears_nothing(self) -> bool:
        """Whether no word is there; one that is there is taken."""
        if not select.select([self._socket], [], [], 0)[0]:
            return True
        self._socket.recv(4096)
        return False

    def has_room(self) -> bool:
        """Whether another word could be said: one is."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            try:
                other.sendto(b"X=1", socket.MSG_DONTWAIT, self._socket.getsockname())
            except BlockingIOError:
                return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def ear(path: str) -> Iterator[Ear]:
    ear = Ear(path)
    yield ear
    ear.close()


class Time:
    """A clock in the test's hands."""

    def __init__(self) -> None:
        self.now = 100.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, lambda: 0.5)


def manager(path: str, hands: Time | None = None, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": path, **environ}, 7, (hands or Time()).clock)


WORDS: dict[str, tuple[Callable[[ServiceManager], None], dict[str, str]]] = {
    "ready": (lambda one: one.ready("it works"), {"READY": "1", "STATUS": "it works"}),
    "reloading": (lambda one: one.reloading(), {"RELOADING": "1", "MONOTONIC_USEC": "100000000"}),
    "stopping": (lambda one: one.stopping("so"), {"STOPPING": "1", "STATUS": "so"}),
    "status": (lambda one: one.status("2 files"), {"STATUS": "2 files"}),
    "status in two lines": (lambda one: one.status("a\nREADY=1"), {"STATUS": "a READY=1"}),
}


@pytest.mark.parametrize(("say", "heard"), WORDS.values(), ids=WORDS)
def test_words_are_as_sd_notify_has_them(
    ear: Ear, path: str, say: Callable[[ServiceManager], None], heard: dict[str, str]
) -> None:
    say(manager(path))
    assert ear.hears() == heard


def test_a_name_in_the_abstract_namespace_is_an_address_too() -> None:
    name = f"artifactd-test-{os.getpid()}"
    ear = Ear(f"\0{name}")
    manager(f"@{name}").ready("")
    assert ear.hears()["READY"] == "1"
    ear.close()


def test_a_sign_of_life_goes_out_now_and_then_however_often_there_is_one(ear: Ear, path: str) -> None:
    hands = Time()
    one = manager(path, hands, WATCHDOG_USEC="4000000", WATCHDOG_PID="7")
    assert one.interval == 1.0
    for _ in range(100):
        one.alive()
    assert ear.hears() == {"WATCHDOG": "1"}
    assert ear.hears_nothing()
    hands.now += 1.0
    one.alive()
    assert ear.hears() == {"WATCHDOG": "1"}


def test_a_start_that_takes_long_asks_for_time_now_and_then(ear: Ear, path: str) -> None:
    hands = Time()
    one = manager(path, hands)
    for _ in range(100):
        one.working()
    assert ear.hears() == {"EXTEND_TIMEOUT_USEC": "300000000"}
    assert ear.hears_nothing()
    hands.now += 75.0
    one.working()
    assert ear.hears() == {"EXTEND_TIMEOUT_USEC": "300000000"}


SILENT = {
    "not asked for": {},
    "of another process": {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "8"},
    "no number": {"WATCHDOG_USEC": "soon"},
    "none": {"WATCHDOG_USEC": "0"},
}


@pytest.mark.parametrize("environ", SILENT.values(), ids=SILENT)
def test_without_a_watchdog_there_are_no_signs_of_life(ear: Ear, path: str, environ: dict[str, str]) -> None:
    one = ServiceManager({"NOTIFY_SOCKET": path, **environ}, 7, Time().clock)
    one.alive()
    assert one.interval is None
    assert ear.hears_nothing()


def test_a_status_that_is_no_news_is_not_repeated(ear: Ear, path: str) -> None:
    one = manager(path)
    one.ready("idle")
    ear.hears()
    one.status("idle")
    assert ear.hears_nothing()


def test_a_reload_that_changes_nothing_ends_ready(ear: Ear, path: str) -> None:
    one = manager(path)
    one.unchanged()
    assert ear.hears_nothing()
    one.reloading()
    one.unchanged()
    assert "RELOADING" in ear.hears()
    assert ear.hears()["READY"] == "1"
    one.unchanged()
    assert ear.hears_nothing()


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "vsock:2:1234", "@" + "x" * 200])
def test_a_manager_that_cannot_be_reached_stops_nothing(address: str) -> None:
    manager(address).ready("")


def test_a_manager_that_does_not_listen_is_not_waited_for_and_hears_of_life_when_it_does(
    ear: Ear, path: str
) -> None:
    one = manager(path, WATCHDOG_USEC="4000000")
    one.ready("idle")
    while ear.has_room():
        pass
    began = time.monotonic()
    for number in range(20):
        one.alive()
        one.status(f"{number} files in flight")
    assert time.monotonic() - began < 0.5
    while not ear.hears_nothing():
        pass
    one.alive()
    one.status("19 files in flight")
    assert ear.hears() == {"WATCHDOG": "1"}
    assert ear.hears() == {"STATUS": "19 files in flight"}


# --- the daemon ---


def test_the_daemon_tells_that_it_is_ready_alive_reloading_and_stopping(
    site: Site, ear: Ear, path: str
) -> None:
    with site.starting(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}) as daemon:
        assert ear.hears()["READY"] == "1"
        daemon.hear("daemon.started")
        for _ in range(3):
            assert ear.hears_of("WATCHDOG")
        for good in (True, False):
            site.configure(quiet=0.2 if good else -1)
            daemon.process.send_signal(signal.SIGHUP)
            began = int(ear.hears_of("RELOADING")["MONOTONIC_USEC"])
            assert abs(began / 1e6 - time.monotonic()) < PATIENCE
            assert ear.hears_of("READY")
        assert daemon.stop() == 0
        assert ear.hears_of("STOPPING")


def test_a_daemon_that_stands_still_gives_no_sign_of_life(site: Site, ear: Ear, path: str) -> None:
    with site.starting(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}) as daemon:
        ear.hears_of("WATCHDOG")
        daemon.process.send_signal(signal.SIGSTOP)
        until(lambda: "T" in _state(daemon.process.pid), "it is stopped")
        while not ear.hears_nothing():
            pass
        time.sleep(0.5)  # nothing is awaited: that is the point
        assert ear.hears_nothing()
        daemon.process.send_signal(signal.SIGCONT)
        assert ear.hears_of("WATCHDOG")
        assert daemon.stop() == 0


def test_while_the_record_cannot_be_written_it_is_alive_and_waits(
    site: Site, ear: Ear, path: str, tmpfs: Callable[[Path, str], Path]
) -> None:
    tmpfs(site.state, "8m")
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
    with site.starting(environment=environment) as daemon:
        daemon.hear("scan.finished", reason="start")
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={site.state}/ballast", "bs=64k"], capture_output=True, check=False
        )
        site.write("train_preds.csv")
        daemon.hear("ledger.unwritable")
        while not ear.hears_nothing():
            pass
        for _ in range(3):
            assert ear.hears_of("WATCHDOG")
        (site.state / "ballast").unlink()
        daemon.hear("artifact.exported")
        assert daemon.stop() == 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
