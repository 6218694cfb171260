"""The small file that stands in git for a large one in LFS (git-lfs, docs/spec.md). Pure."""

import re
from dataclasses import dataclass
from typing import Final

from artifactd.artifact import Digest

LONGEST: Final = 1024
"""bytes; a pointer is always shorter"""

_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,18})\n"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file in LFS."""

    digest: Digest
    """which LFS calls it by"""
    size: int
    """bytes"""

    @property
    def content(self) -> bytes:
        """What stands in git."""
        lines = (
            "version https://git-lfs.github.com/spec/v1",
            f"oid sha256:{self.digest}",
            f"size {self.size}",
        )
        return "".join(f"{line}\n" for line in lines).encode()


def parse(content: bytes) -> Pointer | None:
    """The pointer that `content` is; None where it is none."""
    if len(content) >= LONGEST or not (found := _POINTER.fullmatch(content)):
        return None
    return Pointer(Digest(found["oid"].decode()), int(found["size"]))
