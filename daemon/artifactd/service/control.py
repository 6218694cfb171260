"""How a command reaches the running daemon: lines of JSON over a socket in the state directory.

The kernel says who asks (SO_PEERCRED). The daemon's own account and root may ask for everything; others who
can reach the socket, such as Driverless AI's account with its hooks, may only hint. A hint speeds up; nothing
depends on it.

One thread serves everybody. Each account has its share of connections, so that silent, slow and numerous
clients cost themselves their places, and nobody else.
"""

import json
import math
import os
import queue
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from artifactd.clock import SYSTEM
from artifactd.linux.files import account
from artifactd.mirror.answers import Answer, final

FILE: Final = "control.sock"
_LONGEST: Final = 64 << 10  # bytes of a request
_SECONDS: Final = 5.0  # for a client to say what it wants, and to take an answer

OF_AN_ACCOUNT: Final = 32
"""Connections at once. One more takes the place of the oldest that has not asked yet, if there is one."""

OF_OTHERS: Final = 128
"""... of all accounts together that may only hint."""

OF_TRUSTED: Final = 128
"""... of root, and as many of the daemon's own account: room that no other account can take."""

_NO_DESCRIPTOR_SECONDS: Final = 1.0
_CROWDED: Final = final(ok=False, reason="too many connections of this account wait already: try again later")


class NoDaemon(Exception):
    """No daemon answers on this state."""


class Silent(NoDaemon, TimeoutError):
    """A daemon is there, and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for. Every text in it can be part of a path: no NUL, no bytes that are lost."""

    action: str
    fields: Mapping[str, Any]
    principal: str
    """who asks, as the kernel says"""
    uid: int
    """its number"""
    trusted: bool
    """whether that is the daemon's own account or root"""
    answer: Answer
    """may be called several times, from any thread"""


