"""The trees that are copied."""

import os
from dataclasses import dataclass
from pathlib import Path

EXPERIMENT = Path("ann", "h2oai_experiment_bench")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Workload:
    """So many files of one size."""

    name: str
    files: int
    size: int
    """bytes of each"""
    directories: int
    rounds: int = 3
    """how often it is raced unless it is said otherwise"""

    def __str__(self) -> str:
        size = f"{self.size >> 10} KiB" if self.size < _BLOCK else f"{self.size >> 20} MiB"
        return f"{self.name}: {self.files:,} x {size}"

    def path(self, data: Path, number: int) -> Path:
        """One of the files."""
        return data / EXPERIMENT / f"part_{number % self.directories:03}" / f"{number:06}.csv"

    def make(self, data: Path) -> None:
        """Write the tree. Its bytes cannot be compressed, and no two files are alike."""
        for number in range(self.directories):
            self.path(data, number).parent.mkdir(parents=True)
        for number in range(self.files):
            self.write(data, number)

    def write(self, data: Path, number: int) -> None:
        """Give one file other bytes."""
        with self.path(data, number).open("wb") as file:
            for start in range(0, self.size, _BLOCK):
                file.write(os.urandom(min(_BLOCK, self.size - start)))


SMALL = Workload("S", 5_000, 8 << 10, 100)
MEDIUM = Workload("M", 200, 4 << 20, 4)
LARGE = Workload("L", 2, 2 << 30, 1, rounds=2)
KNOWN = Workload("known", 100_000, 64, 1_000)
"""What a daemon has exported long ago."""
