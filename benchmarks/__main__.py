"""`python -m benchmarks`: see README.md."""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import git, report
from benchmarks.contender import ARTIFACTD, configuration
from benchmarks.daemon import figures
from benchmarks.measure import measured
from benchmarks.race import missing, race
from benchmarks.workload import LARGE, MEDIUM, SMALL, Workload

_RACES = {"small": SMALL, "medium": MEDIUM, "large": LARGE}
_QUICK = {"small": Workload("S", 500, 8 << 10, 10), "medium": Workload("M", 20, 4 << 20, 2)}
_PARTS = (*_RACES, "daemon", "git")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=_PARTS, help="this part; may be repeated")
    parser.add_argument("--runs", type=int, help="rounds of each race (default: 3, of the large one 2)")
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
    measured([str(ARTIFACTD.command[0]), "sync", "--config", str(config)])


def _measure(options: argparse.Namespace, home: Path, console: Console) -> list[report.Sheet]:
    parts = options.only or _PARTS
    for peer in missing():
        console.print(f"{peer.name} is not installed: its column stays empty")
    races = _QUICK if options.quick else _RACES
    results = []
    for name in races:
        if name in parts:
            console.print(f"racing: {races[name]}")
            rounds = 1 if options.quick else options.runs or races[name].rounds
            results.append(race(races[name], rounds, home / name))
    sheets = [report.ratios(results), report.costs(results)] if results else []
    if "daemon" in parts:
        console.print("measuring: the daemon")
        artifacts, idle_seconds = (3, 2.0) if options.quick else (20, 20.0)
        known = not options.quick
        found = figures(home / "daemon", artifacts=artifacts, idle_seconds=idle_seconds, known=known)
        sheets.append(report.daemon(found))
    if "git" in parts:
        console.print("racing: into a git repository")
        raced = [lap for name in ("small", "medium") for lap in git.laps(races[name], home / f"git-{name}")]
        sheets.append(report.git(raced))
    return sheets


if __name__ == "__main__":
    main()
