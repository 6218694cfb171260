"""`python -m benchmarks`: see README.md."""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import git, ledger, report, start
from benchmarks.contender import SYNC, configuration
from benchmarks.daemon import figures
from benchmarks.destination import DESTINATIONS, FILE_SYSTEM, Destination
from benchmarks.measure import measured
from benchmarks.race import missing, races
from benchmarks.workload import LARGE, MEDIUM, SMALL, Workload

_WORKLOADS = {"small": SMALL, "medium": MEDIUM, "large": LARGE}
_QUICK = {
    "small": Workload("S", 500, 8 << 10, 10),
    "medium": Workload("M", 20, 4 << 20, 2),
    "large": Workload("L", 1, 64 << 20, 1),
}


def _part(destination: Destination, workload: str) -> str:
    return workload if destination is FILE_SYSTEM else f"{destination.name}-{workload}"


_PARTS = (
    *(_part(one, workload) for one in DESTINATIONS for workload in one.races),
    "start",
    "daemon",
    "ledger",
    "git",
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=_PARTS, help="this part; may be repeated")
    parser.add_argument("--runs", type=int, help="rounds of each race (default: 1 to 3)")
    parser.add_argument(
        "--quick", action="store_true", help="small workloads, one round: does it run at all?"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    parser.add_argument("--directory", type=Path, default=Path("build"), help="on the disk to be measured")
    return parser.parse_args()


def main() -> None:
    """Race, measure, tell."""
    options = arguments()
    console = Console()
    options.directory.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=options.directory.resolve()))
    try:
        _as_installed(home)
        sheets = _measure(options, home, console)
        machine = report.machine(home)
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
    for peer in missing():
        console.print(f"{peer.name} is not installed: its column stays empty")
    sheets = []
    for destination in DESTINATIONS:
        names = [name for name in destination.races if _part(destination, name) in parts]
        if names:
            console.print(f"racing {destination.title}: {', '.join(names)}")
            workloads = [_chosen(options, destination, name) for name in names]
            results = list(races(destination, workloads, home / destination.name))
            sheets += report.sheets(destination, results)
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
        raced = [lap for name in ("small", "medium") for lap in git.laps(sizes[name], home / f"git-{name}")]
        sheets.append(report.git(raced))
    return sheets


def _chosen(options: argparse.Namespace, destination: Destination, name: str) -> tuple[Workload, int]:
    """The workload, and how often it is raced."""
    if options.quick:
        return _QUICK[name], 1
    return _WORKLOADS[name], options.runs or destination.rounds or _WORKLOADS[name].rounds


if __name__ == "__main__":
    main()
