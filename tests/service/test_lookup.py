"""Who may say that an experiment's files are complete: its owner, and who is trusted with everything."""

import os
import queue
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifactd.mirror.by_hand import Place
from artifactd.service.control import Request
from artifactd.service.lookup import Lookup

FOLDER = "alice/h2oai_experiment_one"


def looked_up(data: Path, uid: int, *, trusted: bool = False, experiment: str = "one") -> Sequence[Place]:
    found: queue.SimpleQueue[Sequence[Place]] = queue.SimpleQueue()
    lookup = Lookup(lambda _request, places: found.put(places))
    fields = {"experiment": experiment}
    lookup.ask(data, Request("hint", fields, "somebody", uid, trusted, lambda _fields: None))
    return found.get(timeout=30.0)


@pytest.mark.parametrize(
    ("uid", "trusted", "vouched"),
    [(os.geteuid(), False, True), (65533, False, False), (65533, True, True)],
    ids=["its owner", "somebody else", "root or the daemon"],
)
def test_only_its_owner_vouches_for_an_experiment(
    tmp_path: Path, uid: int, *, trusted: bool, vouched: bool
) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    assert looked_up(tmp_path, uid, trusted=trusted) == [Place(FOLDER.encode(), vouched)]


def test_an_experiment_that_nobody_knows_has_no_place(tmp_path: Path) -> None:
    assert looked_up(tmp_path, 0, experiment="two") == []
