"""What is told while all that an export needs is set up."""

from pathlib import Path

import structlog
from structlog.testing import LogCapture

from artifactd.config import load
from artifactd.mirror.engine import open_ledger
from tests.ledger.test_from_schema_2 import Old, many
from tests.support.faults import ManualClock


def test_that_an_older_ledger_is_migrated_is_told_once_before_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    old = Old(tmp_path / "state")
    old.record(many(200))
    old.write()
    file = tmp_path / "config.toml"
    file.write_text('[artifactd]\nstate_directory = "state"\n')
    lines, words = LogCapture(), list[int]()
    log = structlog.wrap_logger(None, processors=[lines])
    for _ in range(2):
        open_ledger(load(file, {}), log, ManualClock(0.0).clock, lambda: words.append(1)).close()
    assert [line["event"] for line in lines.entries] == ["ledger.migrating", "ledger.opened", "ledger.opened"]
    assert len(words) > 1