@contextmanager
def _address(state_directory: Path) -> Iterator[str]:
    """The socket's address by way of an open directory: a socket's path has room for 107 bytes (unix(7))."""
    # O_PATH: a hook's account may pass through the state directory (mode 0710 or 0711), and not list it.
    fd = os.open(state_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{FILE}"
    finally:
        os.close(fd)


@dataclass(slots=True, eq=False)
class _Client:
    """A connection, from its first byte to its end."""

    socket: socket.socket
    uid: int
    until: float
    """monotonic seconds at which its patience ends: with what it says, or with what it takes"""
    said: bytearray = field(default_factory=bytearray)
    asked: bool = False
    """whether it has said what it wants"""
    unsent: deque[memoryview] = field(default_factory=deque)
    answered: bool = False
    """whether its last answer is among what is unsent or was sent"""

    @property
    def trusted(self) -> bool:
        """Whether it is root's, or of the daemon's own account."""
        return self.uid in (0, os.geteuid())

    @property
    def interest(self) -> int:
        """What it is to be woken for; that it has gone is told besides."""
        return select.EPOLLOUT if self.unsent else 0 if self.asked else select.EPOLLIN

    def hear(self) -> bool:
        """Take what it says. Whether that is all: a line, more than is taken, or what it ended with.

        Raises:
            OSError: it has gone, or has nothing to say now.
        """
        some = self.socket.recv(_LONGEST - len(self.said))
        self.said += some
        return not some or b"\n" in some or len(self.said) >= _LONGEST

    def speak(self, until: float) -> None:
        """Send what it takes; for what is left it has time until then. Raises OSError as `hear`."""
        while self.unsent:
            self.unsent[0] = self.unsent[0][self.socket.send(self.unsent[0]) :]
            if not self.unsent[0]:
                self.unsent.popleft()
                self.until = until


class Server:
    """Takes requests in a thread of its own and hands them to `receive`, which must not block there."""

    def __init__(
        self,
        state_directory: Path,
        receive: Callable[[Request], None],
        *,
        mode: int = 0o660,
        monotonic: Callable[[], float] = SYSTEM.monotonic,
    ) -> None:
        self._receive, self._monotonic = receive, monotonic
        self._clients: dict[int, _Client] = {}  # who came first is first
        self._names = {uid: account(uid) for uid in (0, os.geteuid())}
        self._news: queue.SimpleQueue[tuple[_Client, Callable[[], None]]] = queue.SimpleQueue()
        self._closed = False
        self._accepts_from = math.inf  # where descriptors have run out, when the next ones are looked for
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(state_directory) as address:
            with suppress(FileNotFoundError):
                os.unlink(address)  # noqa: PTH108 - a killed daemon's; the state's lock says that it is gone
            self._socket.bind(address)
            os.chmod(address, mode)  # noqa: PTH101 - as above, a path of an open directory
        self._socket.setblocking(False)
        self._socket.listen(socket.SOMAXCONN)
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._socket, select.EPOLLIN)
        self._poll.register(self._woken, select.EPOLLIN)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Take no more requests. Whoever has asked already is still answered."""
        self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._wake_up()

    def _wake_up(self) -> None:
        with suppress(OSError):  # as many words as there is room for are enough; or nobody is there any more
            self._wake.send(b"\0")

    def _tell(self, client: _Client, act: Callable[[], None]) -> None:
        """From any thread: have it done in the server's, whether the client is still there or not."""
        self._news.put((client, act))
        self._wake_up()

    # --- the server's thread ---

    def _serve(self) -> None:
        while not self._closed or self._clients:
            for fd, events in self._poll.poll(self._patience()):
                if fd in self._clients:
                    client = self._clients[fd]
                    self._tend(client, partial(self._hear, client, events))
                elif fd == self._woken.fileno():
                    self._hear_news()
                elif not self._closed:
                    self._accept()
            if self._closed:
                self._socket.close()  # which takes it out of what is polled
                self._accepts_from = math.inf
                for client in [one for one in self._clients.values() if not one.asked]:
                    self._drop(client)
            self._look_at_the_clock()
        for held in (self._socket, self._poll, self._wake, self._woken):
            held.close()

    def _patience(self) -> float | None:
        """Seconds until somebody's time is over; None: nobody's ever is."""
        times = [one.until for one in self._clients.values() if one.unsent or not one.asked]
        first = min(times, default=math.inf)
        first = min(first, self._accepts_from)
        return None if first == math.inf else max(0.0, first - self._monotonic())

    def _look_at_the_clock(self) -> None:
        now = self._monotonic()
        if now >= self._accepts_from:
            self._accepts_from = math.inf
            self._poll.modify(self._socket, select.EPOLLIN)
        for client in [one for one in self._clients.values() if one.until <= now]:
            if client.unsent:
                self._drop(client)
            elif not client.asked:
                self._tend(client, partial(self._asked, client))

    def _hear_news(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_LONGEST)
        with suppress(queue.Empty):
            while True:
                self._tend(*self._news.get_nowait())

    def _accept(self) -> None:
        """One more client. It never waits: whoever is too much is told so."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # who called has hung up
        except OSError:  # out of descriptors: they wait, and nobody spins
            self._accepts_from = self._monotonic() + _NO_DESCRIPTOR_SECONDS
            self._poll.modify(self._socket, 0)
            return
        connection.setblocking(False)
        client = _Client(connection, _peer(connection), self._monotonic() + _SECONDS)
        self._clients[connection.fileno()] = client
        self._poll.register(connection, client.interest)
        if (crowd := self._crowd(client)) is not None:
            gives_way = next(one for one in crowd if not one.asked)
            with suppress(OSError):
                gives_way.socket.send(_line(_CROWDED))
            self._drop(gives_way)

    def _crowd(self, client: _Client) -> list[_Client] | None:
        """Those of whom it makes one too many, itself the last of them; None: there is room."""
        own = [one for one in self._clients.values() if one.uid == client.uid]
        if len(own) > (OF_TRUSTED if client.trusted else OF_AN_ACCOUNT):
            return own
        others = [one for one in self._clients.values() if not one.trusted]
        return others if not client.trusted and len(others) > OF_OTHERS else None

    def _tend(self, client: _Client, act: Callable[[], None]) -> None:
        """Do what there is to do for the client, and tell it what there is to tell."""
        try:
            act()
            with suppress(BlockingIOError):  # for now
                client.speak(self._monotonic() + _SECONDS)
            self._poll.modify(client.socket, client.interest)
        except BlockingIOError:
            return  # it has nothing to say now
        except Exception:  # noqa: BLE001 - it has gone; or, whatever it is, this client alone is lost
            self._drop(client)
        if client.answered and not client.unsent:
            self._drop(client)

    def _hear(self, client: _Client, events: int) -> None:
        """It says something, or takes something, or has gone. Raises OSError where it has."""
        if not client.asked and client.hear():
            self._asked(client)
        if events & (select.EPOLLHUP | select.EPOLLERR):
            raise ConnectionError  # what it asked for goes on

    def _asked(self, client: _Client) -> None:
        """It has said all that it will ever say."""
        client.asked = True
        try:
            asked = _understood(bytes(client.said))
        except (ValueError, RecursionError) as error:
            self._answer(client, final(ok=False, reason=f"this is no request: {error}"))
            return
        if client.uid in self._names:
            self._hand_over(client, asked, self._names[client.uid])
        else:  # a directory service may take its time to say the name
            threading.Thread(
                target=self._name, args=(client, asked), name="control-name", daemon=True
            ).start()

    def _name(self, client: _Client, asked: Mapping[str, Any]) -> None:
        self._tell(client, partial(self._hand_over, client, asked, account(client.uid)))

    def _hand_over(self, client: _Client, asked: Mapping[str, Any], principal: str) -> None:
        self._names[client.uid] = principal

        def answer(fields: Mapping[str, Any]) -> None:
            self._tell(client, partial(self._answer, client, fields))

        self._receive(Request(asked["action"], asked, principal, client.uid, client.trusted, answer))

    def _answer(self, client: _Client, fields: Mapping[str, Any]) -> None:
        if not client.unsent:
            client.until = self._monotonic() + _SECONDS
        client.unsent.append(memoryview(_line(fields)))
        client.answered = client.answered or bool(fields.get("final"))

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.socket.fileno(), None)
        client.socket.close()  # which takes it out of what is polled


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _understood(line: bytes) -> dict[str, Any]:
    """A client's request: one line, a JSON object of texts and numbers.

    Raises:
        ValueError, RecursionError: it is something else, or nothing.
    """
    asked = json.loads(line.partition(b"\n")[0])
    if not isinstance(asked, dict) or not isinstance(asked.get("action"), str):
        raise ValueError("no action")  # noqa: TRY004 - as whatever else a client can get wrong
    for value in asked.values():
        if isinstance(value, list | dict):
            raise ValueError("a list or an object in it")  # noqa: TRY004 - as above
        if isinstance(value, str) and b"\0" in os.fsencode(value):
            raise ValueError("a NUL in it")
    return asked


def ask(
    state_directory: Path,
    action: str,
    timeout: float | None = 10.0,
    **fields: Any,  # noqa: ANN401 - JSON
) -> Iterator[dict[str, Any]]:
    """Ask the running daemon; its answers as they come. `timeout` is in seconds for each, None for ever.

    Raises:
        NoDaemon: none runs on this state, or it stopped before its final answer.
        Silent: one runs, and did not answer in time; what was asked for may go on.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            with _address(state_directory) as address:
                client.connect(address)
            with suppress(BrokenPipeError, ConnectionResetError):  # it was turned away: the answer says why
                client.sendall(_line({"action": action, **fields}))
            with client.makefile("rb") as reader:
                for line in reader:
                    answer: dict[str, Any] = json.loads(line)
                    yield answer
                    if answer.get("final"):
                        return
    except TimeoutError as error:
        raise Silent(f"the daemon on {state_directory} did not answer in time") from error
    except PermissionError as error:
        raise NoDaemon(_barred(state_directory)) from error
    except OSError as error:
        raise NoDaemon(f"no daemon answers on {state_directory}: {error.strerror or error}") from error
    except ValueError:
        pass  # a line that was cut
    raise NoDaemon(f"the daemon on {state_directory} stopped before it answered")


def _barred(state_directory: Path) -> str:
    """What to say to an account that the state directory, or one above it, does not let through."""
    let = f"chgrp GROUP {state_directory} && chmod 2710 {state_directory}"
    return (
        f"{account()} does not get to the daemon's socket in {state_directory}. For hints let a group of this"
        f" account's through, {let}, and restart the daemon; for all else run this as the daemon's account"
    )


def _peer(client: socket.socket) -> int:
    """The user id at the other end (SO_PEERCRED, unix(7))."""
    credentials = struct.Struct("3i")
    _pid, uid, _gid = credentials.unpack(
        client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    )
    return int(uid)
