"""What was found, as tables: on the terminal, and in README.md between two marks."""

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.contender import Contender, beside_python, python_of
from benchmarks.daemon import Figures, Idle
from benchmarks.git import Lap
from benchmarks.ledger import Figures as Growth
from benchmarks.ledger import Migration, grown
from benchmarks.linear import Grown
from benchmarks.measure import Cost
from benchmarks.race import STEPS, Result

README = Path(__file__).with_name("README.md")
_MARKED = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> str:
        """For README.md."""
        rows = (self.columns, ("---", *("---:" for _ in self.columns[1:])), *self.rows)
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def sheets(results: Sequence[Result]) -> list[Sheet]:
    """All that was found about destinations of one name."""
    found = [_ratios(results), _costs(results)]
    return [*found, _requests(results)] if results[0].destination.served else found


def _rows(results: Sequence[Result]) -> Iterator[tuple[str, Result, str]]:
    for result in results:
        rounds = "1 round" if result.rounds == 1 else f"{result.rounds} rounds"
        what = f"{result.workload}{result.destination.setting}"
        for step in STEPS:
            if any(result.of(step, one) for one in result.destination.everybody):
                yield f"{what}, {step} ({rounds}, load {median(result.loads):.1f})", result, step


def _ratios(results: Sequence[Result]) -> Sheet:
    peers = results[0].destination.peers
    rows = [
        (name, *(_ratio(result, step, peer) for peer in peers))
        for name, result, step in _rows(results)
        if any(result.of(step, peer) for peer in peers)
    ]
    what = "artifactd's time as a multiple of theirs (below 1: artifactd is faster)"
    return Sheet(_titled(results, what), ("workload", *(peer.name for peer in peers)), rows)


def _ratio(result: Result, step: str, peer: Contender) -> str:
    if not peer.installed:
        return "not installed"
    ratio = result.ratio(step, peer)
    return "-" if ratio is None else f"{ratio:.2f}"


def _costs(results: Sequence[Result]) -> Sheet:
    everybody = results[0].destination.everybody
    rows = [
        (name, *(_cost(result.cost(step, one)) for one in everybody)) for name, result, step in _rows(results)
    ]
    title = _titled(results, "seconds / CPU seconds / peak MB (medians)")
    return Sheet(title, ("workload", *(one.name for one in everybody)), rows)


def _cost(cost: Cost | None) -> str:
    return "-" if cost is None else f"{cost.wall:.2f} / {cost.cpu:.2f} / {cost.peak / 1e6:.0f}"


def _requests(results: Sequence[Result]) -> Sheet:
    everybody = results[0].destination.everybody
    rows = [
        (name, *(_asked(result, step, one) for one in everybody)) for name, result, step in _rows(results)
    ]
    title = _titled(results, "requests / a file / most connections / CPU seconds of the server")
    return Sheet(title, ("workload", *(one.name for one in everybody)), rows)


def _asked(result: Result, step: str, one: Contender) -> str:
    laps = [lap for lap in result.of(step, one) if lap.requests is not None]
    if not laps:
        return "-"
    requests = median(lap.requests or 0 for lap in laps)
    told = f"{requests:,.0f} / {requests / result.workload.files:.3f}"
    served = [lap.serving for lap in laps if lap.serving is not None]
    most = max(lap.connections or 0 for lap in laps)
    return f"{told} / {most} / {median(served):.2f}" if served else told


def _titled(results: Sequence[Result], what: str) -> str:
    return _sentence(f"{results[0].destination.title}: {what}")


def _sentence(title: str) -> str:
    return title[0].upper() + title[1:]


def daemon(found: Figures) -> Sheet:
    """The daemon at work and at rest."""
    rows = [
        ("start of the process → watching", f"{found.start:.2f} s"),
        (
            "close() → proven copy, without the quiet period, median",
            f"{found.typical_latency() * 1e3:.0f} ms",
        ),
        (f"the same, 95th percentile of {len(found.latencies)}", f"{found.slow_latency() * 1e3:.0f} ms"),
        *_idle("idle", found.idle),
    ]
    if found.first is not None:
        rows += [
            (
                "100,000 files of 64 bytes, first sync",
                f"{found.first.wall:.0f} s, {found.first.peak / 1e6:.0f} MB",
            ),
            *_idle("idle with them", found.idle_known),
            ("looking at 100,000 files", f"{found.listing:.2f} s"),
            ("the same, each compared with the ledger", f"{found.looking:.2f} s"),
        ]
    return Sheet("The daemon", ("what", "figure"), rows)


def start(found: Iterable[tuple[str, Cost]]) -> Sheet:
    """Commands that have next to nothing to do."""
    rows: list[tuple[str, ...]] = [
        (name, f"{cost.wall:.3f}", f"{cost.cpu:.3f}", f"{cost.peak / 1e6:.0f}") for name, cost in found
    ]
    return Sheet("The start of a command (medians)", ("command", "seconds", "CPU seconds", "peak MB"), rows)


