"""What one user can do in folders of his own to everybody else."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import trees
from tests.support.process import CSV, Site

MALLORY = "mallory"

_FOLDERS = 20
"""Experiments that many files are spread over."""


def zips_never_whole(site: Site, count: int) -> None:
    """So many artifacts that are looked into again and again."""
    _write(site, "broken", count, "h2oai_experiment_summary_{}.zip", b"not a zip")


def artifacts(site: Site, count: int, name: str = "small", content: bytes = CSV) -> None:
    """So many small artifacts, complete from the start."""
    _write(site, name, count, "h2oai_experiment_{}_train_predictions.csv", content)


def _write(site: Site, experiment: str, count: int, name: str, content: bytes) -> None:
    for number in range(count):
        folder = f"{experiment}{number % _FOLDERS}"
        site.write(name.format(number), content, experiment=folder, user=MALLORY)


def wide(site: Site, experiments: int, directories: int) -> None:
    """In each of these experiments so many empty directories, two levels deep."""
    for experiment in range(experiments):
        folder = site.folder(f"wide{experiment}", MALLORY)
        for number in range(directories):
            (folder / f"{number // 100}" / f"{number}").mkdir(parents=True)


@contextmanager
def deep(site: Site, depth: int, leaves: int) -> Iterator[str]:
    """Empty directories at such a depth that no path can name them, for the length of the block.

    Yields the experiment's folder, relative to the data directory.
    """
    folder = site.folder("deep", MALLORY)
    folder.mkdir(parents=True)
    with trees.chain(folder, depth, leaves):
        yield str(folder.relative_to(site.data))
