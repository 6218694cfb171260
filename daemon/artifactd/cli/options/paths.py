"""A file as a person names it: what any command prints, any command takes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from artifactd.artifact import printable
from artifactd.discovery.named import relative

HELP: Final = (
    "Absolute, below the data directory, or below the working directory. Where a file is at both, the data"
    " directory's."
)


def located(
    data_directory: Path, path: str, on_record: Callable[[bytes], bool] = lambda _path: False
) -> bytes | None:
    """`path` relative to the data directory, whose links are resolved; None where it cannot lie below.

    A relative path may begin at the data directory or at the working directory. The first of the two where a
    file is goes; then the first that is `on_record`; then the working directory's. Where a name is not as it
    is printed, for it holds what no person can see, it is found by how it is printed.
    """
    if not path:
        return None
    starts = (path,) if os.path.isabs(path) else (str(data_directory / path), path)  # noqa: PTH117 - of a text
    places = [place for start in starts if (place := relative(data_directory, start)) is not None]
    whole = os.fsencode(data_directory) + b"/"
    there = (place for place in places if os.path.lexists(whole + place))
    recorded = (place for place in places if on_record(place))
    printed = (found for place in places if (found := _as_printed(whole, place)) is not None)
    for choice in (there, recorded, printed, reversed(places)):
        if (chosen := next(iter(choice), None)) is not None:
            return chosen
    return None


def outside(data_directory: Path, path: str) -> str:
    """What to say of a path that cannot lie below the data directory."""
    return f"{printable(path) or 'an empty path'} does not lie below the data directory {data_directory}"


def _as_printed(top: bytes, path: bytes) -> bytes | None:
    """The file whose path is printed as `path`; None where there is none."""
    found: list[bytes] = []
    for part in path.split(b"/"):
        try:
            names = os.listdir(top + b"/".join(found))  # noqa: PTH208 - of bytes
        except OSError:
            return None
        shown = os.fsdecode(part)
        name = part if part in names else next((one for one in names if printable(one) == shown), None)
        if name is None:
            return None
        found.append(name)
    return b"/".join(found)
