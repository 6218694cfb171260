"""What people name: a file by its path, an experiment by its id."""

import os
from pathlib import Path

from artifactd.decisions.layout import EXPERIMENT
from artifactd.discovery import scan


def relative(data_directory: Path, path: str) -> bytes | None:
    """`path` relative to the data directory, whose links are resolved; None where it does not lie below.

    Links on the way to the data directory are followed, so that it may be named by any of them. None below
    it is: users make those, and the daemon does not follow them either.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() leaves ".." in it
    for above in reversed(whole.parents):
        real = Path(os.path.realpath(above))
        if real.is_relative_to(data_directory):
            return os.fsencode((real / whole.relative_to(above)).relative_to(data_directory))
    return None


def located(data_directory: Path, path: str) -> bytes:
    """`path` as `relative`; where it does not lie below the data directory absolute, or empty as it was."""
    found = relative(data_directory, path) if path else b""
    return os.fsencode(os.path.abspath(path)) if found is None else found  # noqa: PTH100 - as in `relative`


def experiments(data_directory: Path, experiment_id: bytes) -> list[bytes]:
    """The folders of this experiment, of whichever users, relative to the data directory."""
    return list(scan.experiments_called(data_directory, EXPERIMENT + experiment_id.removeprefix(EXPERIMENT)))
