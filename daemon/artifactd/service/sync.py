"""One pass over what is there now: all that the policy wants gets to its stores, or it is told why not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from artifactd.artifact import Sighting, printable
from artifactd.clock import SYSTEM, Clock
from artifactd.config.effective import Config
from artifactd.decisions.lifecycle import (
    Ceded,
    Failed,
    Kept,
    Postponed,
    Proven,
    Refused,
    Skipped,
    Started,
    Unchanged,
    Upheld,
    Vanished,
)
from artifactd.discovery import evidence
from artifactd.ledger.ledger import Recorded
from artifactd.log.lines import Log
from artifactd.mirror.answers import Principal
from artifactd.mirror.engine import Engine, open_engine
from artifactd.stopping import Stopping, signals

_ANCHOR_SECONDS: Final = 60.0
"""For the end of the record to reach the stores."""

_TURN_SECONDS: Final = 0.2
"""How late it can be to notice that it is done, or that waiting takes too long."""


@dataclass(slots=True)
class Report:
    """What a sync did, and what it could not do."""

    exported: int = 0
    """copies that were proven, whether their bytes were sent or there already"""
    unchanged: int = 0
    """copies that had been proven before"""
    bytes: int = 0
    """of the copies that were proven now"""
    left: dict[tuple[str, str], str] = field(default_factory=dict)
    """(source, store) → why the copy is not proven"""
    stuck: int = 0
    """copies that wait for a person"""
    unobservable: int = 0
    """directories that could not be looked into"""
    requests: int = 0
    """that were sent to the stores"""
    seconds: float = 0.0
    in_flight: int = 0
    """files whose copy was abandoned, because a store or the source hangs; the next run repeats them"""
    stopped: str | None = None
    """the signal that ended it early"""

    @property
    def complete(self) -> bool:
        """Whether everything that the policy wants is proven in every store."""
        return not (self.left or self.stuck or self.unobservable or self.stopped)

    def fields(self) -> dict[str, Any]:
        """For the log and for machines."""
        return {
            "exported": self.exported,
            "unchanged": self.unchanged,
            "left": len(self.left),
            "stuck": self.stuck,
            "unobservable": self.unobservable,
            "bytes": self.bytes,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
        }


@dataclass(slots=True)
class Watcher:
    """What a caller wants to hear while a sync goes on, to show progress."""

    found: Callable[[Sighting], None] = lambda _sighting: None
    recorded: Callable[[Recorded], None] = lambda _recorded: None
    turned: Callable[[Engine], None] = lambda _engine: None


def sync(
    config: Config, log: Log, *, wait_seconds: float, watcher: Watcher | None = None, clock: Clock = SYSTEM
) -> Report:
    """Export what is there, complete and wanted; wait at most `wait_seconds` for what is not complete.

    Raises:
        InUse, Newer, Unwritable: see `open_engine`. Nothing was exported.
        Unwritable: the record could not be written for `wait_seconds`, either.
        Damaged: the ledger is, and was set aside. Run it again: a new one is filled.
        Stopped: told to stop while the record could not be written.
    """
    watcher = watcher or Watcher()
    report = Report()
    began = clock.monotonic()
    stopping = Stopping()
    evidence.prepare()
    with open_engine(config, log, clock, stopping, eager=True) as engine:
        engine.recorder.patience = wait_seconds
        engine.recorder.listeners += [watcher.recorded, _counting(report)]
        engine.mirror.listen(found=watcher.found)
        with signals(stopping, lambda name: setattr(report, "stopped", name)):
            engine.mirror.begin()
            _turns(engine, report, wait_seconds, watcher)
            engine.mirror.drain(wait_seconds)
            report.in_flight = engine.mirror.in_flight
        _close(engine, report)
        report.seconds = clock.monotonic() - began
        if not report.in_flight:
            engine.anchor()
            engine.mirror.drain(_ANCHOR_SECONDS)
        report.requests = sum(sum(store.requests().values()) for store in engine.stores.values())
        log.info("sync.finished", **report.fields())
    return report


def _turns(engine: Engine, report: Report, wait_seconds: float, watcher: Watcher) -> None:
    """Go on until all is done, or for `wait_seconds` nothing was found or proven any more.

    A file that nobody vouches for is seen for as long as it takes, else no sync would ever export it.
    """
    mirror = engine.mirror
    since, exported = engine.clock.monotonic(), 0
    while report.stopped is None:
        mirror.turn(_TURN_SECONDS if mirror.in_flight or mirror.waiting_files else 0.0)
        watcher.turned(engine)
        if all(one.out_since is not None and not one.under_way for one in mirror.stores()):
            return  # no store takes anything: waiting for files would be for nothing
        if mirror.scanning or report.exported > exported:
            since, exported = engine.clock.monotonic(), report.exported
        elif not mirror.busy and (
            mirror.waiting_files == 0
            or engine.clock.monotonic() - since >= max(wait_seconds, mirror.patience)
        ):
            return


def _counting(report: Report) -> Callable[[Recorded], None]:
    def heard(item: Recorded) -> None:
        name = (printable(item.row.artifact.path), item.row.store)
        match item.event:
            case Proven() | Unchanged():
                report.exported += 1
                report.bytes += item.row.size
                report.left.pop(name, None)
            case Vanished() | Upheld() | Skipped() | Ceded():
                report.left.pop(name, None)
            case Failed() | Postponed() | Refused() | Kept():
                report.left[name] = item.row.reason
            case Started():
                report.left[name] = "not finished"
            case _:
                pass

    return heard


def _close(engine: Engine, report: Report) -> None:
    """What is still open at the end."""
    told = {source for source, _ in report.left}
    for waiting in engine.mirror.waiting():
        if (source := printable(waiting.path)) not in told:
            report.left[source, ""] = waiting.reason
    for state in engine.mirror.stores():
        if state.out_since is not None:
            report.left.setdefault(("everything else", state.store), state.reason)
    if (scan := engine.mirror.scan) is not None:
        report.unchanged, report.stuck, report.unobservable = scan.done, scan.stuck, scan.unobservable
        if scan.seconds is None:
            report.left.setdefault(("the rest of the tree", ""), "not looked at yet")


def by_hand(
    config: Config,
    log: Log,
    sources: Sequence[bytes],
    name: str | None,
    principal: Principal,
    *,
    wait_seconds: float,
    clock: Clock,
) -> list[Mapping[str, Any]]:
    """Export these files, relative to the data directory, where no daemon runs.

    Returns the last answer about each, in order, after at most `wait_seconds`. Raises as `sync`.
    """
    stopping = Stopping()
    answers: dict[bytes, Mapping[str, Any]] = {}
    evidence.prepare()
    with (
        open_engine(config, log, clock, stopping, eager=True) as engine,
        signals(stopping, lambda _name: None),
    ):
        engine.recorder.patience = wait_seconds
        for path in sources:
            source = printable(path)
            answers[path] = {"ok": False, "final": False, "source": source, "reason": "not complete yet"}
            engine.by_hand.ask(path, name, principal, partial(answers.__setitem__, path))
        until = clock.monotonic() + wait_seconds
        while not all(answer["final"] for answer in answers.values()):
            if clock.monotonic() >= until or stopping.is_set():
                break
            engine.mirror.turn(_TURN_SECONDS)
        for waiting in engine.mirror.waiting():
            if waiting.path in answers:
                answers[waiting.path] = {**answers[waiting.path], "reason": waiting.reason}
        engine.mirror.drain(wait_seconds)
    return [answers[path] for path in sources]
