"""artifactd audit, as a real command."""

import hashlib
import json
import shlex
import subprocess

from tests.support.process import CSV, Site

KEY = "alice/one/train_preds.csv"


def test_an_exported_record_is_verified_by_a_few_lines_of_anybodys_code(exported: Site) -> None:
    previous = "0" * 64
    for number, line in enumerate(exported.ok("audit").splitlines(), start=1):
        fields = json.loads(line)
        assert (fields["seq"], fields["previous"]) == (number, previous)
        previous = hashlib.sha256(line.encode()).hexdigest()


def test_an_entry_says_what_auditors_look_for(exported: Site) -> None:
    entries = map(json.loads, exported.ok("audit").splitlines())
    entry = next(entry for entry in entries if entry["action"] == "artifact.exported" and entry["key"] == KEY)
    source = exported.folder() / "train_preds.csv"
    expected = {
        "outcome": "success",
        "rule": "built-in: export menu",
        "user": "alice",
        "experiment_id": "one",
        "kind": "train_predictions",
        "source": "alice/h2oai_experiment_one/train_preds.csv",
        "size": len(CSV),
        "mtime_ns": source.stat().st_mtime_ns,
        "sha256": hashlib.sha256(CSV).hexdigest(),
        "store": "file_system",
        "uri": (exported.exports / KEY).as_uri(),
        "attempt": 1,
        "service_account": "root",
    }
    assert {name: entry[name] for name in expected} == expected
    assert entry.keys() >= {
        "time",
        "seconds",
        "version",
        "config_digest",
        "host",
        "proof",
        "evidence",
        "reason",
    }


def test_the_record_can_be_read_on_from_any_entry(exported: Site) -> None:
    assert exported.ok("audit", "--after", "3") == "".join(exported.ok("audit").splitlines(keepends=True)[3:])


def test_whoever_reads_only_the_head_of_the_record_meets_no_error(exported: Site) -> None:
    for number in range(200):
        exported.write(f"h2oai_experiment_{number}_train_predictions.csv")
    exported.ok("sync")
    command = f"set -o pipefail; {shlex.join(exported.arguments('audit'))} | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=exported.environment
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
