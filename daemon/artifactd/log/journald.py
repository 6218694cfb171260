"""The log as journald's own fields: a message to read, and `ARTIFACTD_USER=alice` to ask for.

The protocol is systemd's "Native Journal Protocol" (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): one
datagram for each entry, a field a line. Every field is ours by name: those that journald vouches for begin
with an underscore, and one like USER_ID could be taken for another program's.
"""

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, Final

SOCKET: Final = "/run/systemd/journal/socket"

_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Levels as syslog(3) numbers them."""

_PATIENCE_SECONDS: Final = 0.5
"""For journald to make room for an entry; then it is lost. The record in the ledger still has the event."""

_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALED: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

_KNOWN: Final = ("time", "level", "host", "pid")
"""journald has its own of these, and nobody can forge them."""

_MEASURES: Final = ("schema", "version", "seq", "hash", "sha256", "evidence", "rule")
"""Fields that make a message longer and not clearer."""


def listens(environ: Mapping[str, str], stream: IO[str]) -> bool:
    """Whether journald itself is at the other end of `stream`, as $JOURNAL_STREAM says (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def entry(line: Mapping[str, Any]) -> bytes:
    """The datagram for a line of the log, whose values are fit to be shown; no line feed at its end. Pure."""
    fields = {
        "MESSAGE": message(line),
        "PRIORITY": str(_PRIORITIES.get(str(line.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "artifactd",
    }
    fields |= {
        f"ARTIFACTD_{name.upper()}": _text(value)
        for name, value in line.items()
        if name not in _KNOWN and value is not None
    }
    return b"\n".join(_field(name, value) for name, value in fields.items())


def message(line: Mapping[str, Any]) -> str:
    """One line of the log as a person reads it. Pure."""
    said = [str(line["event"])]
    subject = line.get("source") or line.get("experiment_id") or line.get("store")
    if subject is not None:
        said.append(str(subject))
        if (target := line.get("uri") or line.get("key")) is not None:
            said.append(f"→ {target}")
    else:
        passed = {"event", "reason", *_KNOWN, *_MEASURES}
        said += [f"{name}={_text(value)}" for name, value in line.items() if name not in passed]
    reason = line.get("reason")
    return " ".join(said) + (f": {reason}" if reason else "")


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_text, value))
        case _:
            return str(value)


def _field(name: str, value: str) -> bytes:
    content = value.encode("utf-8", "backslashreplace")
    if b"\n" in content:  # as its length and its bytes
        return name.encode() + b"\n" + struct.pack("<Q", len(content)) + content
    return name.encode() + b"=" + content


class Journal:
    """A stream whose every write is one entry. What journald does not take is lost; nothing stops for it."""

    def __init__(self, address: str) -> None:
        self._address = address

    def write(self, datagram: bytes) -> None:
        """Send one entry. One that is too large for a datagram goes as a sealed file, as journald asks."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(_PATIENCE_SECONDS)
            try:
                out.sendto(datagram, self._address)
            except OSError as error:
                if error.errno not in _TOO_LARGE:
                    raise
                self._send_file(out, datagram)

    def _send_file(self, out: socket.socket, content: bytes) -> None:
        fd = os.memfd_create("artifactd-journal", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            os.write(fd, content)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALED)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
            out.sendmsg([], [rights], 0, self._address)
        finally:
            os.close(fd)
