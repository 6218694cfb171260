"""What a watcher says, however much it is, is no long turn of the mirror's thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.discovery.watch import Appeared, Doubt, Touched
from artifactd.mirror.hints import Hints
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore
from tests.support.rig import Rig, copies, rigged


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore("memory"))


@pytest.fixture
def rig(tmp_path: Path, store: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, store)


def test_very_many_hints_are_taken_in_slices_and_none_is_lost(rig: Rig, store: FaultyStore) -> None:
    hints = Hints(rig.mirror, rig.recorder.log)
    for number in range(9_000):
        hints(Touched(b"eve/h2oai_experiment_x/%d.csv" % number, closed=False))
    hints(Touched(rig.new("a.csv", b"one"), closed=True))
    hints(Appeared(rig.new("b.csv", b"two", "bob/h2oai_experiment_two").rpartition(b"/")[0]))
    hints(Doubt("somebody sneezed"))
    acts = 0
    while not rig.mirror.inbox.empty():
        rig.mirror.inbox.get()()
        acts += 1
    assert acts == 5
    rig.work()
    rig.pass_time(3.0)
    assert copies(store) == {"alice/one/a.csv": b"one", "bob/two/b.csv": b"two"}
    assert [line["reason"] for line in rig.told("watch.doubted")] == ["somebody sneezed"]
