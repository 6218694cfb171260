"""Destinations that take names which differ only in case for one: shares of Windows and macOS, vfat.

What is met there at a name may be another artifact's, or another user's. The directory's own list tells: it
has each name as it was given.
"""

import os
from collections.abc import Collection
from unicodedata import normalize

from artifactd.stores.base import Conflict

_MEND = (
    "Give one of the two another name (by `as` of a rule, with artifactd.ignore_case = true), or export to a "
    "directory that tells case apart"
)


def folds_case(directory: int, name: bytes) -> bool:
    """Whether the directory, which has an entry `name`, has it under its name in other case, too.

    Inodes do not tell: shares may number each name apart.

    Raises:
        OSError: it cannot be listed.
    """
    other = name.swapcase()
    try:
        os.stat(other, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return not {os.fsdecode(name), os.fsdecode(other)}.issubset(os.listdir(directory))


def demand(directory: int, name: bytes, what: str) -> None:
    """See that what the directory was found to have as `name` is not there under another name.

    Raises:
        Conflict: it is. `what` is what the error speaks of.
        OSError: the directory cannot be listed.
    """
    if (other := other_spelling(os.fsdecode(name), os.listdir(directory))) is not None:
        raise Conflict(f"this destination takes the name for {other}, which is there. {_MEND}", what)


def other_spelling(name: str, listed: Collection[str]) -> str | None:
    """What a name that was found is listed as; None: as itself.

    A file system may compose and decompose characters (macOS): that is the same name.
    """
    if normalize("NFC", name) in {normalize("NFC", one) for one in listed}:
        return None
    return next((one for one in listed if _folded(one) == _folded(name)), "another name")


def _folded(name: str) -> str:
    return normalize("NFC", name.casefold())
