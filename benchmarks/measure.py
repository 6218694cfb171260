"""What a command costs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run of a command, its children included."""

    wall: float
    """seconds"""
    cpu: float
    """seconds, user and system"""
    peak: int
    """bytes of the largest of its processes; about 10 MB are the least that can be told"""


def measured(
    command: Sequence[str], environment: Mapping[str, str] | None = None, said: Path = Path(os.devnull)
) -> Cost:
    """Run the command and measure it. `said` gets what it says, its environment has these variables more.

    Raises:
        RuntimeError: it failed, so its time says nothing.
    """
    launched = [sys.executable, "-I", "-S", str(_LAUNCH), str(said), *command]
    whole = {**os.environ, **(environment or {})}
    told = json.loads(subprocess.run(launched, check=True, stdout=subprocess.PIPE, env=whole).stdout)
    if code := told.pop("code"):
        raise RuntimeError(f"ended with {code}: {' '.join(command)}")
    return Cost(**told)


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        median(cost.wall for cost in costs),
        median(cost.cpu for cost in costs),
        int(median(cost.peak for cost in costs)),
    )


def flush(directory: Path) -> None:
    """Bring what earlier runs wrote to the disk, so that no later run pays for it."""
    subprocess.run(["sync", "--file-system", directory], check=True)
