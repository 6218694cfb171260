"""How a command reaches the running daemon: one line of JSON each way over a socket in the state directory.

The kernel says who asks (SO_PEERCRED). The daemon's own account and root may ask for everything; others who can reach
the socket, such as Driverless AI's account with its hooks, may only hint. A hint speeds up; nothing depends on it.
"""

import json
import os
import pwd
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = "control.sock"
_LONGEST: Final = 64 << 10  # bytes of a request
_SECONDS: Final = 5.0  # for a client to say what it wants
_AT_ONCE: Final = 16  # clients


class NoDaemon(Exception):  # noqa: N818 - it names the thing that is so
    """No daemon answers on this state."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for. `answer` may be called several times; the last answer has `final` true."""

    action: str
    fields: Mapping[str, Any]
    principal: str
    """who asks, as the kernel says"""
    trusted: bool
    """whether that is the daemon's own account or root"""
    answer: Callable[[Mapping[str, Any]], None]


@contextmanager
def _address(state_directory: Path) -> Iterator[str]:
    """The socket's address by way of an open directory: a socket's path has room for 107 bytes only (unix(7))."""
    fd = os.open(state_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(state_directory) as address:
            with suppress(FileNotFoundError):
                os.unlink(address)  # a killed daemon's; the state's lock says that it is gone
            self._socket.bind(address)
            os.chmod(address, mode)
        self._socket.listen(_AT_ONCE)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Take no more requests."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # closed
            if not self._slots.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(target=self._talk, args=(client,), name="control-client", daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        try:
            client.settimeout(_SECONDS)
            uid = _peer(client)
            with client.makefile("rb") as reader:
                asked = json.loads(reader.readline(_LONGEST))
            answer = _Answer(client, self._slots)
            self._receive(
                Request(str(asked["action"]), asked, _account(uid), uid in (0, os.geteuid()), answer)
            )
        except (OSError, ValueError, KeyError, TypeError):
            client.close()
            self._slots.release()


class _Answer:
    """Answers one client, and ends with the final answer or when the client has gone."""

    def __init__(self, client: socket.socket, slots: threading.BoundedSemaphore) -> None:
        self._client = client
        self._slots = slots
        self._open = True

    def __call__(self, fields: Mapping[str, Any]) -> None:
        if not self._open:
            return
        try:
            self._client.sendall(json.dumps(fields).encode() + b"\n")
        except OSError:
            self._end()  # the client has gone; what it asked for goes on
        else:
            if fields.get("final"):
                self._end()

    def _end(self) -> None:
        self._open = False
        self._client.close()
        self._slots.release()


def ask(
    state_directory: Path, action: str, timeout: float | None = 10.0, **fields: Any
) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Ask the running daemon; its answers as they come. `timeout` is in seconds for each answer, None for ever.

    Raises:
        NoDaemon: none runs on this state, or it stopped before its final answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            with _address(state_directory) as address:
                client.connect(address)
            client.sendall(json.dumps({"action": action, **fields}).encode() + b"\n")
            with client.makefile("r", encoding="utf-8") as reader:
                for line in reader:
                    answer: dict[str, Any] = json.loads(line)
                    yield answer
                    if answer.get("final"):
                        return
    except OSError as error:
        raise NoDaemon(f"no daemon answers on {state_directory}: {error.strerror or error}") from error
    raise NoDaemon(f"the daemon on {state_directory} stopped before it answered")


def _peer(client: socket.socket) -> int:
    """The user id at the other end (SO_PEERCRED, unix(7))."""
    credentials = struct.Struct("3i")
    _pid, uid, _gid = credentials.unpack(
        client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    )
    return int(uid)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
