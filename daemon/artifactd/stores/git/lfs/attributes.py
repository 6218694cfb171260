"""The lines of a `.gitattributes` that make a plain clone fetch LFS files. Pure.

Each folder with LFS files has a `.gitattributes` of its own, one line for each such file, so that nobody
else's rules are touched. Lines that artifactd did not write stay where they are (gitattributes(5)).
"""

import re
from collections.abc import Collection
from typing import Final

NAME: Final = ".gitattributes"
_ATTRIBUTES: Final = b" filter=lfs diff=lfs merge=lfs -text"
_GLOB: Final = re.compile(r"([\\*?\[\]])")


def edited(content: bytes, *, large: Collection[str], plain: Collection[str]) -> bytes:
    """`content` with a line for each name in `large` and none of ours for the names in `plain`."""
    ours = {_line(name) for name in (*large, *plain)}
    kept = [line for line in content.split(b"\n") if line and line not in ours]
    lines = [*kept, *sorted(_line(name) for name in large)]
    # Nothing of ours to change: not even a missing last newline is mended.
    if sorted(lines) == sorted(line for line in content.split(b"\n") if line):
        return content
    return b"".join(line + b"\n" for line in lines)


def _line(name: str) -> bytes:
    """The line for one file of the same folder: anchored by "/", its glob characters escaped, in C quotes."""
    pattern = "/" + _GLOB.sub(r"\\\1", name)
    return b'"' + pattern.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"' + _ATTRIBUTES
