"""verify, audit, check: what is proven afterwards, and how each failure is told."""

import hashlib
import json
import shlex
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from artifactd.ledger.ledger import Ledger
from tests.support.process import CONFINED, CSV, Site, a_zip

KEY = "alice/one/train_preds.csv"


@pytest.fixture
def exported(site: Site) -> Site:
    """A site with two proven copies."""
    site.write("train_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip())
    site.ok("sync")
    return site


def changed(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def tampered(site: Site, *statements: str) -> None:
    """What somebody does who can write the ledger's file."""
    with closing(sqlite3.connect(site.state / "ledger.sqlite3", isolation_level=None)) as connection:
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, f"nothing was changed by {statement}"
        connection.execute("VACUUM")


# --- verify ---


def test_what_is_whole_verifies_with_0_and_goes_on_record(exported: Site) -> None:
    assert exported.ok("verify").startswith("2 copies and the record verified")
    last = json.loads(exported.ok("audit").splitlines()[-1])
    assert (last["action"], last["outcome"], last["copies"]) == ("copies.verified", "success", 2)


def test_a_missing_copy_ends_with_12_is_marked_as_lost_and_can_be_replayed(exported: Site) -> None:
    exported.files()[KEY].unlink()
    done = exported.command("verify")
    assert done.returncode == 12
    assert f"missing  file_system  {KEY}" in done.stderr
    (lost,) = exported.json("list", "--state", "lost", "--json")
    assert lost["key"] == KEY
    exported.command("sync")
    assert KEY not in exported.exported(), "what a person has to look at is not put back behind their back"
    exported.ok("retry", "--all")
    exported.ok("sync")
    assert exported.exported()[KEY] == CSV
    exported.ok("verify")


def test_a_different_copy_ends_with_11_and_is_left_as_it_is(exported: Site) -> None:
    changed(exported.files()[KEY], b"tampered")
    done = exported.command("verify")
    assert done.returncode == 11
    assert hashlib.sha256(b"tampered").hexdigest() in done.stderr
    exported.ok("retry", "--all")
    assert exported.command("sync").returncode == 5
    assert exported.exported()[KEY] == b"tampered"


def test_a_lost_copy_that_is_whole_again_is_confirmed(exported: Site) -> None:
    changed(exported.files()[KEY], b"tampered")
    exported.command("verify")
    changed(exported.files()[KEY], CSV)
    exported.ok("verify")
    assert {row["state"] for row in exported.json("list", "--json")} == {"proven"}


def test_a_key_that_the_ledger_does_not_know_ends_with_14_and_stays(exported: Site) -> None:
    (exported.exports / "stray").write_text("x")
    done = exported.command("verify")
    assert done.returncode == 14
    assert "unknown  file_system  stray" in done.stderr
    assert (exported.exports / "stray").exists()


def test_a_store_that_cannot_be_read_ends_with_13_and_nothing_counts_as_lost(exported: Site) -> None:
    exported.exports.rename(exported.base / "elsewhere")
    assert exported.command("verify").returncode == 13
    assert {row["state"] for row in exported.json("list", "--json")} == {"proven"}


def test_the_worst_finding_decides_the_exit_code_and_all_are_told(exported: Site) -> None:
    changed(exported.files()[KEY], b"tampered")
    exported.files()["alice/one/mojo.zip"].unlink()
    (exported.exports / "stray").write_text("x")
    assert exported.command("verify").returncode == 11
    *problems, summary = exported.json("verify", "--json")
    assert sorted(problem["problem"] for problem in problems) == ["different", "missing", "unknown"]
    assert summary["problems"] == {"different": 1, "missing": 1, "unknown": 1}


def test_a_sample_of_none_reads_no_copy_and_walks_the_record_all_the_same(exported: Site) -> None:
    exported.files()[KEY].unlink()
    assert exported.ok("verify", "--sample", "0").startswith("0 copies and the record verified")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET line = replace(line, 'alice', 'mallory') WHERE seq = 2",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE events SET line = replace(line, 'success', 'x') WHERE seq = (SELECT max(seq) FROM events)",
    ],
)
def test_an_altered_record_ends_with_10(exported: Site, statement: str) -> None:
    tampered(exported, statement)
    done = exported.command("verify")
    assert done.returncode == 10, done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_whose_tail_was_cut_shows_against_its_anchor(exported: Site) -> None:
    tampered(exported, "DELETE FROM events WHERE seq > 3")
    done = exported.command("verify")
    assert done.returncode == 10
    assert "anchored in file_system" in done.stderr


def test_a_record_that_was_written_anew_from_its_first_entry_is_told(exported: Site) -> None:
    (exported.state / "ledger.sqlite3").unlink()
    exported.ok("sync")
    done = exported.command("verify")
    assert done.returncode == 0
    assert "If there are none, this record was written anew" in done.stderr


