"""The same tree, copied by each contender in turn, again and again: what counts are ratios within a round."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.contender import ARTIFACTD, PEERS, Contender
from benchmarks.measure import Cost, flush, measured, middle
from benchmarks.workload import Workload

STEPS = ("first sync", "nothing changed", "one changed")
_MANY = 1000


@dataclass(slots=True)
class Result:
    """What each contender needed, run by run."""

    workload: Workload
    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)
    """(step, contender) → one cost a run"""

    def cost(self, step: str, contender: Contender) -> Cost | None:
        """The medians; None where the contender has no such step."""
        costs = self.costs.get((step, contender.name))
        return middle(costs) if costs else None

    def ratio(self, step: str, peer: Contender) -> float | None:
        """How often the peer's time artifactd needs: the median of the runs' ratios."""
        ours, theirs = self.costs.get((step, ARTIFACTD.name)), self.costs.get((step, peer.name))
        if not ours or not theirs:
            return None
        return median(mine.wall / other.wall for mine, other in zip(ours, theirs, strict=True))


def race(workload: Workload, runs: int, home: Path) -> Result:
    """Let everybody who is installed copy the workload `runs` times, taking turns at going first."""
    result = Result(workload)
    data = home / "data"
    workload.make(data)
    field_ = [one for one in (ARTIFACTD, *PEERS) if one.installed]
    for run in range(runs):
        for contender in (*field_[run % len(field_) :], *field_[: run % len(field_)]):
            copy = home / f"copy-{run}-{field_.index(contender)}"
            for step, cost in _lap(contender, workload, data, copy):
                result.costs.setdefault((step, contender.name), []).append(cost)
            # ext4 makes new files slowly for minutes after many were deleted: the next in turn would pay.
            if workload.files < _MANY:
                shutil.rmtree(copy)
    shutil.rmtree(home)
    return result


def _lap(contender: Contender, workload: Workload, data: Path, copy: Path) -> Iterator[tuple[str, Cost]]:
    command = contender.prepare(data, copy)
    for step in STEPS if contender.again else STEPS[:1]:
        if step == STEPS[2]:
            workload.write(data, 0)
        flush(data)
        yield step, measured(command)


def missing() -> Sequence[Contender]:
    """Peers that are not installed here."""
    return [peer for peer in PEERS if not peer.installed]
