import json
import os
import pwd
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from artifactd.service.control import FILE, OF_AN_ACCOUNT, NoDaemon, Request, Server, Silent, ask

PATIENCE = 120.0
"""Seconds after which what should have happened never will."""


class Owner:
    """The daemon's own thread, in the hands of a test: it takes requests one after the other."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def next(self) -> Request:
        return self.inbox.get(timeout=PATIENCE)

    def idle(self) -> bool:
        return self.inbox.empty()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def state(tmp_path: Path, owner: Owner) -> Iterator[Path]:
    """A state directory with a server on it."""
    directory = tmp_path / "state"
    directory.mkdir()
    with closing(Server(directory, owner.inbox.put)):
        yield directory


@contextmanager
def connected(state: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        fd = os.open(state, os.O_RDONLY)
        client.connect(f"/proc/self/fd/{fd}/{FILE}")
        os.close(fd)
        yield client


def answers_to(said: bytes, state: Path) -> dict[str, Any]:
    """What a client is answered that says this, line or no line."""
    with connected(state) as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        answer: dict[str, Any] = json.loads(client.makefile("rb").readline())
        return answer


def until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


class Asking(threading.Thread):
    """A command that asks in a thread of its own."""

    def __init__(self, state: Path, action: str, **fields: str) -> None:
        super().__init__(daemon=True)
        self.state, self.action, self.fields = state, action, fields
        self.answers: list[Mapping[str, Any]] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answers += ask(self.state, self.action, PATIENCE, **self.fields)
        except NoDaemon as error:
            self.error = error

    def done(self) -> list[Mapping[str, Any]]:
        self.join(PATIENCE)
        assert not self.is_alive(), "nobody answered"
        if self.error is not None:
            raise self.error
        return self.answers


# --- asking and answering ---


def test_a_command_asks_and_hears_every_answer_up_to_the_last(state: Path, owner: Owner) -> None:
    asking = Asking(state, "export", path="/data/\udcff é", name="a")
    request = owner.next()
    assert request.action == "export"
    assert (request.fields["path"], request.fields["name"]) == ("/data/\udcff é", "a")
    request.answer({"final": False, "state": "started"})
    request.answer({"final": True, "ok": True})
    assert asking.done() == [{"final": False, "state": "started"}, {"final": True, "ok": True}]


def test_many_clients_at_once_are_all_answered(state: Path, owner: Owner) -> None:
    asking = [Asking(state, "hint", experiment=str(number)) for number in range(100)]
    for _ in asking:
        request = owner.next()
        request.answer({"final": True, "experiment": request.fields["experiment"]})
    assert [one.done()[0]["experiment"] for one in asking] == [str(number) for number in range(100)]


def test_the_path_of_the_state_directory_may_be_longer_than_a_sockets(tmp_path: Path, owner: Owner) -> None:
    deep = tmp_path.joinpath(*["d" * 100] * 5)
    deep.mkdir(parents=True)
    with closing(Server(deep, owner.inbox.put)):
        asking = Asking(deep, "waiting")
        owner.next().answer({"final": True})
        assert asking.done() == [{"final": True}]


def test_the_socket_is_open_to_the_daemons_group_and_to_nobody_else_whatever_the_umask(
    tmp_path: Path, owner: Owner
) -> None:
    before = os.umask(0o000)
    try:
        with closing(Server(tmp_path, owner.inbox.put)):
            assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o660
    finally:
        os.umask(before)


def test_only_the_accounts_that_the_mode_names_reach_the_socket(tmp_path: Path, owner: Owner) -> None:
    with closing(Server(tmp_path, owner.inbox.put, mode=0o600)):
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


AS_NOBODY = """
import os, sys
from pathlib import Path
from artifactd.service.control import ask
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
print(next(ask(Path("."), "hint")))
"""


def test_the_kernel_says_who_asks(tmp_path: Path, owner: Owner) -> None:
    tmp_path.chmod(0o755)
    with closing(Server(tmp_path, owner.inbox.put, mode=0o666)):
        Asking(tmp_path, "waiting")
        mine = owner.next()
        assert mine.trusted
        mine.answer({"final": True})
        with subprocess.Popen([sys.executable, "-c", AS_NOBODY, tmp_path], stdout=subprocess.PIPE) as child:
            other = owner.next()
            other.answer({"final": True})
            child.communicate(timeout=PATIENCE)
        assert (other.principal, other.trusted) == ("nobody", False)


# --- clients that misbehave ---


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"hello\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b"{}\n",
        b'{"action": 7}\n',
        b'{"action": "export", "path": ["a"]}\n',
        b'{"action": "export", "path": {"a": 1}}\n',
        b'{"action": "export", "path": "a\\u0000b"}\n',
        b'{"action": "hint", "experiment": "\\ud800"}\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b'{"action": "export"',
    ],
)
def test_what_is_no_request_is_answered_and_reaches_nobody(state: Path, owner: Owner, said: bytes) -> None:
    answer = answers_to(said, state)
    assert (answer["final"], answer["ok"]) == (True, False)
    assert answer["reason"].startswith("this is no request")
    assert owner.idle()


def test_a_request_without_end_is_cut_off(state: Path, owner: Owner) -> None:
    with connected(state) as client:
        try:
            for _ in range(100):
                client.sendall(b'{"action": "' + b"a" * 65_536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert json.loads(client.makefile("rb").readline())["ok"] is False
    assert owner.idle()


def test_a_client_that_is_silent_or_slow_is_cut_off_and_blocks_nobody(state: Path, owner: Owner) -> None:
    with connected(state) as silent, connected(state) as slow:
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    slow.sendall(b" ")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        asking = Asking(state, "waiting")
        owner.next().answer({"final": True})
        asking.done()
        for client in (silent, slow):
            assert json.loads(client.makefile("rb").readline())["ok"] is False
        stop.set()
        dripping.join()


def test_an_answer_to_a_client_that_does_not_read_never_holds_up_the_owner(state: Path, owner: Owner) -> None:
    with connected(state) as client:
        client.sendall(b'{"action": "waiting"}\n')
        request = owner.next()
        large = {"final": False, "waiting": "w" * (8 << 20)}  # more than a socket's buffer
        began = time.monotonic()
        for _ in range(5):
            request.answer(large)
        request.answer({"final": True})
        assert time.monotonic() - began < 1.0


def test_a_client_that_goes_away_gives_its_place_to_the_next(state: Path, owner: Owner) -> None:
    """More of them than there are places, each with a request that is never answered."""
    for _ in range(3):
        for _ in range(50):
            with connected(state) as client:
                client.sendall(b'{"action": "export"}\n')
                owner.next()
            until(lambda: threading.active_count() < 40, "room for the next")
    asking = Asking(state, "waiting")
    owner.next().answer({"final": True})
    assert asking.done() == [{"final": True}]


def test_an_answer_for_a_client_that_has_gone_is_dropped(state: Path, owner: Owner) -> None:
    with connected(state) as client:
        client.sendall(b'{"action": "export"}\n')
        request = owner.next()
    request.answer({"final": False})
    request.answer({"final": True})


def test_a_client_that_only_ended_its_own_side_is_still_answered(state: Path, owner: Owner) -> None:
    with connected(state) as client:
        client.sendall(b'{"action": "waiting"}\n')
        client.shutdown(socket.SHUT_WR)
        request = owner.next()
        time.sleep(1.2)  # the server looks once a second whether its client has gone
        request.answer({"final": True})
        assert json.loads(client.makefile("rb").readline()) == {"final": True}


# --- who is too many ---

CROWD = """
import os, socket, sys
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
crowd = []
for number in range(400):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect("control.sock")
    client.sendall((b"", b'{"action": "hi')[number % 2])
    crowd.append(client)
