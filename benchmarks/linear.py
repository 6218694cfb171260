"""Does the cost grow with the files, and with nothing else? Ever more of them to a directory."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import SYNC, configuration
from benchmarks.measure import Cost, flush, measured
from benchmarks.workload import Workload

_SIZE = 1 << 10
_TOGETHER = 100
"""files in a directory, however many there are"""


@dataclass(frozen=True, slots=True)
class Grown:
    """What so many files cost."""

    files: int
    start: Cost
    """of a sync that finds nothing at all"""
    first: Cost
    unchanged: Cost

    def each(self, cost: Cost) -> float:
        """CPU seconds a file, without those of the start."""
        return (cost.cpu - self.start.cpu) / self.files


def figures(home: Path, sizes: Sequence[int]) -> Iterator[Grown]:
    """Export so many files, on the disk of `home`, which is created."""
    home.mkdir()
    (home / "nothing").mkdir()
    _synced(home, home / "nothing", "warm")
    start = min(
        (_synced(home, home / "nothing", f"start-{lap}") for lap in range(3)), key=lambda cost: cost.cpu
    )
    for files in sizes:
        data = home / f"data-{files}"
        Workload(f"{files}", files, _SIZE, files // _TOGETHER).make(data)
        first = _synced(home, data, f"{files}")
        yield Grown(files, start, first, _synced(home, data, f"{files}"))
        shutil.rmtree(data)
        shutil.rmtree(home / f"{files}")


def _synced(home: Path, data: Path, name: str) -> Cost:
    config = home / name / "config.toml"
    if not config.exists():
        configuration(home / name, data, 0.01)
    flush(home)
    return measured([*(part for part in SYNC if part), str(config)])
