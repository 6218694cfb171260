"""Trees that no path can name, and files that never rest."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def chain(directory: Path, length: int, leaves: int = 0) -> Iterator[Path]:
    """So many directories in each other, for the length of the block: Python itself could not delete them.

    The last one holds so many `leaves`, which are empty directories.
    """
    first = directory / "d"
    here = os.open(directory, os.O_RDONLY)
    for _ in range(length):
        os.mkdir("d", dir_fd=here)
        above, here = here, os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(above)
    for number in range(leaves):
        os.mkdir(str(number), dir_fd=here)
    os.close(here)
    try:
        yield first
    finally:
        remove(first)


@contextmanager
def beneath(directory: Path) -> Iterator[int]:
    """It, open for the length of the block."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)


def remove(tree: Path) -> None:
    """Delete it, however deep it is."""
    subprocess.run(["rm", "-rf", tree], check=True)


_FLOOD = """
import os, sys
old, new = sys.argv[1] + "/old" + sys.argv[2], sys.argv[1] + "/new" + sys.argv[2]
while True:
    os.close(os.open(old, os.O_CREAT | os.O_WRONLY))
    os.rename(old, new)
"""


@contextmanager
def flood(directory: Path) -> Iterator[None]:
    """Two processes make and rename a file in a loop, for the length of the block."""
    started = [
        subprocess.Popen([sys.executable, "-c", _FLOOD, str(directory), number]) for number in ("1", "2")
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
