"""Anything in any order, on a real directory and a real ledger: writers, faults of stores, crashes, time.

A model beside it knows what each file ever held while nobody had it open. What the mirror may never do is looked at
after each step; what it has to reach is looked at when the faults are over and time has passed.
"""

import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from artifactd import checksum
from artifactd.artifact import Digest, Key
from artifactd.ledger import Recorded
from artifactd.lifecycle import Proven, Started, State, Unchanged
from artifactd.stores.base import Unavailable
from artifactd.stores.memory import MemoryStore
from tests.faults import FAULTS, Fault, FaultyStore, before
from tests.rig import Rig

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

UNWANTED = (
    f"{ONE}/h2oai_experiment_logs_one.zip",
    f"{ONE}/model.pickle",
    "alice/uploads/table.csv",
    "audit.csv",
)

SECRET = b"of another place"
LARGE = 300 << 10  # past what the reader keeps in memory

wanted = st.sampled_from(sorted(KEYS))
stores = st.sampled_from(["live", "shaky"])
sizes = st.sampled_from([0, 1, 1000, LARGE])


def zipped(content: bytes) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("model", content)
    return buffer.getvalue()


class MirrorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="mirror-"))
        self.stores = {name: FaultyStore(MemoryStore(name)) for name in ("live", "shaky")}
        self.rig = Rig(self.base, self.stores, policy=POLICY)
        self.rig.listener = self.heard
        (self.base / "secret").write_bytes(SECRET)
        self.count = 0
        self.held: dict[str, IO[bytes]] = {}
        self.complete: defaultdict[str, set[Digest]] = defaultdict(set)
        """key → what its file held at any time while nobody had it open"""
        self.foreign: dict[tuple[str, str], bytes] = {}
        """store and key → what somebody else put there"""
        self.proven: dict[tuple[str, str], Digest | None] = {}
        """store and key → what was proven there, if nothing else happened to the copy since"""
        self.begun: Counter[tuple[str, str, Digest | None]] = Counter()

    @initialize(there=st.sets(wanted), exported=st.booleans())
    def start(self, there: set[str], exported: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        for folder in (ONE, OLD, "alice/uploads"):
            (self.rig.data / folder).mkdir(parents=True)
        for path in sorted(there):
            self.put_down(path, self.content(path, 1))
        self.rig.mirror.begin()
        if exported:
            self.rig.settle()

    # --- what the record says, at the moment it says so ---------------------------------------------------------

    def heard(self, item: Recorded) -> None:
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

    # --- writers ------------------------------------------------------------------------------------------------

    def content(self, path: str, size: int) -> bytes:
        """Bytes that nothing else holds."""
        self.count += 1
        content = b"%d:" % self.count + b"x" * size
        return zipped(content) if path.endswith(".zip") else content

    def put_down(self, path: str, content: bytes) -> None:
        """The file holds `content` now, and nobody has it open."""
        self.note(path, content)
        file = self.rig.data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        file.write_bytes(content)

    def note(self, path: str, content: bytes) -> None:
        if path in KEYS:
            self.complete[KEYS[path]].add(checksum.of_bytes(content))

    def free(self, path: str) -> bool:
        return path not in self.held

    def exists(self, path: str) -> bool:
        return (
            self.free(path) and (self.rig.data / path).is_file() and not (self.rig.data / path).is_symlink()
        )

    def write(self, path: str, size: int) -> None:
        if self.free(path):
            self.put_down(path, self.content(path, size))

    @rule(path=st.sampled_from(UNWANTED))
    def write_what_nobody_wants(self, path: str) -> None:
        self.put_down(path, self.content(path, 10))

    def append(self, path: str, size: int) -> None:
        if self.exists(path) and path.endswith(".csv"):
            file = self.rig.data / path
            self.put_down(path, file.read_bytes() + self.content(path, size))

    def replace_by_rename(self, path: str, size: int) -> None:
        if self.free(path):
            content = self.content(path, size)
            self.put_down(f"{ONE}/upload.tmp", content)
            self.note(path, content)
            (self.rig.data / path).parent.mkdir(parents=True, exist_ok=True)
            (self.rig.data / f"{ONE}/upload.tmp").rename(self.rig.data / path)

    @rule(act=st.sampled_from([write, append, replace_by_rename]), path=wanted, size=sizes)
    def somebody_writes(self, act: Callable[..., None], path: str, size: int) -> None:
        act(self, path, size)

    @rule(path=wanted, other=wanted)
    def rename(self, path: str, other: str) -> None:
        suffix = path.rpartition(".")[2]
        if self.exists(path) and self.free(other) and other.endswith(suffix):
            self.note(other, (self.rig.data / path).read_bytes())
            (self.rig.data / other).parent.mkdir(parents=True, exist_ok=True)
            (self.rig.data / path).rename(self.rig.data / other)

    def touch(self, path: str) -> None:
        if self.exists(path):
            os.utime(self.rig.data / path, (1, self.count))

    def delete(self, path: str) -> None:
        if self.free(path):
            (self.rig.data / path).unlink(missing_ok=True)

    @rule()
    def delete_a_whole_experiment(self) -> None:
        if not any(path.startswith(OLD) for path in self.held):
            shutil.rmtree(self.rig.data / OLD, ignore_errors=True)

    def truncate_a_zip(self, path: str) -> None:
        if self.exists(path) and path.endswith(".zip"):
            file = self.rig.data / path
            os.truncate(file, file.stat().st_size - 5)

    @rule(path=wanted, size=sizes, more=st.booleans())
    def somebody_writes_slowly(self, path: str, size: int, more: bool) -> None:  # noqa: FBT001 - as hypothesis passes it
        file = self.rig.data / path
        if path in self.held:
            self.write_more(path, size)
            if not more:
                self.let_go(path)
        elif not file.is_symlink():
            file.parent.mkdir(parents=True, exist_ok=True)
            self.held[path] = file.open("wb")
            self.write_more(path, size)

    def write_more(self, path: str, size: int) -> None:
        self.count += 1
        self.held[path].write(b"%d:" % self.count + b"y" * size)
        self.held[path].flush()

    def let_go(self, path: str) -> None:
        file = self.held.pop(path)
        if path.endswith(".zip"):
            file.seek(0)
            file.truncate()
            file.write(self.content(path, 10))
            file.flush()
        self.note(path, (self.rig.data / path).read_bytes())
        file.close()

    def hard_link(self, path: str) -> None:
        if self.exists(path):
            (self.base / "names").mkdir(exist_ok=True)
            self.count += 1
            os.link(self.rig.data / path, self.base / "names" / str(self.count))

    @rule()
    def unlink_other_names(self) -> None:
        shutil.rmtree(self.base / "names", ignore_errors=True)

    def symlink(self, path: str) -> None:
        file = self.rig.data / path
        if self.free(path) and file.parent.is_dir():
            file.unlink(missing_ok=True)
            file.symlink_to(self.base / "secret")

    @rule(act=st.sampled_from([touch, delete, truncate_a_zip, hard_link, symlink]), path=wanted)
    def somebody_meddles(self, act: Callable[..., None], path: str) -> None:
        act(self, path)

    # --- the stores ---------------------------------------------------------------------------------------------

    @rule(store=stores, faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
    def inject(self, store: str, faults: list[Fault]) -> None:
        self.stores[store].scripted.extend(faults)

    def shaky_dies(self) -> None:
        self.stores["shaky"].always = before(Unavailable)

    def shaky_recovers(self) -> None:
        self.stores["shaky"].always = None
        self.stores["shaky"].gate.open()

    def shaky_hangs(self) -> None:
        self.stores["shaky"].gate.shut()

    @rule(act=st.sampled_from([shaky_dies, shaky_hangs, shaky_recovers, shaky_recovers]))
    def shaky_changes(self, act: Callable[..., None]) -> None:
        act(self)

    @rule(store=stores, path=wanted)
    def somebody_else_takes_a_key(self, store: str, path: str) -> None:
        key, copies = Key(KEYS[path]), self.copies(store)
        if key not in copies and not self.rig.mirror.pipeline.in_flight:
            self.count += 1
            copies[key] = self.foreign[store, key.text] = b"foreign %d" % self.count

    @precondition(lambda self: self.foreign)
    @rule(data=st.data())
    def somebody_else_takes_it_away(self, data: st.DataObject) -> None:
        store, key = data.draw(st.sampled_from(sorted(self.foreign)))
        if not self.rig.mirror.pipeline.in_flight:
            del self.foreign[store, key], self.copies(store)[Key(key)]

    def copies(self, store: str) -> dict[Key, bytes]:
        inner = self.stores[store].inner
        assert isinstance(inner, MemoryStore)
        return inner.copies

    # --- time, hints, people, deaths ----------------------------------------------------------------------------

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
        for _ in range(200):
            hanging = self.stores["shaky"].gate.waiting
            if self.rig.idle or (
                hanging
                and hanging
                == self.rig.mirror.pipeline.lanes["shaky"].under_way
                == self.rig.mirror.pipeline.in_flight
            ):
                return
            self.rig.mirror.turn(0.002)

    @rule(paths=st.dictionaries(wanted, st.booleans(), min_size=1), folder=st.sampled_from([None, ONE, OLD, "alice"]))
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
        self.stores["shaky"].gate.open()
        self.rig.again()

    # --- what has to be true at any time ------------------------------------------------------------------------

    @invariant()
    def the_stores_hold_nothing_that_was_never_complete(self) -> None:
        for store in self.stores:
            for key, content in list(self.copies(store).items()):
                if (store, key.text) in self.foreign:
                    assert content == self.foreign[store, key.text], (
                        f"foreign bytes at {key} were overwritten"
                    )
                else:
                    assert checksum.of_bytes(content) in self.complete[key.text], (
                        f"{key} holds {content[:80]!r}"
                    )

    @invariant()
    def every_put_was_on_record_before_it_began(self) -> None:
        for name, store in self.stores.items():
            tried = Counter((name, key.text, digest) for key, digest in list(store.tried))
            assert tried <= self.begun

    # --- what has to be reached ---------------------------------------------------------------------------------

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
            tried = {name: len(store.tried) for name, store in self.stores.items()}
            head = self.rig.ledger.head()
            self.rig.settle()
            assert (tried, head) == (
                {name: len(store.tried) for name, store in self.stores.items()},
                self.rig.ledger.head(),
            ), "nothing changed, and something was done"
            assert self.rig.breaks() == []
        finally:
            self.rig.crash()
            for file in self.held.values():
                file.close()
            shutil.rmtree(self.base)

    def finish(self) -> None:
        """More time than the longest pause of a copy or of a store, and a scan."""
        for seconds in (700.0, 1400.0):
            self.rig.pass_time(seconds)
            self.rig.settle()

    def reached(self, path: str) -> None:
        """`path` ended as it has to."""
        source, rows = os.fsencode(path), {row.store: row for row in self.rig.rows(os.fsencode(path))}
        file = self.rig.data / path
        if not os.path.lexists(file):
            assert not {row.state for row in rows.values()} & {State.UPLOADING, State.RETRYING}
            return
        if path in self.held or (path.endswith(".zip") and self.cut(file)):
            if not self.unfit(file):
                assert source in self.rig.mirror.settler, f"{path} is incomplete, and not waited for"
            return
        for store in self.stores:
            row = rows[store]
            if self.unfit(file) or (store, KEYS[path]) in self.foreign:
                assert row.state is State.REFUSED, row
                assert row.reason
            else:
                assert row.state is State.PROVEN, row
                assert self.copies(store)[Key(KEYS[path])] == file.read_bytes()

    def unfit(self, file: Path) -> bool:
        return file.is_symlink() or file.stat().st_nlink > 1

    def cut(self, file: Path) -> bool:
        return not file.is_symlink() and checksum.of_bytes(file.read_bytes()) not in self.everything()

    def everything(self) -> set[Digest]:
        return {digest for digests in self.complete.values() for digest in digests}


PROFILE: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
}


def test_whatever_happens_the_mirror_ends_right() -> None:
    run_state_machine_as_test(
        MirrorMachine, settings=settings(max_examples=250, stateful_step_count=50, derandomize=True, **PROFILE)
    )


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_whatever_happens_for_long_the_mirror_ends_right() -> None:
    run_state_machine_as_test(
        MirrorMachine, settings=settings(max_examples=1500, stateful_step_count=80, database=None, **PROFILE)
    )
