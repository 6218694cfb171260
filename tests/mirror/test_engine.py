"""What a ledger is opened with: the configuration of the day on record, and what is told meanwhile."""

import hashlib
import json
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from artifactd.config.assemble import load
from artifactd.config.effective import Config
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Entry
from artifactd.mirror import engine
from artifactd.mirror.engine import context, open_ledger, take
from tests.ledger.test_from_schema_2 import Old, many
from tests.support.faults import ManualClock
from tests.support.process import Site

HEAD = 'artifacts_store = "S3"\nartifacts_s3_bucket = "risk-exports"\ndata_directory = "data"\n'
CREDENTIALS = 'aws_access_key_id = "AKIDEXAMPLE"\naws_secret_access_key = "wJalrXUtnFEMI"\n'
RULE = '[[policy]]\nname = "rule {}"\nkinds = ["logs"]\naction = "ignore"\n'


def a_config(base: Path, policy: str = "") -> Config:
    (base / "data").mkdir(exist_ok=True)
    file = base / "config.toml"
    file.write_text(f'{HEAD}{CREDENTIALS}[artifactd]\nstate_directory = "state"\n{policy}')
    file.chmod(0o600)
    return load(file, {})


def taken(config: Config) -> list[Entry]:
    """Open the ledger with this configuration, as whoever writes it does; the entries that tell of it."""
    ledger = Ledger.open(config.state_directory, context(config))
    take(ledger, config, 1.0)
    entries = [one for one in ledger.entries() if one.tells("config.taken")]
    ledger.close()
    return entries


def test_the_rules_of_the_day_are_on_record_and_proven_by_the_digest_that_every_entry_names(
    tmp_path: Path,
) -> None:
    config = a_config(tmp_path, RULE.format("one"))
    (entry,) = taken(config)
    settings = str(entry.fields["settings"])
    assert hashlib.sha256(settings.encode()).hexdigest() == entry.fields["config_digest"] == config.digest
    said = json.loads(settings)
    assert 'name = "rule one"' in said["policy.1"]
    assert said["artifacts_s3_bucket"] == '"risk-exports"'
    assert "wJalrXUtnFEMI" not in entry.line


def test_a_configuration_goes_on_record_whenever_it_is_not_the_last_one_there(tmp_path: Path) -> None:
    first, other = a_config(tmp_path), a_config(tmp_path, RULE.format("one"))
    assert len(taken(first)) == 1
    assert len(taken(first)) == 1
    assert len(taken(other)) == 2
    assert len(taken(first)) == 3


def test_a_configuration_that_is_far_back_on_record_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOOKED_AT", 3)
    config = a_config(tmp_path)
    taken(config)
    ledger = Ledger.open(config.state_directory)
    for _ in range(3):
        ledger.note(1.0, {"action": "test", "outcome": "success"})
    ledger.close()
    assert len(taken(config)) == 2


def test_a_giant_policy_is_cut_and_its_size_is_told(tmp_path: Path) -> None:
    config = a_config(tmp_path, "".join(RULE.format("x" * 1000 + str(number)) for number in range(300)))
    (entry,) = taken(config)
    assert len(str(entry.fields["settings"])) == 256 << 10
    assert entry.fields["settings_size"] == len(config.canonical()) > 256 << 10
    assert len(taken(config)) == 1


def test_every_entry_that_commands_make_can_be_tied_to_its_configuration(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    site.configure("[retry]\nfirst_seconds = 77\n")
    site.ok("verify")
    entries = [json.loads(line) for line in site.ok("audit").splitlines()]
    assert [entry["action"] for entry in entries[:2]] == ["ledger.created", "config.taken"]
    known: set[str] = set()
    for entry in entries[1:]:
        if entry["action"] == "config.taken":
            known.add(entry["config_digest"])
        assert entry["config_digest"] in known, entry
    assert len(known) == 2


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
