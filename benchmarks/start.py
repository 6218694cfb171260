"""What a command takes to start, where there is next to nothing to do: beside Python itself."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.contender import SYNC, configuration
from benchmarks.daemon import running
from benchmarks.measure import Cost, measured, middle
from benchmarks.workload import EXPERIMENT

_ASKED = ("--version", "--help", "hint -q one", "status", "list", "explain {file}", "plan -q", "config show")
"""Commands that look, or leave everything to the daemon."""


def costs(home: Path, rounds: int) -> Iterator[tuple[str, Cost]]:
    """Each command's, the median of so many runs in turn, in `home`, which it creates. One file is proven."""
    file = home / "data" / EXPERIMENT / "train_preds.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a,b\n")
    config = configuration(home / "start", home / "data", 0.01)
    program = str(SYNC[0])
    sync = [program, "sync", "--config", str(config)]
    measured(sync)
    found: dict[str, list[Cost]] = {}

    def run(name: str, command: list[str]) -> None:
        found.setdefault(name, []).append(measured(command))

    for _ in range(rounds):
        run("python3 -c pass", [str(Path(program).with_name("python3")), "-c", "pass"])
        run("artifactd sync, nothing to do", sync)
    with running(config) as daemon:
        daemon.until("scan.finished")
        daemon.idle(0.1)  # that is, it has settled, and calls itself ready
        for _ in range(rounds):
            for asked in _ASKED:
                command = [program, *asked.format(file=file).split()]
                own = [] if asked.startswith("-") else ["--config", str(config)]
                run(f"artifactd {asked.partition(' {')[0]}", [*command, *own])
    yield from ((name, middle(runs)) for name, runs in found.items())
