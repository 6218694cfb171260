"""The real daemon, with people at its control socket who mean no good: nobody else notices."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.process import Daemon, Site, until

OF_A_STRANGER = """
import os, socket, sys, threading
os.chdir(sys.argv[1])
os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)

def connected():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect("control.sock")
    return client
"""

SILENT = """
crowd = [connected() for _ in range(400)]
for client in crowd[::2]:
    try:
        client.sendall(b'{"action": "hi')
    except OSError:
        pass
print("all there", flush=True)
sys.stdin.read()
"""

HINTING = """
def hints():
    while True:
        try:
            with connected() as client:
                client.sendall(b'{"action": "hint", "experiment": "crowd"}\\n')
                if not client.recv(1 << 16):
                    continue
        except OSError:
            pass

for _ in range(60):
    threading.Thread(target=hints, daemon=True).start()
print("all there", flush=True)
sys.stdin.read()
"""

QUIET = 0.5


@contextmanager
def stranger(site: Site, script: str) -> Iterator[None]:
    """Somebody with another account, at it for the length of the block."""
    command = [sys.executable, "-c", OF_A_STRANGER + script, str(site.state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "all there\n"
        try:
            yield
        finally:
            child.kill()


@contextmanager
def reachable(site: Site) -> Iterator[Daemon]:
    """A daemon whose socket everybody reaches."""
    with site.daemon() as daemon:
        site.state.chmod(0o711)
        (site.state / "control.sock").chmod(0o666)
        until(lambda: site.command("status").returncode == 0, "readiness")
        yield daemon


@pytest.mark.parametrize("script", [SILENT, HINTING], ids=["400 say nothing", "60 hint without a pause"])
def test_a_crowd_at_the_control_socket_delays_neither_status_nor_another_users_artifact(
    open_site: Site, script: str
) -> None:
    site = open_site
    site.configure(quiet=QUIET)
    for number in range(3_000):
        site.write(f"notes/{number}.txt", experiment="crowd", user="eve")

    def seconds(daemon: Daemon, number: int) -> float:
        """From the writing of an artifact to its proven copy."""
        began = time.monotonic()
        site.write("train_preds.csv", experiment=str(number))
        daemon.hear("artifact.exported", number + 1)
        return time.monotonic() - began

    with reachable(site) as daemon:
        alone = seconds(daemon, 0)
        with stranger(site, script):
            for number in range(1, 4):
                assert seconds(daemon, number) < 10.0 * alone + 20.0, "without its share it never ends"
                assert site.ok("status").startswith("ready\n"), "it has five seconds to answer"


def test_who_hints_without_a_pause_is_told_so_and_the_command_ends_well(open_site: Site) -> None:
    site = open_site
    site.write("train_preds.csv")
    with reachable(site):
        done = []

        def told() -> bool:
            done.append(site.command("hint", "one"))
            return "asks too often" in done[-1].stderr

        with stranger(site, HINTING):
            pass  # it has an account of its own, and a rate of its own
        assert not told()
        with root_hints(site):
            until(told, "too often")
        assert {one.returncode for one in done} == {0}


@contextmanager
def root_hints(site: Site) -> Iterator[None]:
    """The daemon's own account hints without a pause."""
    own = OF_A_STRANGER.replace("os.setgroups([]), ", "").replace("65534", "0")
    command = [sys.executable, "-c", own + HINTING, str(site.state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield
        finally:
            child.kill()