print(crowd[0].makefile("rb").readline().decode(), end="", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def crowd(open_state: Path) -> Iterator[str]:
    """400 connections of another account that say nothing or half of something; what the first is told."""
    command = [sys.executable, "-c", CROWD, str(open_state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child.stdout.readline()
        child.communicate(timeout=PATIENCE)


@pytest.fixture
def open_state(tmp_path: Path, owner: Owner) -> Iterator[Path]:
    """As `state`, of a server that other accounts reach."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    with closing(Server(tmp_path, owner.inbox.put, mode=0o666)):
        yield tmp_path


def test_four_hundred_silent_connections_take_no_place_of_roots_and_no_thread(
    open_state: Path, owner: Owner, crowd: str
) -> None:
    told = json.loads(crowd)
    assert (told["final"], told["ok"]) == (True, False)
    assert told["reason"].startswith("too many connections of this account")
    began = time.monotonic()
    asking = [Asking(open_state, "status") for _ in range(5)]
    for _ in asking:
        owner.next().answer({"final": True})
    assert [one.done() for one in asking] == [[{"final": True}]] * 5
    assert time.monotonic() - began < 1.0
    assert sum(thread.name.startswith("control") for thread in threading.enumerate()) < 5


def test_four_hundred_silent_connections_of_ones_own_give_way_to_who_asks(state: Path, owner: Owner) -> None:
    with ExitStack() as held:
        silent = [held.enter_context(connected(state)) for _ in range(400)]
        asking = Asking(state, "status")
        owner.next().answer({"final": True})
        assert asking.done() == [{"final": True}]
        assert "too many" in json.loads(silent[0].makefile("rb").readline())["reason"]


ASKERS = """
import os, socket, sys
from pathlib import Path
from artifactd.service.control import ask
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
crowd = []
for number in range(int(sys.argv[2])):
    crowd.append(socket.socket(socket.AF_UNIX))
    crowd[-1].connect("control.sock")
    crowd[-1].sendall(b'{"action": "hint"}\\n')
sys.stdin.readline()
print(next(ask(Path("."), "hint"))["reason"], flush=True)
sys.stdin.read()
"""


def test_who_asks_more_at_once_than_its_account_may_is_told_so_and_the_earlier_are_answered(
    open_state: Path, owner: Owner
) -> None:
    command = [sys.executable, "-c", ASKERS, str(open_state), str(OF_AN_ACCOUNT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        requests = [owner.next() for _ in range(OF_AN_ACCOUNT)]
        print("go on", file=child.stdin, flush=True)
        assert child.stdout.readline().startswith("too many connections")
        for request in requests:
            request.answer({"final": True})
        child.communicate(timeout=PATIENCE)
    assert owner.idle()


def test_a_name_that_takes_its_time_to_be_looked_up_holds_up_nobody_else(
    open_state: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory service that hangs stands behind getpwuid(3)."""
    hangs = threading.Event()

    def getpwuid(_uid: int) -> NoReturn:
        hangs.wait(PATIENCE)
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    with subprocess.Popen([sys.executable, "-c", AS_NOBODY, open_state], stdout=subprocess.PIPE) as child:
        asking = Asking(open_state, "status")
        owner.next().answer({"final": True})
        assert asking.done() == [{"final": True}]
        hangs.set()
        request = owner.next()
        assert (request.principal, request.trusted) == ("uid 65534", False)
        request.answer({"final": True})
        child.communicate(timeout=PATIENCE)


# --- daemons that are not there ---


def test_without_a_daemon_a_command_is_told_so(tmp_path: Path, owner: Owner) -> None:
    with pytest.raises(NoDaemon, match=r"no daemon answers on .*: No such file"):
        next(ask(tmp_path, "waiting"))
    with pytest.raises(NoDaemon, match="no daemon answers"):
        next(ask(tmp_path / "missing", "waiting"))
    Server(tmp_path, owner.inbox.put).close()
    with pytest.raises(NoDaemon, match="Connection refused"):
        next(ask(tmp_path, "waiting"))


def test_a_daemon_that_answers_too_late_is_told_apart_from_none(state: Path, owner: Owner) -> None:
    answers = ask(state, "export", timeout=0.1)
    with pytest.raises(Silent, match="did not answer in time"):
        next(answers)
    owner.next()


SERVE = """
import sys, threading
from pathlib import Path
from artifactd.service.control import Server
def receive(request):
    print("asked", flush=True)
server = Server(Path(sys.argv[1]), receive)
print("serving", flush=True)
threading.Event().wait()
"""


def test_a_killed_daemon_is_told_at_once_and_the_next_takes_its_socket(tmp_path: Path, owner: Owner) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE, tmp_path], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"serving\n"
        asking = Asking(tmp_path, "export")
        assert daemon.stdout.readline() == b"asked\n"
        daemon.kill()
    with pytest.raises(NoDaemon, match="stopped before it answered"):
        asking.done()
    assert (tmp_path / FILE).exists()
    with closing(Server(tmp_path, owner.inbox.put)):
        again = Asking(tmp_path, "waiting")
        owner.next().answer({"final": True})
        assert again.done() == [{"final": True}]


def test_a_closed_server_takes_nobody_and_still_answers_whoever_asked(tmp_path: Path, owner: Owner) -> None:
    server = Server(tmp_path, owner.inbox.put)
    asking = Asking(tmp_path, "export")
    request = owner.next()
    server.close()
    request.answer({"final": True, "ok": True})
    assert asking.done() == [{"final": True, "ok": True}]


def test_nothing_is_left_of_a_server_that_was_closed(tmp_path: Path, owner: Owner) -> None:
    def held() -> tuple[int, int]:
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("control")]
        return len(threads), len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    with closing(Server(tmp_path, owner.inbox.put)):
        asking = Asking(tmp_path, "waiting")
        owner.next().answer({"final": True})
        asking.done()
    # Not "==": what an earlier test left in this process may end meanwhile.
    until(lambda: all(map(int.__le__, held(), before)), "the server's end")
