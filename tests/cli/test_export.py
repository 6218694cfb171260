"""artifactd export, as a real command, with a daemon and without."""

import json
import os
from pathlib import Path

import pytest

from tests.support.process import CONFINED, CSV, Site, a_zip


def test_what_no_rule_names_is_exported_when_a_person_asks(by_hand: Site) -> None:
    report = by_hand.write("report_abcde_tmp/report.docx")
    (answer,) = by_hand.json("export", str(report), "--json")
    assert answer["ok"]
    assert answer["rule"] == "by hand"
    assert by_hand.exported() == {"alice/one/report.docx": CSV}


def test_a_person_can_name_the_copy_and_is_on_record_with_it(by_hand: Site) -> None:
    by_hand.environment["SUDO_USER"] = "alice"
    report = by_hand.write("report_abcde_tmp/report.docx")
    out = by_hand.ok("export", str(report), "--as", "for the board.docx")
    assert "for%20the%20board.docx" in out
    assert by_hand.exported() == {"alice/one/for the board.docx": CSV}
    entries = [json.loads(line) for line in by_hand.ok("audit").splitlines()]
    requested = next(entry for entry in entries if entry["action"] == "export.requested")
    assert (requested["principal"], requested["principal_uid"], requested["sudo_user"]) == (
        "root",
        0,
        "alice",
    )
    its = [entry for entry in entries if entry.get("key") == "alice/one/for the board.docx"]
    assert [(entry["action"], entry["principal"]) for entry in its[1:]] == [
        ("artifact.started", "root"),
        ("artifact.exported", "root"),
    ]


def test_exporting_again_says_that_it_is_there(by_hand: Site) -> None:
    report = by_hand.write("train_preds.csv")
    first, second = (by_hand.json("export", str(report), "--json")[0] for _ in range(2))
    assert first["ok"]
    assert second["ok"]
    assert second["sha256"] == first["sha256"]
    assert (second["store"], second["key"]) == ("file_system", "alice/one/train_preds.csv")


def test_all_that_is_wanted_of_an_experiment_is_exported(by_hand: Site) -> None:
    by_hand.write("train_preds.csv")
    by_hand.write("mojo_pipeline/mojo.zip", a_zip())
    by_hand.write("model.pickle")
    by_hand.ok("export", "--experiment", "one")
    assert by_hand.exported().keys() == {"alice/one/train_preds.csv", "alice/one/mojo.zip"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("data/alice/h2oai_experiment_one/missing.csv", "no file is at"),
        ("data/alice/notes.txt", "no part of an experiment"),
        ("config.toml", "no part of an experiment"),
        ("data/alice/h2oai_experiment_one/link/train_preds.csv", "a link: links are not followed"),
    ],
)
def test_what_cannot_be_exported_by_hand_ends_with_5_and_the_reason(
    by_hand: Site, path: str, reason: str
) -> None:
    by_hand.write("train_preds.csv")
    (by_hand.data / "alice" / "notes.txt").write_text("x")
    (by_hand.folder() / "link").symlink_to(by_hand.folder())
    done = by_hand.command("export", path)
    assert done.returncode == 5
    assert reason in done.stderr
    assert Path(path).name in done.stderr


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", ""])
def test_who_tried_to_export_what_lies_elsewhere_is_on_record(by_hand: Site, path: str) -> None:
    done = by_hand.command("export", path)
    assert done.returncode == 5
    assert f"does not lie below the data directory {by_hand.data}" in done.stderr
    (line,) = by_hand.ok("audit", "--action", "export.requested").splitlines()
    tried = json.loads(line)
    assert (tried["outcome"], tried["principal"]) == ("failure", "root")
    assert tried["source"] == (path and os.path.abspath(by_hand.base / path))  # noqa: PTH100 - of a text


def test_a_busy_file_is_not_exported_by_hand_either_and_the_reason_is_told(by_hand: Site) -> None:
    path = by_hand.write("train_preds.csv")
    with path.open("ab"):
        done = by_hand.command("export", str(path), "--wait", "1")
    assert done.returncode == 5, done.stderr
    source, _, reason = done.stderr.partition(": ")
    assert source == "alice/h2oai_experiment_one/train_preds.csv"
    assert "open for writing" in reason or "no outcome yet" in reason


def test_an_unknown_experiment_ends_with_1(site: Site) -> None:
    done = site.command("export", "--experiment", "nobody")
    assert done.returncode == 1
    assert "no experiment nobody" in done.stderr


def test_an_experiment_of_which_nothing_is_wanted_is_told(site: Site) -> None:
    site.write("model.pickle")
    done = site.command("export", "--experiment", "one")
    assert done.returncode == 1
    assert "nothing" in done.stderr


def test_a_rule_that_ignores_holds_against_a_person_too(site: Site) -> None:
    site.configure('[[policy]]\nname = "no logs"\nmatch = "*_logs_*.zip"\naction = "ignore"\n')
    path = site.write("h2oai_experiment_logs_one.zip", a_zip())
    done = site.command("export", str(path))
    assert done.returncode == 5
    assert "rule 'no logs' ignores it" in done.stderr
    assert site.exported() == {}


def test_a_rule_about_sizes_holds_against_a_person_too_and_the_daemon_lives_on(site: Site) -> None:
    site.configure('[[policy]]\nname = "no large files"\nmin_size = 10\naction = "ignore"\n')
    large = site.write("large.docx", b"more than ten bytes")
    small = site.write("small.docx", b"few")
    with site.daemon():
        done = site.command("export", str(large))
        assert done.returncode == 5
        assert "rule 'no large files' ignores it" in done.stderr
        site.ok("export", str(small))


def test_the_master_switch_holds_against_a_person_too(site: Site) -> None:
    path = site.write("train_preds.csv")
    site.configure(enabled=False)
    done = site.command("export", str(path))
    assert done.returncode == 1
    assert "enable_artifacts_upload is false" in done.stderr
    assert site.exported() == {}


def test_a_file_that_was_deleted_while_it_waited_for_its_next_try_is_told_and_the_daemon_lives_on(
    site: Site,
) -> None:
    site.configure("[retry]\nfirst_seconds = 100\n")
    path = site.write("train_preds.csv")
    path.chmod(0)
    with site.daemon(under=CONFINED) as daemon:
        daemon.hear("artifact.failed")
        path.unlink()
        done = site.command("export", str(path))
        assert done.returncode == 5
        site.ok("list")
        assert daemon.process.poll() is None


def test_no_wait_at_all_is_a_wait_too(by_hand: Site) -> None:
    path = by_hand.write("train_preds.csv")
    done = by_hand.command("export", str(path), "--wait", "0")
    assert done.returncode in (0, 5), done.stderr
