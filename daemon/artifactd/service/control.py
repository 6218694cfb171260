"""How a command reaches the running daemon: lines of JSON over a socket in the state directory.

The kernel says who asks (SO_PEERCRED). The daemon's own account and root may ask for everything; others who
can reach the socket, such as Driverless AI's account with its hooks, may only hint. A hint speeds up; nothing
depends on it.
"""

import json
import os
import queue
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artifactd.linux.files import account
from artifactd.mirror.answers import Answer, final

FILE: Final = "control.sock"
_LONGEST: Final = 64 << 10  # bytes of a request
_SECONDS: Final = 5.0  # for a client to say what it wants, and to take an answer
_AT_ONCE: Final = 64  # clients; the next ones wait to be let in
_LOOK_SECONDS: Final = 1.0  # from one look to the next whether a client has gone


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


class Server:
    """Takes requests in threads of its own and hands them to `receive`, which must not block."""

    def __init__(
        self, state_directory: Path, receive: Callable[[Request], None], *, mode: int = 0o660
    ) -> None:
        self._receive = receive
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(state_directory) as address:
            with suppress(FileNotFoundError):
                os.unlink(address)  # noqa: PTH108 - a killed daemon's; the state's lock says that it is gone
            self._socket.bind(address)
            os.chmod(address, mode)  # noqa: PTH101 - as above, a path of an open directory
        self._socket.listen(socket.SOMAXCONN)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Take no more requests. Whoever has asked already is still answered."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            self._slots.acquire()
            try:
                client, _ = self._socket.accept()
                threading.Thread(
                    target=self._talk, args=(client,), name="control-client", daemon=True
                ).start()
            except (OSError, RuntimeError):  # closed, or out of descriptors or of threads
                self._slots.release()
                if self._closed.wait(_LOOK_SECONDS):
                    return

    def _talk(self, client: socket.socket) -> None:
        """With one client, to the final answer or until the client has gone."""
        answers: _Answers = queue.SimpleQueue()
        try:
            with client, suppress(OSError):
                self._hear(client, answers)
                _answer(client, answers)
        finally:
            self._slots.release()

    def _hear(self, client: socket.socket, answers: "_Answers") -> None:
        uid = _peer(client)
        try:
            asked = _asked(client)
        except (ValueError, RecursionError) as error:
            answers.put(final(ok=False, reason=f"this is no request: {error}"))
        else:
            trusted = uid in (0, os.geteuid())
            self._receive(Request(asked["action"], asked, account(uid), trusted, answers.put))


_Answers = queue.SimpleQueue[Mapping[str, Any]]


def _asked(client: socket.socket) -> dict[str, Any]:
    """The client's request: one line, a JSON object of texts and numbers.

    Raises:
        OSError: the client has gone.
        ValueError, RecursionError: it said something else, or nothing in time.
    """
    deadline = threading.Timer(_SECONDS, _stop_listening, (client,))
    deadline.start()
    try:
        with client.makefile("rb") as reader:
            line = reader.readline(_LONGEST)
    finally:
        deadline.cancel()
    asked = json.loads(line)
    if not isinstance(asked, dict) or not isinstance(asked.get("action"), str):
        raise ValueError("no action")  # noqa: TRY004 - as whatever else a client can get wrong
    for value in asked.values():
        if isinstance(value, list | dict):
            raise ValueError("a list or an object in it")  # noqa: TRY004 - as above
        if isinstance(value, str) and b"\0" in os.fsencode(value):
            raise ValueError("a NUL in it")
    return asked


def _stop_listening(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)


def _answer(client: socket.socket, answers: _Answers) -> None:
    """Send the answers as they come. Raises OSError when the client does not take one."""
    client.settimeout(_SECONDS)
    final = False
    while not final:
        try:
            fields = answers.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if _has_gone(client):
                return  # what it asked for goes on
        else:
            client.sendall(json.dumps(fields).encode() + b"\n")
            final = bool(fields.get("final"))


def _has_gone(client: socket.socket) -> bool:
    """Whether the other end is closed. One that only ended what it says, as `nc -N` does, still listens."""
    waiting = select.poll()
    waiting.register(client, 0)  # a hang-up is told without being asked for
    return bool(waiting.poll(0))


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
            client.sendall(json.dumps({"action": action, **fields}).encode() + b"\n")
            with client.makefile("rb") as reader:
                for line in reader:
                    answer: dict[str, Any] = json.loads(line)
                    yield answer
                    if answer.get("final"):
                        return
    except TimeoutError as error:
        raise Silent(f"the daemon on {state_directory} did not answer in time") from error
    except OSError as error:
        raise NoDaemon(f"no daemon answers on {state_directory}: {error.strerror or error}") from error
    except ValueError:
        pass  # a line that was cut
    raise NoDaemon(f"the daemon on {state_directory} stopped before it answered")


def _peer(client: socket.socket) -> int:
    """The user id at the other end (SO_PEERCRED, unix(7))."""
    credentials = struct.Struct("3i")
    _pid, uid, _gid = credentials.unpack(
        client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    )
    return int(uid)
