"""A command that asks what may hang, in a process of its own: who called it waits for no dead mount."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

from artifactd.cli.exits import Parent
from artifactd.linux.processes import die_with_parent

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def apart() -> None:
    """Go on in a child. SIGINT, SIGTERM and SIGHUP end the command at once, with 128 and their number.

    A call of a dead mount ends for no signal, not even SIGKILL, and a process whose thread is in one is not
    gone for whoever waits for it. So the process that was called makes no such call. No thread may run yet.
    """
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        _wait(child, reading)
    os.close(reading)
    die_with_parent()
    Parent.pipe = writing


def _wait(child: int, reading: int) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, partial(_end, partial(os.kill, child, signal.SIGKILL)))
    code = os.read(reading, 1)
    os._exit(code[0] if code else _shell_code(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def _end(kill: Callable[[], None], number: int, _frame: object) -> None:
    with suppress(ProcessLookupError):
        kill()
    os._exit(128 + number)


def _shell_code(code: int) -> int:
    """As a shell tells it: of a process that a signal killed 128 and its number."""
    return code if code >= 0 else 128 - code
