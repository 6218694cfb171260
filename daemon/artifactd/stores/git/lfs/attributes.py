"""The lines of a `.gitattributes` that give a plain clone the very bytes, and make it fetch LFS files. Pure.

The uppermost folder that is artifactd's has a rule for all below it: nothing is converted at a checkout,
whatever others' rules or a person's settings (core.autocrlf) say. Each folder with LFS files has one line
for each such file. Lines that artifactd did not write stay; among two that speak of one file the last counts,
and a folder's own count more than those of a folder above it (gitattributes(5)).
"""

import re
from collections.abc import Collection
from typing import Final

NAME: Final = ".gitattributes"
RULE: Final = b"* -text -ident -filter -working-tree-encoding"
"""For all in a folder, and below it."""
_ATTRIBUTES: Final = b" filter=lfs diff=lfs merge=lfs -text"
_GLOB: Final = re.compile(r"([\\*?\[\]])")


def edited(content: bytes, *, large: Collection[str], plain: Collection[str], own: bool = False) -> bytes:
    """`content` with a line for each name in `large` and none of ours for the names in `plain`.

    The rule for all stands there, too, where the folder is the uppermost `own` one or others have rules.
    """
    there = [line for line in content.split(b"\n") if line]
    others = [line for line in there if line != RULE and not _is_line(line)]
    named = {line for line in there if _is_line(line)} - {_line(name) for name in plain}
    rule = [RULE] if own or others else []
    lines = [*others, *rule, *sorted(named | {_line(name) for name in large})]
    # Nothing of ours to change: not even a missing last newline is mended.
    return content if lines == there else b"".join(line + b"\n" for line in lines)


def _is_line(line: bytes) -> bool:
    """Whether it is one of ours for one file."""
    return line.startswith(b'"/') and line.endswith(_ATTRIBUTES)


def _line(name: str) -> bytes:
    """The line for one file of the same folder: anchored by "/", its glob characters escaped, in C quotes."""
    pattern = "/" + _GLOB.sub(r"\\\1", name)
    return b'"' + pattern.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"' + _ATTRIBUTES
