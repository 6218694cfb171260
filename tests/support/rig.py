"""A mirror on a real directory and a real ledger, with the stores and the clock in the hands of a test."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from artifactd.artifact import Key
from artifactd.config.assemble import load
from artifactd.decisions.lifecycle import Change, Proven, Replayed, Row, State
from artifactd.discovery import evidence
from artifactd.inspection import findings, verify
from artifactd.ledger import record
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.mirror.by_hand import ByHand
from artifactd.mirror.mirror import Mirror
from artifactd.mirror.recorder import Recorder
from artifactd.stores.base import Store
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, ManualClock
from tests.support.lines import Lines

PATIENCE = 120.0
"""Real seconds after which something that should have happened never will."""

HEAD = """
enable_artifacts_upload = true
data_directory = "data"
artifacts_file_system_directory = "unused"
[layout]
user = "carol"
[artifactd]
state_directory = "state"
"""

SETTINGS = """
[watch]
quiet_seconds = 2.0
[retry]
first_seconds = 1.0
cap_seconds = 600.0
"""

ALL_CSV = """
[[policy]]
name = "all"
match = ["*.csv", "*.zip"]
"""


LARGE = b"0123456789abcdef" * (20 << 10)
"""More than the reader keeps in memory: its descriptor stays open until it is put."""


class Rig:
    """`crash` throws the mirror away as a kill would, `open` makes the next one."""

    def __init__(
        self,
        base: Path,
        stores: Mapping[str, Store],
        *,
        policy: str = ALL_CSV,
        keys: str = "",
        tables: str = SETTINGS,
    ) -> None:
        evidence.prepare()
        self.data, self.base, self.stores = base / "data", base, stores
        self.data.mkdir(parents=True)
        self.time = ManualClock(time.time())
        self.recorded: list[Recorded] = []
        self.listener: Callable[[Recorded], None] = lambda _recorded: None
        self.lines = Lines()
        self.configure(policy, keys=keys, tables=tables)
        self.open()

    def configure(self, policy: str, *, keys: str = "", tables: str = SETTINGS) -> None:
        """The configuration of the next mirror."""
        (self.base / "config.toml").write_text(f"{HEAD}{keys}\n{tables}\n{policy}")
        self.config = load(self.base / "config.toml", {})

    def open(self) -> None:
        self.ledger = Ledger.open(self.config.state_directory)
        log = structlog.wrap_logger(
            None, processors=[self.lines], wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG)
        )
        self.clock = self.time.clock
        self.recorder = Recorder(self.ledger, log, self.clock)
        self.recorder.listeners += [self.recorded.append, self._tell]
        self.mirror = Mirror(self.config, self.stores, self.recorder, self.clock)
        self.by_hand = ByHand(self.mirror, self.recorder)

    def _tell(self, recorded: Recorded) -> None:
        self.listener(recorded)

    def crash(self) -> None:
        """What the threads are at still happens or does not; nobody hears of it."""
        self.mirror.close()
        self.ledger.close()

    def again(self) -> None:
        """A crash, and the next start."""
        self.crash()
        self.open()
        self.mirror.begin()

    # --- the tree ---

    def path(self, name: str, experiment: str = "alice/h2oai_experiment_one") -> bytes:
        return os.fsencode(f"{experiment}/{name}")

    def file(self, path: bytes) -> Path:
        return self.data / os.fsdecode(path)

    def write(self, path: bytes, content: bytes) -> bytes:
        file = self.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return path

    def new(self, name: str, content: bytes, experiment: str = "alice/h2oai_experiment_one") -> bytes:
        return self.write(self.path(name, experiment), content)

    # --- time and turns ---

    def until(self, happened: Callable[[], bool], what: str = "it") -> None:
        """Take turns until it happened."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, f"{what} never happened: {self.rows()[:5]}"
            self.mirror.turn(0.01)

    def work(self) -> None:
        """Take turns until there is nothing more to do now."""
        self.mirror.turn(0.0)
        self.until(lambda: self.idle, "idleness")

    def scan(self) -> None:
        """Look at everything; time stands still, so that all of it is waited for from now on."""
        self.time.catch_up()
        self.mirror.rescan("test")
        self.mirror.turn(0.0)
        self.until(lambda: not self.mirror.scanning)

    @property
    def idle(self) -> bool:
        mirror, now = self.mirror, self.clock.monotonic()
        return not mirror.busy and (mirror.due is None or mirror.due > now)

    def settle(self) -> None:
        """Look at everything, let the quiet period pass, and do what there is to do."""
        self.mirror.rescan("test")
        self.work()
        self.pass_time(3.0)

    def pass_time(self, *seconds: float) -> None:
        for some in seconds:
            self.time.advance(some)
            self.work()

    def finish(self) -> None:
        """Let as much time pass as every retry takes."""
        self.settle()
        for seconds in (5.0, 30.0, 700.0, 1400.0, 700.0):
            self.pass_time(seconds)
            self.settle()

    # --- what came of it ---

    def rows(self, path: bytes | None = None, store: str | None = None) -> list[Row]:
        return [row for row in self.ledger.rows(store=store) if path is None or row.artifact.path == path]

    def states(self, path: bytes) -> dict[str, State]:
        return {row.store: row.state for row in self.rows(path)}

    def events(self, path: bytes | None = None) -> list[str]:
        return [type(one.event).__name__ for one in self.recorded if path in (None, one.row.artifact.path)]

    def written(self) -> Counter[tuple[str, str]]:
        """How often bytes were sent to each key of each store and proven."""
        return Counter(
            (one.row.store, one.row.key)
            for one in self.recorded
            if isinstance(one.event, Proven) and one.event.written
        )

    def told(self, event: str) -> list[dict[str, Any]]:
        return [dict(line) for line in self.lines.entries if line["event"] == event]

    def replay(self, rows: list[Row]) -> None:
        """What `artifactd retry` does."""
        self.recorder.record([Change(row, Replayed(self.clock.now(), "tester")) for row in rows])

    def verified(self) -> None:
        """What `artifactd verify` puts on record of the copies that were proven."""
        for name, store in self.stores.items():
            rows = [row for row in self.rows(store=name) if row.proof]
            found = verify.read_back(rows, store, lambda _bytes: None)
            self.recorder.record([one for finding in found if (one := findings.change(finding)) is not None])

    def breaks(self) -> list[record.Break]:
        return list(record.breaks(self.ledger.entries()))

    def key(self, name: str, experiment: str = "one", user: str = "alice") -> Key:
        return Key.of(user, experiment, name)


def rigged(base: Path, *stores: FaultyStore) -> Iterator[Rig]:
    """A rig for the length of a test; stores may be left hanging."""
    rig = Rig(base, {store.name: store for store in stores})
    yield rig
    for store in stores:
        store.gate.open()
    rig.crash()


def copies(store: FaultyStore) -> dict[str, bytes]:
    """What it holds, looked at from outside."""
    assert isinstance(store.inner, MemoryStore)
    return {key.text: content for key, content in dict(store.inner.copies).items()}