def test_an_altered_row_ends_with_6_and_says_so(exported: Site) -> None:
    tampered(exported, "UPDATE copies SET size = size + 1")
    done = exported.command("verify")
    assert done.returncode == 6
    assert "not the one that was written" in done.stderr


def test_verifying_where_nothing_was_ever_exported_writes_nothing(site: Site) -> None:
    site.ok("verify")
    assert not site.state.exists()


# --- audit ---


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


# --- check ---


def checked(site: Site, *, code: int, under: tuple[str, ...] = ()) -> dict[str, tuple[bool, str]]:
    """Each check by name: whether it is well, and what was found with its mend."""
    done = site.command("check", "--json", under=under)
    assert done.returncode == code, done.stdout + done.stderr
    found = map(json.loads, done.stdout.splitlines())
    return {one["check"]: (one["ok"], f"{one['found']} → {one['mend']}") for one in found}


def test_where_all_is_well_every_check_says_so_and_the_state_directory_is_not_made(site: Site) -> None:
    found = checked(site, code=0)
    assert list(found) == [
        "account",
        "configuration",
        "data directory",
        "state directory",
        "store file_system",
        "inotify",
        "watcher",
        "clock",
    ]
    assert all(ok for ok, _ in found.values())
    assert not site.state.exists()
    assert checked(site, code=0), "a second check meets what the first one put"


def test_a_check_leaves_nothing_that_is_unknown_to_a_verification(exported: Site) -> None:
    checked(exported, code=0)
    exported.ok("verify")


def test_a_failed_check_is_one_line_with_its_mend_and_ends_with_7(site: Site) -> None:
    site.exports.rmdir()
    done = site.command("check")
    assert done.returncode == 7
    assert "FAIL store file_system: a put failed" in done.stdout
    assert "→" in done.stdout
    assert "1 of 8 checks failed" in done.stderr


def broken_data(site: Site) -> None:
    site.data.rmdir()


def closed_data(site: Site) -> None:
    site.folder().mkdir(parents=True)
    site.folder().chmod(0)


def closed_state(site: Site) -> None:
    site.state.mkdir()
    site.state.chmod(0o500)


def no_way_to_the_state(site: Site) -> None:
    site.base.chmod(0o500)


def closed_destination(site: Site) -> None:
    site.exports.chmod(0o555)


def no_overwrite(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    changed(site.exports / "_artifactd" / "check", b"somebody else's") if checked(site, code=0) else None


def clock_set_back(site: Site) -> None:
    ledger = Ledger.open(site.state, {})
    ledger.note(time.time() + 3600, {"action": "test", "outcome": "success"})
    ledger.close()


@pytest.mark.parametrize(
    ("broken", "check", "said"),
    [
        (broken_data, "data directory", "No such file"),
        (closed_data, "data directory", "may not read it"),
        (closed_state, "state directory", "Permission denied"),
        (no_way_to_the_state, "state directory", "may not make it"),
        (closed_destination, "store file_system", "Permission denied"),
        (no_overwrite, "store file_system", "other bytes"),
        (clock_set_back, "clock", "set back"),
    ],
)
def test_each_check_fails_with_what_was_found_and_a_mend(
    site: Site, broken: Callable[[Site], None], check: str, said: str
) -> None:
    broken(site)
    found = checked(site, code=7, under=CONFINED)
    ok, text = found[check]
    assert not ok
    assert said in text
    assert not text.endswith("→ ")


def test_too_few_inotify_watches_are_told_with_the_number_to_set(site: Site) -> None:
    for number in range(10):
        site.folder(str(number)).mkdir(parents=True)
    limited = ("unshare", "-Ur", "sh", "-c", 'echo 16 > /proc/sys/user/max_inotify_watches; exec "$@"', "sh")
    ok, text = checked(site, code=7, under=limited)["inotify"]
    assert not ok
    assert "12 directories, 16 watches allowed" in text
    assert "fs.inotify.max_user_watches=48" in text


def test_another_account_than_the_daemons_is_told_before_it_leaves_anything_behind(open_site: Site) -> None:
    open_site.state.mkdir()
    subprocess.run(["chown", "nobody", open_site.state], check=True)
    found = checked(open_site, code=7)
    assert list(found) == ["account"]
    assert "sudo -u nobody artifactd check" in found["account"][1]
    assert list(open_site.exports.iterdir()) == []


def test_the_master_switch_off_is_a_failed_check(site: Site) -> None:
    site.configure(enabled=False)
    ok, text = checked(site, code=7)["configuration"]
    assert not ok
    assert "enable_artifacts_upload = true" in text
