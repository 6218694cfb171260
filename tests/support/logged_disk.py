"""Disks that log what they are told: their power can be cut at any moment of their life, again and again.

A file system of ours (FUSE, a process of its own) holds the disks, each a file below a loop device. Every
write and flush is logged in its order, and between them what the test acknowledges. A disk after a cut
has what was flushed before it, and of what was written since none, all, some, or some sectors: a disk may
keep those in any order.
"""

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from tests.support.process import until

MKFS = {
    "ext4": ("64M", ["mkfs.ext4", "-q"]),
    "xfs": ("320M", ["mkfs.xfs", "-q"]),  # the least that it makes is 300 MB
    "btrfs": ("128M", ["mkfs.btrfs", "-q"]),
}
"""file system → size of the disk, command that makes it"""

SECTOR = 512  # bytes that a disk writes whole or not at all

Kept = Literal["none", "all", "some", "sectors"]
"""What a disk keeps of the writes that were not flushed."""


class What(IntEnum):
    """What a line of the log tells."""

    WRITTEN = 0
    FLUSHED = 1
    MARKED = 2


@dataclass(frozen=True)
class Step:
    """A line of the log."""

    what: What
    disk: int = 0
    where: int = 0
    """bytes from the beginning of the disk"""
    content: bytes = b""


@dataclass(frozen=True)
class Cut:
    """The power fails when so many steps were taken."""

    at: int
    kept: Kept
    seed: int
    flushes: bool = True
    """whether the disk did what it was told when it was flushed"""


HEAD = struct.Struct("<BBQI")
"""of a step in the log, before its content"""


def packed(step: Step) -> bytes:
    return HEAD.pack(step.what, step.disk, step.where, len(step.content)) + step.content


def unpacked(log: bytes) -> Iterator[Step]:
    at = 0
    while at < len(log):
        what, disk, where, length = HEAD.unpack_from(log, at)
        at += HEAD.size + length
        yield Step(What(what), disk, where, log[at - length : at])


class LoggedDisks:
    """Disks with file systems, mounted at `roots` while the block lasts. Log and cuts last longer."""

    def __init__(self, base: Path, kind: str, number: int) -> None:
        self._fuse, self._log = base / "fuse", base / "log"
        self.roots = [base / f"disk{disk}" for disk in range(number)]
        self._made = [root.with_suffix(".made") for root in self.roots]  # the disks before their first step
        for directory in (self._fuse, *self.roots):
            directory.mkdir()
        size, command = MKFS[kind]
        for made in self._made:
            subprocess.run(["truncate", "-s", size, made], check=True)
            subprocess.run([*command, made], check=True, capture_output=True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        images = [copied(made, made.with_suffix(".image")) for made in self._made]
        module = ("-m", "tests.support.disk_server")
        program = (sys.executable, *module, *map(str, (self._fuse, self._log, *images)))
        process = self._stack.enter_context(subprocess.Popen(program))
        self._stack.callback(lambda: subprocess.run(["umount", self._fuse], check=True))
        until(lambda: (self._fuse / "mark").exists() or process.poll() is not None, "the disks are served")
        for disk, root in enumerate(self.roots):
            self._stack.enter_context(mounted(self._fuse / str(disk), root))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def mark(self, what: str) -> None:
        """Log that this is acknowledged: all that it needs has to be flushed by now."""
        with (self._fuse / "mark").open("wb", buffering=0) as mark:
            mark.write(what.encode())

    def steps(self) -> list[Step]:
        """The log so far."""
        return list(unpacked(self._log.read_bytes()))

    @contextmanager
    def after(self, cut: Cut, steps: Sequence[Step]) -> Iterator[None]:
        """The disks as this cut leaves them, mounted where they were, while the block lasts."""
        chance = random.Random(cut.seed)  # noqa: S311 - which sectors a disk keeps is no secret
        with ExitStack() as stack:
            for disk, (root, made) in enumerate(zip(self.roots, self._made, strict=True)):
                image = copied(made, made.with_suffix(".cut"))
                with image.open("r+b", buffering=0) as file:
                    for where, content in left(disk, cut, steps, chance):
                        os.pwrite(file.fileno(), content, where)
                stack.enter_context(mounted(image, root))
            yield


def left(disk: int, cut: Cut, steps: Sequence[Step], chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """What is on the disk after the cut: where, and which bytes, in the order in which they were written."""
    own = [step for step in steps[: cut.at] if step.disk == disk and step.what is not What.MARKED]
    flushes = [number for number, step in enumerate(own) if step.what is What.FLUSHED]
    flushed = flushes[-1] if flushes and cut.flushes else 0
    for number, step in enumerate(own):
        if number < flushed or cut.kept == "all" or (cut.kept == "some" and chance.getrandbits(1)):
            yield step.where, step.content
        elif cut.kept == "sectors":
            for begin, end in pairwise([*range(0, len(step.content), SECTOR), len(step.content)]):
                if chance.getrandbits(1):
                    yield step.where + begin, step.content[begin:end]


def copied(source: Path, target: Path) -> Path:
    """A copy of a file with holes."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    return target


@contextmanager
def mounted(disk: Path, root: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", disk, root], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", root], check=True)
