"""What people name: a file by its path, an experiment by its id."""

import os
from pathlib import Path

from artifactd.decisions.layout import EXPERIMENT
from artifactd.discovery import scan


def relative(data_directory: Path, path: str) -> bytes | None:
    """`path` relative to the data directory, whose links are resolved; None where it does not lie below.

    Links on the way to `path` are followed, so that it may be named by any of them; its last part never is.
    """
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() leaves ".." in it
    inside = Path(os.path.realpath(folder), name)
    if inside == data_directory or not inside.is_relative_to(data_directory):
        return None
    return os.fsencode(inside.relative_to(data_directory))


def experiments(data_directory: Path, experiment_id: bytes) -> list[bytes]:
    """The folders of this experiment, of whichever users, relative to the data directory."""
    return list(scan.experiments_called(data_directory, EXPERIMENT + experiment_id.removeprefix(EXPERIMENT)))
