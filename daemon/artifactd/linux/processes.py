"""What one process is to another."""

import ctypes
import signal
from typing import Final

_SET_PDEATHSIG: Final = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as the one that it was forked from is gone."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
