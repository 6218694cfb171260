"""Whether somebody could be listened to at `health.listen`, tried without listening."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import assert_never

from artifactd.config.listen import Listen, Tcp, Unix


def trouble(where: Listen, running: Callable[[], bool]) -> str | None:
    """Why nobody could be listened to there, with what to do; None: it could be, as far as can be seen.

    `running`: whether a daemon works on this state, so that an address in use is its own.
    """
    try:
        match where:
            case Tcp():
                _try_port(where)
            case Unix():
                _try_path(where)
            case _:
                assert_never(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and running():
            return None
        return f"{where}: {os.strerror(error.errno or 0)}"
    return None


def _try_port(where: Tcp) -> None:
    family = socket.AF_INET if isinstance(where.host, IPv4Address) else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener does
        tried.bind((str(where.host), where.port))


def _try_path(where: Unix) -> None:
    if not os.access(where.path.parent, os.W_OK | os.X_OK):
        number = errno.EACCES if where.path.parent.is_dir() else errno.ENOENT
        raise OSError(number, os.strerror(number))
    try:
        is_socket = stat.S_ISSOCK(where.path.lstat().st_mode)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        if not is_socket or client.connect_ex(str(where.path)) == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
