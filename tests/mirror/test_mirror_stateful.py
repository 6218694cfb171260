"""Anything in any order, on a real directory and a real ledger: writers, faults of stores, crashes, time.

What the mirror may never do is looked at after each step; what it has to reach is looked at when the faults
are over and time has passed.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from artifactd import checksum
from artifactd.artifact import Digest, Key
from artifactd.decisions.lifecycle import OPEN, Proven, Row, Started, State, Unchanged
from artifactd.ledger.ledger import Recorded
from artifactd.stores.base import Unavailable
from artifactd.stores.memory import MemoryStore
from tests.support.artifacts import Artifacts
from tests.support.faults import FAULTS, Fault, FaultyStore, before
from tests.support.rig import LARGE, Rig

POLICY = """
[[policy]]
name = "no logs"
action = "ignore"
match = ["h2oai_experiment_logs_*.zip"]
[[policy]]
name = "all"
match = ["*.csv", "*.zip"]
"""

ONE, OLD = "alice/h2oai_experiment_one", "h2oai_experiment_abcdefgh"
KEYS = {
    f"{ONE}/train_preds.csv": "alice/one/train_preds.csv",
    f"{ONE}/below/deep/test_preds.csv": "alice/one/test_preds.csv",
    f"{ONE}/mojo_pipeline/mojo.zip": "alice/one/mojo.zip",
    f"{OLD}/train_preds.csv": "carol/abcdefgh/train_preds.csv",
    f"{OLD}/scoring_pipeline/scorer.zip": "carol/abcdefgh/scorer.zip",
}
"""The artifacts that the policy wants, with their keys."""
PATHS = {key: path for path, key in KEYS.items()}

UNWANTED = (
    f"{ONE}/h2oai_experiment_logs_one.zip",
    f"{ONE}/model.pickle",
    "alice/uploads/table.csv",
    "audit.csv",
)

MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a private directory there
"""A file system in memory, shm_overview(7): hundreds of ledgers would make the disk the limit."""

wanted = st.sampled_from(sorted(KEYS))
stores = st.sampled_from(["live", "shaky"])
sizes = st.sampled_from([0, 1, 1000, len(LARGE)])


class MirrorMachine(RuleBasedStateMachine):
    """Two stores: "shaky" dies and hangs at times, both meet faults of single puts.

    Threads are real, so what is drawn never depends on how far they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="mirror-", dir=MEMORY))
        self.stores = {name: FaultyStore(MemoryStore(name)) for name in ("live", "shaky")}
        self.shaky = self.stores["shaky"]
        self.rig = Rig(self.base, self.stores, policy=POLICY)
        self.rig.listener = self.heard
        self.files = Artifacts(self.base, self.rig.data)
        self.foreign: dict[tuple[str, str], bytes] = {}
        """store and key → what somebody else put there"""
        self.proven: dict[tuple[str, str], Digest | None] = {}
        """store and key → what was proven there, if nothing else happened to the copy since"""
        self.begun: Counter[tuple[str, str, Digest | None]] = Counter()
        self.count = 0

    @initialize(there=st.sets(wanted), exported=st.booleans())
    def start(self, there: set[str], exported: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        for folder in (ONE, OLD, "alice/uploads"):
            (self.rig.data / folder).mkdir(parents=True)
        for path in sorted(there):
            self.files.write(path, 1)
        self.rig.mirror.begin()
        if exported:
            self.rig.settle()

    def heard(self, item: Recorded) -> None:
        """What the record says has to be true at the moment it says so."""
        row = item.row
        place = row.store, row.key
        if isinstance(item.event, Started):
            self.begun[*place, row.digest] += 1
            assert self.proven.get(place) != row.digest, f"{place} was proven already, and is put again"
        if not isinstance(item.event, Unchanged):
            self.proven.pop(place, None)
        if isinstance(item.event, Proven):
            inner = self.stores[row.store].inner
            assert inner.digest(Key(row.key)) == row.digest, f"{place} is on record as proven and is not"
            self.proven[place] = row.digest

    # --- files ---

    @rule(
        act=st.sampled_from([Artifacts.write, Artifacts.append, Artifacts.replace]), path=wanted, size=sizes
    )
    def somebody_writes(self, act: Callable[..., None], path: str, size: int) -> None:
        act(self.files, path, size)

    @rule(act=st.sampled_from([Artifacts.hold, Artifacts.let_go]), path=wanted, size=sizes)
    def somebody_writes_slowly(self, act: Callable[..., None], path: str, size: int) -> None:
        act(self.files, path, size)

    @rule(
        act=st.sampled_from(
            [Artifacts.touch, Artifacts.delete, Artifacts.cut, Artifacts.link, Artifacts.symlink]
        ),
        path=wanted,
    )
    def somebody_meddles(self, act: Callable[..., None], path: str) -> None:
        act(self.files, path)

    @rule(path=wanted, other=wanted)
    def somebody_renames(self, path: str, other: str) -> None:
        self.files.rename(path, other)

    @rule(path=st.sampled_from(UNWANTED))
    def somebody_writes_what_nobody_wants(self, path: str) -> None:
        self.files.write(path, 10)

    @rule(tree=st.booleans())
    def somebody_cleans_up(self, tree: bool) -> None:  # noqa: FBT001 - as above
        if tree:
            self.files.delete_tree(OLD)
        else:
            self.files.unlink_other_names()

    # --- the stores ---

    @rule(store=stores, faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
    def puts_fail(self, store: str, faults: list[Fault]) -> None:
        self.stores[store].scripted.extend(faults)

    @rule(how=st.sampled_from(["dies", "hangs", "recovers", "recovers"]))
    def shaky_changes(self, how: str) -> None:
        match how:
            case "dies":
                self.shaky.always = before(Unavailable)
            case "hangs":
                self.shaky.gate.shut()
            case _:
                self.shaky.always = None
                self.shaky.gate.open()

    @rule(store=stores, path=wanted)
    def somebody_else_takes_a_key(self, store: str, path: str) -> None:
        key, copies = Key(KEYS[path]), self.copies(store)
        if key not in copies and not self.rig.mirror.in_flight:
            self.count += 1
            copies[key] = self.foreign[store, key.text] = b"foreign %d" % self.count

    @rule(store=stores, path=wanted)
    def somebody_else_takes_it_away(self, store: str, path: str) -> None:
        if (store, KEYS[path]) in self.foreign and not self.rig.mirror.in_flight:
            del self.foreign[store, KEYS[path]], self.copies(store)[Key(KEYS[path])]

    def copies(self, store: str) -> dict[Key, bytes]:
        inner = self.stores[store].inner
        assert isinstance(inner, MemoryStore)
        return inner.copies

    # --- time, hints, people, deaths ---

    @rule(turns=st.integers(1, 8), seconds=st.sampled_from([0.1, 2.5, 60.0]), scan=st.booleans())
    def moments_pass(self, turns: int, seconds: float, scan: bool) -> None:  # noqa: FBT001 - as above
        if scan:
            self.rig.mirror.rescan("test")
        for number in range(turns):
            self.rig.time.advance(seconds if number == turns // 2 else 0.0)
            self.rig.mirror.turn(0.001)

    @rule(seconds=st.sampled_from([3.0, 3.0, 1000.0]), scan=st.booleans())
    def a_while_passes(self, seconds: float, scan: bool) -> None:  # noqa: FBT001 - as above
        if scan:
            self.rig.mirror.rescan("test")
        self.busy_turns()
        self.rig.time.advance(seconds)
        self.busy_turns()

    def busy_turns(self) -> None:
        """Turns until nothing is left to do but to wait for a store that hangs."""
        self.rig.mirror.turn(0.0)
        mirror = self.rig.mirror
        (shaky,) = (one for one in mirror.stores() if one.store == "shaky")
        for _ in range(200):
            hangs = self.shaky.gate.waiting > 0 and shaky.under_way == mirror.in_flight
            if self.rig.idle or hangs:
                return
            self.rig.mirror.turn(0.002)

    @rule(
        paths=st.dictionaries(wanted, st.booleans(), min_size=1),
        folder=st.sampled_from([None, ONE, OLD, "alice"]),
    )
    def events(self, paths: dict[str, bool], folder: str | None) -> None:
        if folder is None:
            self.rig.mirror.touched({os.fsencode(path): closed for path, closed in paths.items()})
        else:
            self.rig.mirror.appeared(os.fsencode(folder), hinted=paths.popitem()[1])

    @rule(path=wanted)
    def retry(self, path: str) -> None:
        rows = self.rig.rows(os.fsencode(path))
        self.rig.replay([row for row in rows if row.state in (State.REFUSED, State.RETRYING) and row.key])

    @rule()
    def crash(self) -> None:
        self.shaky.gate.open()
        self.rig.again()

    # --- what has to be true at any time ---

    @invariant()
    def the_stores_hold_nothing_that_was_never_complete(self) -> None:
        for store in self.stores:
            for key, content in list(self.copies(store).items()):
                if (store, key.text) in self.foreign:
                    assert content == self.foreign[store, key.text], (
                        f"foreign bytes at {key} were overwritten"
                    )
                else:
                    assert checksum.of_bytes(content) in self.files.complete[PATHS[key.text]], key

    @invariant()
    def every_put_was_on_record_before_it_began(self) -> None:
        for name, store in self.stores.items():
            tried = Counter((name, key.text, digest) for key, digest in list(store.tried))
            assert tried <= self.begun

    # --- what has to be reached ---

    def teardown(self) -> None:
        try:
            for store in self.stores.values():
                store.always = None
                store.scripted.clear()
                store.gate.open()
            self.finish()
            self.rig.replay([row for row in self.rig.rows() if row.state is State.REFUSED and row.key])
            self.finish()
            for path in KEYS:
                self.reached(path)
            before_this = self.done()
            self.rig.settle()
            assert self.done() == before_this, "nothing changed, and something was done"
            assert self.rig.breaks() == []
        finally:
            self.shaky.gate.open()
            self.rig.crash()
            self.files.close()
            shutil.rmtree(self.base)

    def finish(self) -> None:
        """More time than the longest pause of a copy or of a store, and a scan."""
        for seconds in (700.0, 1400.0):
            self.rig.pass_time(seconds)
            self.rig.settle()

    def done(self) -> tuple[object, ...]:
        return (self.rig.ledger.head(), *(len(store.tried) for store in self.stores.values()))

    def reached(self, path: str) -> None:
        """`path` ended as it has to."""
        rows = {row.store: row for row in self.rig.rows(os.fsencode(path))}
        if not os.path.lexists(self.files.file(path)):
            assert not {row.state for row in rows.values()} & set(OPEN)
        elif self.files.unfit(path):
            assert path in self.files.held or all(map(self.stopped, rows.values()))
        elif self.files.incomplete(path):
            assert self.rig.mirror.attends_to(os.fsencode(path)), f"{path} is incomplete, and not waited for"
        else:
            for store in self.stores:
                self.mirrored(path, store, rows[store].state)

    def stopped(self, row: Row) -> bool:
        """Whether the copy of a file that cannot be exported ended as it has to."""
        if row.state is State.PROVEN:  # nothing but another name came to it since
            return row.digest == checksum.of_bytes(self.rig.file(row.artifact.path).read_bytes())
        return bool(row.reason) and row.state is (State.KEPT if row.stands else State.REFUSED)

    def mirrored(self, path: str, store: str, state: State) -> None:
        if (store, KEYS[path]) in self.foreign:
            assert state is State.REFUSED
        else:
            assert state is State.PROVEN
            assert self.copies(store)[Key(KEYS[path])] == self.files.file(path).read_bytes()


PROFILE: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}


def test_whatever_happens_the_mirror_ends_right() -> None:
    """The same examples each time; `make torture` draws others, and many more."""
    run_state_machine_as_test(
        MirrorMachine,
        settings=settings(max_examples=100, stateful_step_count=50, derandomize=True, **PROFILE),
    )


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_whatever_happens_for_long_the_mirror_ends_right() -> None:
    run_state_machine_as_test(
        MirrorMachine, settings=settings(max_examples=1500, stateful_step_count=80, database=None, **PROFILE)
    )
