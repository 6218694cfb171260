"""The same tree, copied by each contender in turn, again and again: what counts are ratios within a round."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.answering import Told
from benchmarks.contender import Contender
from benchmarks.destination import Destination, Opened
from benchmarks.measure import Cost, flush, measured, middle
from benchmarks.workload import Workload

STEPS = ("first sync", "nothing changed", "one changed")
_MANY = 1000
_ONE = Workload("one", 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Lap:
    """One run of one contender."""

    cost: Cost
    requests: int | None = None
    """that were sent to a server; None: nobody counted"""
    serving: float | None = None
    """CPU seconds of the server"""
    connections: int | None = None
    """the most at a time"""


@dataclass(slots=True)
class Result:
    """What each contender needed, run by run."""

    destination: Destination
    workload: Workload
    rounds: int
    laps: dict[tuple[str, str], list[Lap]] = field(default_factory=dict)
    """(step, contender) → one lap a round"""
    loads: list[float] = field(default_factory=list)
    """the load average of a minute before each lap; that of the race itself is in it"""

    def of(self, step: str, contender: Contender) -> Sequence[Lap]:
        """The laps; none where the contender has no such step."""
        return self.laps.get((step, contender.name), ())

    def cost(self, step: str, contender: Contender) -> Cost | None:
        """The medians; None where the contender has no such step."""
        laps = self.of(step, contender)
        return middle([lap.cost for lap in laps]) if laps else None

    def ratio(self, step: str, peer: Contender) -> float | None:
        """How often the peer's time artifactd needs: the median of the rounds' ratios."""
        ours, theirs = self.of(step, self.destination.ours), self.of(step, peer)
        if not ours or not theirs:
            return None
        return median(mine.cost.wall / other.cost.wall for mine, other in zip(ours, theirs, strict=True))


def races(
    destination: Destination, workloads: Sequence[tuple[Workload, int]], home: Path, against: Sequence[str]
) -> Iterator[Result]:
    """Let everybody who is installed copy each workload so many times, taking turns at going first.

    `against`: only peers whose names begin so; all, where it is empty.
    """
    home.mkdir()
    peers = [peer for peer in destination.peers if not against or peer.name.startswith(tuple(against))]
    field_ = [one for one in (destination.ours, *peers) if one.installed]
    with destination.opened(home) as opened:
        _warm_up(field_, home / "warm", opened)
        for workload, rounds in workloads:
            yield _race(Result(destination, workload, rounds), field_, home / workload.name, opened)


def _warm_up(contenders: Sequence[Contender], home: Path, opened: Opened) -> None:
    """Let everybody copy one file: who is written in Python has its byte code at hand then."""
    _ONE.make(home / "data")
    for number, contender in enumerate(contenders):
        copy = home / f"warm-{number}"
        copy.mkdir()
        measured(_command(contender, home / "data", copy, opened), opened.environment)


def _race(result: Result, field_: Sequence[Contender], home: Path, opened: Opened) -> Result:
    workload, data = result.workload, home / "data"
    workload.make(data)
    for number in range(result.rounds):
        for contender in (*field_[number % len(field_) :], *field_[: number % len(field_)]):
            copy = home / f"{workload.name}-{number}-{field_.index(contender)}"
            copy.mkdir()
            for step, lap in _laps(result, contender, data, copy, opened):
                result.laps.setdefault((step, contender.name), []).append(lap)
            # ext4 makes new files slowly for minutes after many were deleted: the next in turn would pay.
            if workload.files < _MANY:
                shutil.rmtree(copy)
    shutil.rmtree(home)
    return result


def _command(contender: Contender, data: Path, copy: Path, opened: Opened) -> Sequence[str]:
    return contender.prepare(data, {**opened.told, "directory": str(copy), "name": copy.name})


def _laps(
    result: Result, contender: Contender, data: Path, copy: Path, opened: Opened
) -> Iterator[tuple[str, Lap]]:
    command, destination = _command(contender, data, copy, opened), result.destination
    again = contender is destination.ours or (contender.again and destination.lists)
    for step in STEPS if again else STEPS[:1]:
        if step == STEPS[2]:
            result.workload.write(data, 0)
        flush(data)
        said = copy.with_name("said")
        result.loads.append(os.getloadavg()[0])
        before = opened.counted()
        cost = measured(command, opened.environment, said)
        own = _requests(said) if contender is destination.ours and destination.served else None
        yield step, _lap(cost, before, opened.counted(), own)


def _lap(cost: Cost, before: Told | None, after: Told | None, own: int | None) -> Lap:
    if before is None or after is None:
        return Lap(cost, own)
    counted = sum(after.requests.values()) - sum(before.requests.values())
    if own is not None and own != counted:
        raise RuntimeError(f"artifactd counts {own} requests, the server {counted}")
    return Lap(cost, counted, after.cpu - before.cpu, after.connections)


def _requests(said: Path) -> int:
    """What artifactd's log says at its end."""
    last = json.loads(said.read_bytes().splitlines()[-1])
    return int(last["requests"])


def missing(destinations: Sequence[Destination]) -> Sequence[str]:
    """Peers that are not installed here."""
    peers = {peer.name: peer for destination in destinations for peer in destination.peers}
    return [peer.name for peer in peers.values() if not peer.installed]
