"""artifactd audit, as a real command."""

import csv
import hashlib
import io
import json
import shlex
import subprocess
from dataclasses import replace

from artifactd.ledger.schema import FILE
from tests.support.process import CSV, Site
from tests.support.tampering import rewrite

KEY = "alice/one/train_preds.csv"


def test_an_exported_record_is_verified_by_a_few_lines_of_anybodys_code(exported: Site) -> None:
    previous = "0" * 64
    lines = exported.ok("audit").splitlines()
    assert len(lines) >= 4, "two copies, each begun and proven"
    for number, line in enumerate(lines, start=1):
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


def test_a_part_of_the_record_is_given_in_the_form_that_is_asked_for_and_says_that_it_proves_nothing(
    exported: Site,
) -> None:
    whole = exported.command("audit")
    assert whole.stderr == ""
    wanted = ("--user", "alice", "--experiment", "one", "--action", "artifact.exported", "--since", "1h")
    lines = [line for line in whole.stdout.splitlines() if '"action":"artifact.exported"' in line]
    part = exported.command("audit", *wanted)
    assert part.stdout.splitlines() == lines
    assert "proves nothing by itself" in part.stderr
    table = list(csv.DictReader(io.StringIO(exported.ok("audit", *wanted, "--format", "csv"))))
    assert sorted(row["key"] for row in table) == ["alice/one/mojo.zip", KEY]
    events = exported.json("audit", *wanted, "--format", "ocsf")
    assert [event["raw_data"] for event in events] == lines
    assert exported.ok("audit", "--until", "1h") == ""
    wrong = exported.command("audit", "--since", "yesterday")
    assert wrong.returncode == 2
    assert "2026-11-24T18:30:00Z" in wrong.stderr


def test_an_entry_that_was_altered_is_left_out_of_other_forms_and_told_by_its_number(exported: Site) -> None:
    rewrite(exported.state / FILE, lambda one: replace(one, line="x") if one.seq == 2 else one)
    for form in ("csv", "ocsf"):
        done = exported.command("audit", "--format", form)
        assert done.returncode == 0, done.stderr
        assert "entry 2 was altered and is left out" in done.stderr


def test_whoever_reads_only_the_head_of_the_record_meets_no_error(exported: Site) -> None:
    for number in range(200):
        exported.write(f"h2oai_experiment_{number}_train_predictions.csv")
    exported.ok("sync")
    command = f"set -o pipefail; {shlex.join(exported.arguments('audit'))} | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=exported.environment
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_an_action_that_does_not_exist_is_told_with_the_nearest(site: Site) -> None:
    done = site.command("audit", "--action", "artifact.exportd")
    assert done.returncode == 2
    assert "did you mean artifact.exported?" in " ".join(done.stderr.replace("│", " ").split())
