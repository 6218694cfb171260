"""artifactd verify, as a real command."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.ledger.record import Entry
from artifactd.ledger.schema import FILE
from tests.support.operator import changed
from tests.support.process import CSV, Site
from tests.support.tampering import Deed, rewrite, unguarded

KEY = "alice/one/train_preds.csv"


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


def told(entry: Entry, instead: str) -> Entry:
    """The entry with another user or outcome, under the hash that it had."""
    return replace(entry, line=entry.line.replace("alice", instead).replace("success", instead))


@pytest.mark.parametrize(
    "deed",
    [
        lambda entry: told(entry, "mallory") if entry.seq == 2 else entry,
        lambda entry: None if entry.seq == 3 else entry,
        lambda entry: told(entry, "x") if entry.fields["action"] == "audit.anchored" else entry,
    ],
    ids=["a line", "an entry less", "the last line"],
)
def test_an_altered_record_ends_with_10(exported: Site, deed: Deed) -> None:
    rewrite(exported.state / FILE, deed)
    done = exported.command("verify")
    assert done.returncode == 10, done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_whose_tail_was_cut_shows_against_its_anchor(exported: Site) -> None:
    rewrite(exported.state / FILE, lambda entry: None if entry.seq > 3 else entry)
    done = exported.command("verify")
    assert done.returncode == 10
    assert "anchored in file_system" in done.stderr


def anchors(site: Site) -> list[Path]:
    return sorted((site.exports / "_artifactd" / "anchors").rglob("*-*"))


@pytest.mark.parametrize("deed", [Path.unlink, lambda anchor: changed(anchor, b"x")], ids=["less", "altered"])
def test_an_anchor_that_is_missing_or_altered_ends_with_10(
    exported: Site, deed: Callable[[Path], None]
) -> None:
    (anchor,) = anchors(exported)
    deed(anchor)
    done = exported.command("verify")
    assert (done.returncode, "Traceback" in done.stderr) == (10, False)
    assert str(anchor.relative_to(exported.exports)) in done.stderr


def test_what_stands_after_the_last_anchor_is_told_with_its_numbers(exported: Site) -> None:
    number = int(anchors(exported)[-1].name.partition("-")[0])
    assert f"entry {number + 1} stands after the last anchor" in exported.ok("verify")
    assert f"entries {number + 1} to {number + 2} stand after the last anchor" in exported.ok("verify")


def test_a_record_that_was_written_anew_from_its_first_entry_ends_with_15_until_the_other_is_expected(
    exported: Site,
) -> None:
    other = anchors(exported)[0].parent.name
    (exported.state / "ledger.sqlite3").unlink()
    exported.ok("sync")
    done = exported.command("verify")
    assert done.returncode == 15
    assert (
        f"other_record  file_system  _artifactd/anchors/{other}  another record is anchored here"
        in done.stderr
    )
    exported.ok("verify", "--expect", other)


def test_an_altered_row_ends_with_10_and_the_others_are_proven(exported: Site) -> None:
    with unguarded(exported.state / FILE) as connection:
        connection.execute("UPDATE copies SET size = size + 1 WHERE id = (SELECT min(id) FROM copies)")
    done = exported.command("verify")
    assert done.returncode == 10
    assert "not the one that was written; the next `artifactd run` or `artifactd sync`" in done.stderr
    assert done.stdout.startswith("1 copy and the record verified")


def test_a_list_with_an_altered_row_says_what_becomes_of_the_ledger(exported: Site) -> None:
    with unguarded(exported.state / FILE) as connection:
        connection.execute("UPDATE copies SET size = size + 1")
    done = exported.command("list")
    assert done.returncode == 6
    assert "that meets it sets this ledger aside and fills a new one" in done.stderr


def test_verifying_where_nothing_was_ever_exported_writes_nothing(site: Site) -> None:
    assert site.command("verify").returncode == 6
    assert not site.state.exists()
