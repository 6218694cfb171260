"""Serves a directory as a file system that hangs as soon as a file `hang` lies in it: nothing is answered.

That it was asked something then is written there.

A program of its own, `python -m tests.support.hanging_disk BEHIND MOUNT`: mfusepy wants libfuse as soon as it
is imported. A call that hangs there ends for no signal, only when `hang` is gone.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import mfusepy  # type: ignore[import-untyped]  # it has no types

from tests.support.folding_disk import Folding


class Hanging(Folding):
    """What lies below `behind`, as long as it answers."""

    def _at(self, path: str) -> Path:
        while (hang := self._behind / "hang").exists():
            with suppress(FileNotFoundError), hang.open("r+") as file:
                file.write("asked")
            time.sleep(0.01)
        return super()._at(path)


if __name__ == "__main__":
    mfusepy.FUSE(Hanging(Path(sys.argv[1])), sys.argv[2], foreground=True, attr_timeout=0, entry_timeout=0)
