"""What is answered while a start takes long."""

import json
from http import HTTPStatus
from pathlib import Path

from artifactd.config.assemble import load
from artifactd.health.published import Published
from artifactd.health.verdict import START_SECONDS, Phase
from tests.support.faults import ManualClock


def test_a_start_that_goes_on_lives_however_long_it_takes_and_says_what_it_is_at(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    time = ManualClock(0.0)
    published = Published(load(tmp_path / "config.toml", {}), time.clock)
    for _ in range(5):
        time.advance(START_SECONDS - 1)
        assert published.health().status == HTTPStatus.OK
        published.works("the ledger is migrated")
    said = json.loads(published.readiness().body)
    assert said["reasons"] == [{"part": "daemon", "reason": "it is starting: the ledger is migrated"}]
    published.phase(Phase.STOPPING)
    said = json.loads(published.readiness().body)
    assert said["reasons"] == [{"part": "daemon", "reason": "it is stopping"}]
