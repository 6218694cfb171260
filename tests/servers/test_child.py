"""Servers of the tests end with the tests, however these end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from tests.servers import s3
from tests.servers.child import installed, running
from tests.servers.ports import NeverAnsweredError, answers, free_ports
from tests.servers.seaweed import seaweed
from tests.support.process import PATIENCE, until

DYING = """
import os, signal, sys
from pathlib import Path
from tests.servers import s3
with s3.moto(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    signal.pause()
"""


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_server_is_gone_after_its_block(tmp_path: Path) -> None:
    with s3.moto(tmp_path) as server:
        assert answers(port_of(server.url))
    assert not answers(port_of(server.url))


def test_a_server_dies_with_tests_that_are_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DYING, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.curdir},
    ) as tests:
        assert tests.stdout is not None
        port = port_of(tests.stdout.readline().decode().strip())
        (server,) = psutil.Process(tests.pid).children()
        tests.send_signal(signal.SIGKILL)
        server.wait(PATIENCE)
    until(lambda: not answers(port), "the server is gone")


def test_seaweed_leaves_no_sockets_behind(tmp_path: Path) -> None:
    others = psutil.Process().children()
    with seaweed(tmp_path):
        servers = set(psutil.Process().children()) - set(others)
        unix = [Path(one.laddr) for server in servers for one in server.net_connections("unix") if one.laddr]
        listening = {socket for socket in unix if socket.is_absolute()}
        assert len(listening) == 3
        assert all(socket.exists() for socket in listening)
    assert not any(socket.exists() for socket in listening)


@pytest.mark.parametrize(
    ("command", "why"), [("exit 3", "it ended with code 3"), ("exec sleep 60", "it did not answer")]
)
def test_a_server_that_does_not_come_up_is_shown_with_what_it_said(
    tmp_path: Path, command: str, why: str
) -> None:
    (port,) = free_ports(1)
    server = running(["sh", "-c", f"echo no luck; {command}"], port=port, folder=tmp_path, patience=0.5)
    with pytest.raises(NeverAnsweredError, match=f"{why}(.|\n)*no luck"), server:
        pass


def test_a_program_that_is_missing_is_a_failure_that_says_what_to_install() -> None:
    with pytest.raises(AssertionError, match="install the dev group"):
        installed("unheard-of")
