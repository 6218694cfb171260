"""Ports of 127.0.0.1: free ones, and waiting until somebody answers at one."""

import math
import random
import socket
import subprocess
from contextlib import ExitStack
from typing import Final

LOCALHOST: Final = "127.0.0.1"

_RANGE: Final = range(10_240, 32_768)  # from 32768 on Linux gives ports to outgoing connections
_TRIES: Final = 1200
_PAUSE: Final = (
    0.05  # seconds; with _TRIES a minute, for a server that starts in two seconds on an idle machine
)


class NeverAnsweredError(Exception):
    """A server ended, or did not answer in time."""


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on. Drawn by lot: processes that ask at once get different ones."""
    ports = list[int]()
    with ExitStack() as held:  # each is held until all are found, or one would be found twice
        while len(ports) < count:
            port = random.choice(_RANGE)  # noqa: S311 - nobody gains by guessing it
            listener = held.enter_context(socket.socket())
            try:
                listener.bind((LOCALHOST, port))
            except OSError:
                continue
            ports.append(port)
    return ports


def wait_for_answer(port: int, server: subprocess.Popen[bytes], seconds: float) -> None:
    """Return as soon as `port` takes a connection.

    Raises:
        NeverAnsweredError: the server ended, or so many seconds passed.
    """
    for _ in range(math.ceil(seconds / _PAUSE)):
        if answers(port):
            return
        try:
            code = server.wait(timeout=_PAUSE)
        except subprocess.TimeoutExpired:
            continue
        raise NeverAnsweredError(f"it ended with code {code}")
    raise NeverAnsweredError(f"it did not answer at port {port} within {seconds:g} s")


def answers(port: int) -> bool:
    """Whether somebody takes a connection at `port` now."""
    with socket.socket() as client:
        return client.connect_ex((LOCALHOST, port)) == 0
