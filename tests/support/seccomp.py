"""Starts a program for which the kernel does not have some of its calls, as a service's sandbox has it.

As a prefix of a command line, see `without`; the filter passes to the program with exec(2).
"""

import ctypes
import errno
import os
import struct
import sys
from typing import Final

OPENAT2: Final = "openat2"
INOTIFY: Final = "inotify"

_NUMBERS: Final = {
    (OPENAT2, "x86_64"): (437,),
    (OPENAT2, "aarch64"): (437,),
    (INOTIFY, "x86_64"): (253, 294),  # inotify_init and inotify_init1
    (INOTIFY, "aarch64"): (26,),
}
"""Of the system calls, by machine."""

_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2  # prctl(2)
_LOAD_NUMBER, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/filter.h; seccomp_data begins with the number
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def without(call: str) -> tuple[str, ...]:
    """What starts a command to which this call answers ENOSYS."""
    return (sys.executable, "-P", __file__, call)


def forbid(call: str) -> None:
    """From now on the call answers ENOSYS, in this process and in all that it starts."""
    steps = [(_LOAD_NUMBER, 0, 0, 0)]
    for number in _NUMBERS[call, os.uname().machine]:
        steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    program = _Program(len(steps), code)
    for arguments in ((_SET_NO_NEW_PRIVS, 1, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program))):
        if prctl(*arguments, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    forbid(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command that it was given, as env(1) does
