"""What one user can do in folders of his own to everybody else."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import trees
from tests.support.process import CSV, Site

MALLORY = "mallory"

_FOLDERS = 20
"""Experiments that many files are spread over."""


def zips_never_whole(site: Site, count: int, name: str = "broken") -> None:
    """So many artifacts that are looked into again and again."""
    for number in range(count):
        file = f"h2oai_experiment_summary_{number}.zip"
        site.write(file, b"not a zip", experiment=f"{name}{number % _FOLDERS}", user=MALLORY)


def artifacts(
    site: Site, count: int, name: str = "small", content: bytes = CSV, folders: int = _FOLDERS
) -> None:
    """So many small artifacts, complete from the start."""
    for number in range(count):
        file = f"h2oai_experiment_{number}_train_predictions.csv"
        site.write(file, content, experiment=f"{name}{number % folders}", user=MALLORY)


def wide(site: Site, experiments: int, directories: int, name: str = "wide") -> None:
    """In each of these experiments so many empty directories, two levels deep."""
    for experiment in range(experiments):
        folder = site.folder(f"{name}{experiment}", MALLORY)
        for number in range(directories):
            (folder / f"{number // 100}" / f"{number}").mkdir(parents=True)


@contextmanager
def deep(site: Site, depth: int, leaves: int, name: str = "deep") -> Iterator[str]:
    """Empty directories at such a depth that no path can name them, for the length of the block.

    Yields the experiment's folder, relative to the data directory.
    """
    folder = site.folder(name, MALLORY)
    folder.mkdir(parents=True)
    with trees.chain(folder, depth, leaves):
        yield str(folder.relative_to(site.data))
