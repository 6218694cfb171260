"""The daemon at work and at rest: how soon a copy is proven, and what it costs to wait."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from artifactd.discovery import scan
from benchmarks.contender import SYNC, configuration
from benchmarks.measure import Cost, measured
from benchmarks.workload import EXPERIMENT, KNOWN

QUIET_SECONDS = 0.2
_SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Idle:
    """A daemon that has nothing to do."""

    cpu: float
    """share of one core"""
    resident: int
    """bytes"""


@dataclass(slots=True)
class Figures:
    """Of the daemon."""

    start: float = 0.0
    """seconds from the start of the process to a daemon that watches: systemd's READY"""
    latencies: list[float] = field(default_factory=list)
    """seconds from close() to the copy that is proven and on record, without the quiet period"""
    idle: Idle | None = None
    idle_known: Idle | None = None
    first: Cost | None = None
    """of the sync that made the many files known"""
    listing: float = 0.0
    """seconds to look at the many files"""
    looking: float = 0.0
    """seconds to look at them and to compare each with the ledger"""

    def typical_latency(self) -> float:
        """The median in seconds."""
        return median(self.latencies)

    def slow_latency(self) -> float:
        """The 95th percentile in seconds."""
        return quantiles(self.latencies, n=20)[-1]


def figures(home: Path, *, artifacts: int, idle_seconds: float, known: bool) -> Figures:
    """Measure the daemon on the disk of `home`, which it creates; `known`: with 100,000 files, too."""
    found = Figures()
    data = home / "data"
    folder = data / EXPERIMENT
    folder.mkdir(parents=True)
    config = configuration(home / "small", data, QUIET_SECONDS)
    began = time.monotonic()
    with running(config) as daemon:
        daemon.until("daemon.started")
        found.start = time.monotonic() - began
        daemon.until("scan.finished")
        found.latencies = [_latency(daemon, folder / f"{number}.csv") for number in range(artifacts)]
        found.idle = daemon.idle(idle_seconds)
    if known:
        _known(found, home, idle_seconds)
    return found


def _known(found: Figures, home: Path, idle_seconds: float) -> None:
    data = home / "known"
    KNOWN.make(data)
    config = configuration(home / "large", data, 0.01)
    found.first = measured([*(part for part in SYNC if part), str(config)])
    began = time.monotonic()
    for _ in scan.scan(data):
        pass
    found.listing = time.monotonic() - began
    with running(config) as daemon:
        found.looking = daemon.until("scan.finished")["seconds"]
        found.idle_known = daemon.idle(idle_seconds)


class _Daemon:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def until(self, event: str, **fields: str) -> Mapping[str, Any]:
        """The next line of the log that says this."""
        for text in self._process.stdout or ():
            line: Mapping[str, Any] = json.loads(text)
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items()):
                return line
        raise RuntimeError(f"the daemon ended before {event}")

    def idle(self, seconds: float) -> Idle:
        """What it costs to do nothing for so long."""
        time.sleep(_SETTLE_SECONDS)
        before = self._cpu_seconds()
        time.sleep(seconds)
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return Idle((self._cpu_seconds() - before) / seconds, int(pages) * os.sysconf("SC_PAGESIZE"))

    def _cpu_seconds(self) -> float:
        """Of all its threads, to the nanosecond; the better known count has steps of 10 ms."""
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


@contextmanager
def running(config: Path) -> Iterator[_Daemon]:
    program = str(SYNC[0])
    with subprocess.Popen([program, "run", "--config", config], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Daemon(process)
        finally:
            process.terminate()


def _latency(daemon: _Daemon, path: Path) -> float:
    path.write_bytes(bytes(8 << 10) + path.name.encode())
    closed = time.monotonic()
    daemon.until("artifact.exported", source=str(EXPERIMENT / path.name))
    return time.monotonic() - closed - QUIET_SECONDS
