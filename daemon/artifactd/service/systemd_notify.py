"""What the service manager is told: ready, alive, reloading, stopping, and a sentence on how it goes.

The protocol is sd_notify(3): datagrams of lines to the socket that $NOTIFY_SOCKET names. Where nobody asked
for it, nothing is sent. A manager that cannot be reached is no reason to stop: it decides what follows.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from artifactd.clock import Clock

_PATIENCE_SECONDS: Final = 1.0
"""For the manager to make room for a word that is said once. Those that are repeated never wait."""

_EXTENSION_SECONDS: Final = 300.0
"""For a start that takes long, from each word that it goes on. SQLite can be silent for tens of seconds."""

_WORDS_PER_TIMEOUT: Final = 4
"""Signs of life in the time after which the manager takes us for dead. sd_watchdog_enabled(3) advises 2."""


class ServiceManager:
    """The service manager that started this process, if any. For the thread that does the work, only.

    That is the point of `alive`: it is called where work goes on, so a main loop that hangs falls silent.
    """

    def __init__(self, environ: Mapping[str, str], pid: int, clock: Clock) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._clock = clock
        self._seconds = _watchdog(environ, pid)
        self._last: float | None = None
        self._extended: float | None = None
        self._status = ""
        self._reloading = False

    @property
    def interval(self) -> float | None:
        """Seconds from one sign of life to the next; None where nobody waits for any."""
        return None if self._seconds is None else self._seconds / _WORDS_PER_TIMEOUT

    def ready(self, status: str) -> None:
        """The start, or a reload, is over: it works."""
        self._status, self._reloading = status, False
        self._say("READY=1", f"STATUS={status}", patience=_PATIENCE_SECONDS)

    def alive(self) -> None:
        """Work goes on. Called as often as it does; the manager hears of it now and then."""
        if self.interval is None:
            return
        now = self._clock.monotonic()
        due = self._last is None or now - self._last >= self.interval
        if due and self._say("WATCHDOG=1"):
            self._last = now

    def working(self) -> None:
        """The start takes long and goes on: it is waited for. Called as often as it does, as `alive`."""
        now = self._clock.monotonic()
        if self._extended is None or now - self._extended >= _EXTENSION_SECONDS / _WORDS_PER_TIMEOUT:
            self._extended = now
            self._say(f"EXTEND_TIMEOUT_USEC={int(_EXTENSION_SECONDS * 1e6)}")
        self.alive()

    def reloading(self) -> None:
        """The configuration is looked at again, until `ready` or `unchanged`."""
        self._reloading = True
        since = f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}"
        self._say("RELOADING=1", since, patience=_PATIENCE_SECONDS)

    def unchanged(self) -> None:
        """It goes on with the configuration that it had, if it looked for another."""
        if self._reloading:
            self.ready(self._status)

    def stopping(self, status: str) -> None:
        """It ends."""
        self._say("STOPPING=1", f"STATUS={status}", patience=_PATIENCE_SECONDS)

    def status(self, text: str) -> None:
        """What `systemctl status` shows, in a sentence. Sent where it is news."""
        if text != self._status and self._say(f"STATUS={text}"):
            self._status = text

    def _say(self, *assignments: str, patience: float = 0.0) -> bool:
        """Whether it could be said within so many seconds, or nobody listens at all."""
        if self._address is None:
            return True
        word = "\n".join(text.replace("\n", " ") for text in assignments).encode("utf-8", "backslashreplace")
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(patience)
            out.sendto(word, self._address)
            return True
        return False


def _address(named: str) -> bytes | None:
    """The address of an AF_UNIX socket: a path, or `@` and an abstract name. Others are not spoken here."""
    match named[:1]:
        case "/":
            return named.encode("utf-8", "surrogateescape")
        case "@":
            return b"\0" + named[1:].encode("utf-8", "surrogateescape")
        case _:
            return None


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds of silence that the manager allows this process (sd_watchdog_enabled(3)); None: any number."""
    microseconds, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant != str(pid):
        return None
    return int(microseconds) / 1e6
