"""`python -m benchmarks`: see README.md."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from benchmarks import git, ledger, linear, report, start
from benchmarks.contender import SYNC, configuration
from benchmarks.daemon import figures
from benchmarks.destination import Destination, destinations
from benchmarks.measure import measured
from benchmarks.race import Result, missing, races
from benchmarks.workload import LARGE, MEDIUM, SMALL, Workload

_WORKLOADS = {one.name: one for one in (SMALL, MEDIUM, LARGE)}
_QUICK = {
    "S": Workload("S", 500, 8 << 10, 10),
    "M": Workload("M", 20, 4 << 20, 2),
    "L": Workload("L", 1, 64 << 20, 1),
}
_PARTS = ("directory", "s3", "azure", "seaweed", "linear", "start", "daemon", "ledger", "git")
_DELAYS = (0.0, 30.0)
_GROWN = (5_000, 50_000)
_LONG = 500_000
_WIDE = 200
"""columns, where nobody says how many there are"""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", choices=_PARTS, help="this part; may be repeated, as may the next four")
    add("--size", action="append", choices=tuple(_WORKLOADS), help="race with these files (default: all)")
    add("--delay", action="append", type=float, help="ms until a server that only answers does (0 and 30)")
    add("--tls", action=argparse.BooleanOptionalAction, help="ask it over TLS, or not (default: both)")
    add("--against", action="append", metavar="PEER", help="only peers whose names begin so (default: all)")
    add("--runs", type=int, help="rounds of each race (default: 2 or 3)")
    add("--quick", action="store_true", help="small workloads, one round: does it run at all?")
    add("--long", action="store_true", help=f"let the part linear go on to {_LONG:,} files")
    add("--write", action="store_true", help="put the tables into benchmarks/README.md")
    add("--directory", type=Path, default=Path("build"), help="on the disk to be measured")
    return parser.parse_args()


def main() -> None:
    """Race, measure, tell."""
    options = arguments()
    load = os.getloadavg()[0]
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    options.directory.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=options.directory.resolve()))
    try:
        _as_installed(home)
        sheets = _measure(options, home, console)
        machine = report.machine(home, load)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for sheet in sheets:
        sheet.show(console)
    console.print(machine)
    if options.write:
        report.write("\n".join((machine + "\n", *(sheet.markdown() for sheet in sheets))))


def _as_installed(home: Path) -> None:
    """Let artifactd start as an installed program does, with its byte code at hand, whatever is set here."""
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ["PYTHONPYCACHEPREFIX"] = str(home / "bytecode")
    (home / "nothing").mkdir()
    config = configuration(home / "first", home / "nothing", 0.01)
    measured([str(SYNC[0]), "sync", "--config", str(config)])


def _measure(options: argparse.Namespace, home: Path, console: Console) -> list[report.Sheet]:
    parts = options.only or _PARTS
    secure = (False, True) if options.tls is None else (options.tls,)
    chosen = [one for one in destinations(options.delay or _DELAYS, secure) if one.name in parts]
    for peer in missing(chosen):
        console.print(f"{peer} is not installed: its column stays empty")
    sheets = []
    for _, alike in groupby(chosen, lambda one: one.name):
        results = list(_raced(options, list(alike), home, console))
        sheets += report.sheets(results) if results else []
    if "linear" in parts:
        console.print("measuring: does the cost grow with the files?")
        counts = (500, 1_000) if options.quick else (*_GROWN, *([_LONG] if options.long else []))
        sheets.append(report.linear(linear.figures(home / "linear", counts)))
    if "start" in parts:
        console.print("measuring: the start of commands")
        sheets.append(report.start(start.costs(home / "start", 1 if options.quick else 15)))
    if "daemon" in parts:
        console.print("measuring: the daemon")
        artifacts, idle_seconds = (3, 2.0) if options.quick else (20, 20.0)
        known = not options.quick
        found = figures(home / "daemon", artifacts=artifacts, idle_seconds=idle_seconds, known=known)
        sheets.append(report.daemon(found))
    if "ledger" in parts:
        console.print("measuring: the ledger")
        grown = ledger.figures(home / "ledger", (1_000, 2_000) if options.quick else ledger.SIZES)
        migrated = ledger.migration(home / "older", 1_000 if options.quick else ledger.MIGRATED)
        sheets += report.ledger(grown, migrated)
    if "git" in parts:
        console.print("racing: into a git repository")
        sizes = _QUICK if options.quick else _WORKLOADS
        raced = [lap for name in ("S", "M") for lap in git.laps(sizes[name], home / f"git-{name}")]
        sheets.append(report.git(raced))
    return sheets


def _raced(
    options: argparse.Namespace, alike: Sequence[Destination], home: Path, console: Console
) -> Iterator[Result]:
    for number, destination in enumerate(alike):
        names = [name for name in options.size or _WORKLOADS if name in destination.sizes]
        if names:
            console.print(f"racing {destination.title}{destination.setting}: {', '.join(names)}")
            workloads = [_chosen(options, destination, name) for name in names]
            place = home / f"{destination.name}-{number}"
            yield from races(destination, workloads, place, options.against or ())


def _chosen(options: argparse.Namespace, destination: Destination, name: str) -> tuple[Workload, int]:
    """The workload, and how often it is raced."""
    if options.quick:
        return _QUICK[name], 1
    return _WORKLOADS[name], options.runs or destination.rounds or _WORKLOADS[name].rounds


if __name__ == "__main__":
    main()