def linear(found: Iterable[Grown]) -> Sheet:
    """The same cost for each file, however many there are?"""
    rows: list[tuple[str, ...]] = [
        (
            f"{one.files:,} files, {step}",
            f"{cost.cpu:.2f} s",
            f"{one.each(cost) * 1e6:.0f} µs",
            f"{cost.peak / 1e6:.0f} MB",
        )
        for one in found
        for step, cost in (("first sync", one.first), (STEPS[1], one.unchanged))
    ]
    title = "As the files grow more: files of 1 KiB to a directory"
    return Sheet(title, ("files", "CPU", "CPU a file, without the start", "peak"), rows)


def git(laps: Sequence[Lap]) -> Sheet:
    """Into a git repository."""
    rows: list[tuple[str, ...]] = [
        (
            f"{lap.workload}, {lap.into} repository, {lap.way}",
            f"{lap.cost.wall:.1f} s",
            f"{lap.cost.cpu:.1f} s",
            f"{lap.cost.peak / 1e6:.0f} MB",
            f"{lap.disk / 1e6:.0f} MB",
        )
        for lap in laps
    ]
    return Sheet("Into a git repository", ("workload", "wall", "CPU", "peak", "clone on disk"), rows)


def ledger(found: Sequence[Growth], migrated: Migration) -> list[Sheet]:
    """The ledger as it grows, and ten million copies by calculation."""
    sizes = [f"{round(one.copies, -4):,}" for one in found]
    columns = ("what", *sizes, *([f"{_MANY_COPIES:,}, by calculation"] if len(found) > 1 else []))
    rows = []
    for what, figure, told in _LEDGER:
        values = [figure(one) for one in found]
        if len(found) > 1:
            values.append(grown(found, _MANY_COPIES, figure))
        rows.append((what, *(told.format(value) for value in values)))
    steps: list[tuple[str, ...]] = [
        ("file", f"{migrated.before / 1e6:.0f} → {migrated.after / 1e6:.0f} MB"),
        ("time", f"{migrated.seconds:.1f} s"),
        ("memory", f"{migrated.peak / 1e6:.0f} MB"),
    ]
    older = Sheet(
        f"A ledger of schema 2 with {migrated.copies:,} copies, migrated", ("what", "figure"), steps
    )
    return [Sheet("The ledger, by copies", columns, rows), older]


_MANY_COPIES = 10_000_000
_LEDGER: tuple[tuple[str, Callable[[Growth], float], str], ...] = (
    ("file", lambda one: one.bytes / 1e9, "{:.2f} GB"),
    ("a copy with its two entries", lambda one: one.bytes / one.copies, "{:.0f} bytes"),
    ("open it, nothing in the page cache", lambda one: one.cold * 1e3, "{:.0f} ms"),
    ("open it again", lambda one: one.warm * 1e3, "{:.0f} ms"),
    ("all that is asked at a start: CPU", lambda one: one.asked * 1e3, "{:.1f} ms"),
    ("memory, opened and checked in part", lambda one: one.resident / 1e6, "{:.0f} MB"),
    ("count the copies: CPU", lambda one: one.counted * 1e6, "{:.0f} µs"),
    ("a step of the check, 99th percentile: CPU", lambda one: one.step * 1e3, "{:.1f} ms"),
    ("a whole pass of the check: CPU", lambda one: one.checked, "{:.0f} s"),
    ("read all rows: CPU", lambda one: one.listed, "{:.0f} s"),
    ("read the record: CPU", lambda one: one.audited, "{:.0f} s"),
    ("put a change on record, one at a time: CPU", lambda one: one.one * 1e6, "{:.0f} µs"),
    ("the same, 256 at a time", lambda one: one.many * 1e6, "{:.0f} µs"),
)


def _idle(what: str, idle: Idle | None) -> list[tuple[str, ...]]:
    if idle is None:
        return []
    return [(f"{what}: CPU", f"{idle.cpu:.2%}"), (f"{what}: memory", f"{idle.resident / 1e6:.0f} MB")]


def machine(home: Path, load: float) -> str:
    """What it was measured on, in a sentence. `load`: the load average before anything was started."""
    find = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(home)]
    kind = subprocess.run(find, check=True, capture_output=True, text=True).stdout
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for peer, question in _VERSIONS.items():
        versions += _version(peer, question)
    if python := python_of("obstore"):
        versions.append(f"obstore {Path(python).parts[-3]}")
    cores = len(os.sched_getaffinity(0))
    return (
        f"Linux {platform.release()}, {platform.machine()}, {cores} cores, {kind.strip()};"
        f" {', '.join(versions)}. Load average before: {load:.2f}."
    )


_VERSIONS = {
    "rclone": "version",
    "rsync": "--version",
    "cp": "--version",
    "s5cmd": "version",
    "aws": "--version",
    "azcopy": "--version",
    "weed": "version",
}


def _version(name: str, question: str) -> list[str]:
    program = beside_python(name)
    if program is None:
        return []
    said = subprocess.run([program, question], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return [f"{name} {found.group()}"] if found else []


def write(text: str) -> None:
    """Put the results into README.md."""
    before = README.read_text(encoding="utf-8")
    after, count = _MARKED.subn(lambda _: f"\n{text}\n", before)
    if count != 1:
        raise RuntimeError(f"{README.name} has lost its marks")
    README.write_text(after, encoding="utf-8")
