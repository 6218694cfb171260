"""How a command ends: exit codes, the same for every command. README.md lists them for people."""

import os
import sys
from contextlib import suppress
from enum import IntEnum
from typing import NoReturn, Self


class Exit(IntEnum):
    """How a command ended."""

    meaning: str
    """for people; where it means something else of one command, `pages` has that"""

    def __new__(cls, code: int, meaning: str) -> Self:
        """The code with what it means."""
        member = int.__new__(cls, code)
        member._value_, member.meaning = code, meaning
        return member

    OK = 0, "done"
    FAILED = 1, "what was asked for could not be done; the message says why"
    USAGE = 2, "the command line is wrong"
    CONFIGURATION = 3, "the configuration is wrong; every problem is listed"
    IN_USE = 4, "another artifactd works on this state"
    INCOMPLETE = 5, "something that is wanted is not proven in its store"
    STATE = 6, "the ledger or the state directory cannot be used, or there is no ledger yet"
    CHECK = 7, "a check failed; its line says what to do"
    RECORD = 10, "the record of events, or one of its anchors, was altered"
    DIFFERENT = 11, "a copy holds other bytes than are on record"
    MISSING = 12, "a copy is missing in its store"
    UNREADABLE = 13, "a copy could not be verified"
    UNKNOWN = 14, "the store holds keys that the ledger does not know"
    OTHER_RECORD = 15, "a store has anchors of another record than this one"


class Parent:
    """The process that waits for this one, where `apart` has made two of one."""

    pipe: int | None = None
    """that it reads the exit code from"""


def tell(code: int) -> None:
    """Say how this process ends, where another waits for it: its threads may keep it from ending."""
    if Parent.pipe is not None:
        with suppress(BrokenPipeError):
            os.write(Parent.pipe, bytes([code]))


def leave(code: Exit) -> NoReturn:
    """End at once: threads that hang in a dead mount would keep the interpreter from it."""
    with suppress(Exception):  # a full disk, which may hold them up no more than the threads
        sys.stdout.flush()
        sys.stderr.flush()
    tell(code)
    os._exit(code)
