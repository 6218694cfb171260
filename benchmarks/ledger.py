"""The ledger with a million copies: its size, its start, its commits, and the check of the whole of it."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from artifactd.decisions.lifecycle import Change, State
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.rows import COLUMNS, encoded
from artifactd.ledger.schema import FILE, MIGRATIONS, connect, make
from tests.support.copies import BEGAN, CONTEXT, copy, export, proven, started

SIZES = (200_000, 1_000_000, 2_000_000)
MIGRATED = 200_000
_CHECKED = 64  # as the daemon does
_OTHERS = 100_000_000
"""Where the numbers of copies begin that are there only to be recorded once more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a ledger with so many proven copies, each with its two entries.

    Times are in seconds: to open it on the clock, all others of the processor, which others use as well.
    """

    copies: int
    bytes: int
    cold: float
    """to open it, with nothing of it in the page cache"""
    warm: float
    resident: float
    """bytes of a process that has opened it, asked what a start asks, checked 100,000 rows"""
    asked: float
    """for what is asked at a start: what was interrupted, what is due, the counts, which stores are used"""
    counted: float
    step: float
    """of the check, 99th percentile"""
    longest: float
    checked: float
    """for a pass over the whole"""
    listed: float
    """to read all rows"""
    audited: float
    """to read the record"""
    one: float
    """a change of a batch of one"""
    many: float
    """a change of a batch of 256"""


@dataclass(frozen=True, slots=True)
class Migration:
    """From schema 2."""

    copies: int
    seconds: float
    peak: float
    before: int
    """bytes of the ledger"""
    after: int


def figures(home: Path, sizes: Sequence[int] = SIZES) -> list[Figures]:
    """Measure one ledger as it grows."""
    home.mkdir(parents=True, exist_ok=True)
    found, before = [], 0
    for size in sizes:
        ledger = Ledger.open(home, CONTEXT)
        for _ in export(ledger, range(before, size)):
            pass
        copies, before = sum(ledger.count().values()), size
        ledger.close()
        found.append(Figures(copies, (home / FILE).stat().st_size, **_child("look", home)))
    return found


def migration(home: Path, copies: int = MIGRATED) -> Migration:
    """Migrate a ledger of schema 2 that says what one of now says."""
    new, old = home / "new", home / "old"
    ledger = Ledger.open(new, CONTEXT)
    for _ in export(ledger, range(copies)):
        pass
    as_schema_2(ledger, old)
    ledger.close()
    before = (old / FILE).stat().st_size
    return Migration(copies, before=before, **_child("migrate", old), after=(old / FILE).stat().st_size)


def as_schema_2(ledger: Ledger, directory: Path) -> None:
    """A ledger of schema 2 with the same rows and lines, by its own SQL."""
    make(directory / FILE)
    db = connect(directory / FILE)
    for script in MIGRATIONS[:2]:
        if isinstance(script, str):
            db.executescript(script)
    db.execute("PRAGMA user_version = 2")
    db.execute("BEGIN")
    write = f"INSERT INTO copies ({COLUMNS}, hash) VALUES ({'?, ' * 21}?)"  # noqa: S608 - constants
    db.executemany(write, (encoded(row) for row in ledger.rows()))
    entries = ((entry.seq, entry.line, entry.hash) for entry in ledger.entries())
    db.executemany("INSERT INTO events VALUES (?, ?, ?)", entries)
    db.execute("COMMIT")
    db.close()


def grown(found: Sequence[Figures], copies: int, figure: Callable[[Figures], float]) -> float:
    """The figure with so many copies: the line through the last two goes on; where it falls, the last."""
    before, last = found[-2:]
    slope = (figure(last) - figure(before)) / (last.copies - before.copies)
    return figure(last) + max(slope, 0.0) * (copies - last.copies)


# --- in a process of its own, whose memory is nobody else's ---


def _child(what: str, directory: Path) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, what, str(directory)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told


def _timed(act: Callable[[], object]) -> float:
    began = time.thread_time()
    act()
    return time.thread_time() - began


def _opened(directory: Path) -> float:
    began = time.monotonic()
    Ledger.open(directory, CONTEXT).close()
    return time.monotonic() - began


def _look(directory: Path) -> dict[str, float]:
    fd = os.open(directory / FILE, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    cold, warm = _opened(directory), _opened(directory)
    ledger = Ledger.open(directory, CONTEXT)
    asked = _timed(lambda: _starting(ledger))
    counted = _timed(ledger.count_by_store)
    steps = [_timed(lambda: ledger.check_on(_CHECKED)) for _ in range(100_000 // _CHECKED)]
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
        "SC_PAGESIZE"
    )
    whole = False

    def step() -> None:
        nonlocal whole
        whole = ledger.check_on(_CHECKED)

    while not whole:
        steps.append(_timed(step))
    found = {
        "cold": cold,
        "warm": warm,
        "asked": asked,
        "counted": counted,
        "resident": resident,
        "step": quantiles(steps, n=100)[-1],
        "longest": max(steps),
        "checked": sum(steps),
        "listed": _timed(lambda: sum(1 for _ in ledger.rows())),
        "audited": _timed(lambda: sum(1 for _ in ledger.entries())),
    }
    found["one"] = _recording(ledger, 1, 500)
    found["many"] = _recording(ledger, 256, 2560)
    ledger.close()
    return found


def _recording(ledger: Ledger, at_once: int, copies: int) -> float:
    """Seconds for a change. The copies are ready before the clock starts; they stay in the ledger."""
    first = _OTHERS + sum(ledger.count().values())
    batches = [range(start, start + at_once) for start in range(first, first + copies, at_once)]
    begun = [[Change(copy(number), started(number)) for number in batch] for batch in batches]
    ends = [[proven(number) for number in batch] for batch in batches]
    began = time.thread_time()
    for starts, proofs in zip(begun, ends, strict=True):
        recorded = ledger.record(starts, BEGAN)
        ledger.record([Change(item.row, end) for item, end in zip(recorded, proofs, strict=True)], BEGAN)
    return (time.thread_time() - began) / copies / 2


def _starting(ledger: Ledger) -> None:
    list(ledger.rows(states=[State.UPLOADING]))
    ledger.due(time.time(), ["s3"], 256)
    ledger.count()
    ledger.used("s3")
    ledger.used("azure")
    ledger.knows("s3", copy(7).key)


def _migrate(directory: Path) -> dict[str, float]:
    return {
        "seconds": _opened(directory),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    }


if __name__ == "__main__":
    print(json.dumps({"look": _look, "migrate": _migrate}[sys.argv[1]](Path(sys.argv[2]))))
