"""sync, export, hint, retry: as real commands, with a daemon and without."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import CONFINED, CSV, Site, a_zip, until

CONFLICT = b"somebody else's bytes"


def planted(site: Site, key: str, content: bytes = CONFLICT) -> Path:
    """A file at the destination that artifactd did not write."""
    path = site.exports / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- sync ---


def test_sync_exports_what_is_wanted_and_ends_with_0(site: Site) -> None:
    site.write("train_preds.csv")
    site.write("model.pickle")
    site.write("report_abcde_tmp/report.docx")
    *_, finished = site.json("sync")
    assert site.command("sync").returncode == 0
    assert (finished["event"], finished["complete"], finished["exported"]) == ("sync.finished", True, 1)
    assert site.exported() == {"alice/one/train_preds.csv": CSV}


def test_a_second_sync_exports_nothing_and_says_that_it_was_proven_before(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    before = site.files()["alice/one/train_preds.csv"].stat()
    *_, finished = site.json("sync")
    assert (finished["exported"], finished["unchanged"]) == (0, 1)
    assert site.files()["alice/one/train_preds.csv"].stat() == before


def test_sync_ends_with_5_where_a_file_is_still_open_and_says_which_and_why(site: Site) -> None:
    path = site.write("train_preds.csv")
    site.write("test_preds.csv")
    with path.open("ab"):
        done = site.command("sync", "--wait", "1")
    assert done.returncode == 5
    assert "alice/h2oai_experiment_one/train_preds.csv: open for writing" in done.stderr
    assert site.exported().keys() == {"alice/one/test_preds.csv"}


def test_sync_ends_with_5_where_a_conflict_needs_a_person_today_and_tomorrow(site: Site) -> None:
    site.write("train_preds.csv")
    planted(site, "alice/one/train_preds.csv")
    first, second = site.command("sync"), site.command("sync")
    assert (first.returncode, second.returncode) == (5, 5)
    assert "artifactd did not write" in first.stderr
    assert "artifactd list --state refused" in second.stderr
    assert site.exported() == {"alice/one/train_preds.csv": CONFLICT}


def test_sync_ends_with_5_where_the_destination_is_missing(site: Site) -> None:
    site.write("train_preds.csv")
    site.exports.rmdir()
    done = site.command("sync", "--wait", "1")
    assert done.returncode == 5
    assert "does not exist" in done.stderr


def test_sync_ends_with_5_where_the_data_directory_is_missing(site: Site) -> None:
    site.data.rmdir()
    assert site.command("sync", "--wait", "1").returncode == 5


def test_sync_with_the_master_switch_off_exports_nothing_and_says_so(site: Site) -> None:
    site.write("train_preds.csv")
    site.configure(enabled=False)
    done = site.command("sync")
    assert "enable_artifacts_upload is false" in done.stderr
    assert site.exported() == {}
    assert not site.state.exists()


# --- exit codes that all of these share ---


@pytest.mark.parametrize("command", ["run", "sync", "list", "plan", "verify", "audit", "check"])
def test_a_wrong_configuration_ends_with_3_and_lists_every_problem(site: Site, command: str) -> None:
    site.config.write_text('[watch]\nquiet_secconds = 1\n[retry]\ngive_up_after = "soon"\n')
    done = site.command(command)
    assert done.returncode == 3
    assert "quiet_seconds" in done.stderr
    assert "give_up_after" in done.stderr


@pytest.mark.parametrize(
    "command", [("sync",), ("run",), ("export", "data/alice/h2oai_experiment_one/a.csv")]
)
def test_a_state_directory_that_cannot_be_written_ends_with_6(site: Site, command: tuple[str, ...]) -> None:
    site.state.write_text("a file stands in its place")
    done = site.command(*command)
    assert done.returncode == 6, done.stderr
    assert str(site.state) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("sync", "--wait", "-1"), ("export",), ("retry",), ("no-such-command",)]
)
def test_a_wrong_command_line_ends_with_2(site: Site, arguments: tuple[str, ...]) -> None:
    assert site.command(*arguments).returncode == 2


# --- export by hand ---


@pytest.fixture(params=["with a daemon", "without"])
def by_hand(request: pytest.FixtureRequest, site: Site) -> Iterator[Site]:
    """A site on which exports by hand are tried both ways."""
    if request.param == "without":
        yield site
    else:
        with site.daemon():
            yield site


def test_what_no_rule_names_is_exported_when_a_person_asks(by_hand: Site) -> None:
    report = by_hand.write("report_abcde_tmp/report.docx")
    (answer,) = by_hand.json("export", str(report), "--json")
    assert answer["ok"]
    assert answer["rule"] == "by hand"
    assert by_hand.exported() == {"alice/one/report.docx": CSV}


def test_a_person_can_name_the_copy(by_hand: Site) -> None:
    report = by_hand.write("report_abcde_tmp/report.docx")
    out = by_hand.ok("export", str(report), "--as", "for the board.docx")
    assert "for%20the%20board.docx" in out
    assert by_hand.exported() == {"alice/one/for the board.docx": CSV}


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
    ],
)
def test_what_cannot_be_exported_by_hand_ends_with_5_and_the_reason(
    by_hand: Site, path: str, reason: str
) -> None:
    by_hand.write("train_preds.csv")
    (by_hand.data / "alice" / "notes.txt").write_text("x")
    done = by_hand.command("export", path)
    assert done.returncode == 5
    assert reason in done.stderr


def test_a_busy_file_is_not_exported_by_hand_either_and_the_reason_is_told(by_hand: Site) -> None:
    path = by_hand.write("train_preds.csv")
    with path.open("ab"):
        done = by_hand.command("export", str(path), "--wait", "1")
    assert done.returncode == 5, done.stderr
    assert "not" in done.stderr


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


# --- hint ---


def test_a_hint_for_a_known_experiment_tells_how_many_artifacts_are_looked_at(site: Site) -> None:
    site.configure(quiet=20.0)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        assert site.ok("hint", "one") == "1 artifacts are looked at now\n"
        assert daemon.hear("artifact.exported")["evidence"].startswith("hinted+")


def test_a_hint_for_an_unknown_experiment_is_told_and_not_fatal(site: Site) -> None:
    with site.daemon() as daemon:
        done = site.command("hint", "nobody")
        assert done.returncode == 0
        assert "unknown experiment nobody" in done.stderr
        daemon.hear("hint.unknown", experiment_id="nobody")


def test_a_hint_without_a_daemon_is_told_and_not_fatal(site: Site) -> None:
    done = site.command("hint", "one")
    assert done.returncode == 0
    assert "no daemon answers" in done.stderr


STRANGER = """
import json, os, sys
from artifactd.service import control
from collections.abc import Iterator
from pathlib import Path
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(json.dumps(next(control.ask(Path(sys.argv[1]), sys.argv[2], experiment="one", path=sys.argv[3]))))
"""


def test_a_stranger_may_hint_and_ask_for_nothing_else(open_site: Site) -> None:
    site = open_site
    path = site.write("report_abcde_tmp/report.docx")

    def asks(action: str) -> dict[str, object]:
        command = [sys.executable, "-c", STRANGER, str(site.state), action, str(path)]
        answer: dict[str, object] = json.loads(subprocess.check_output(command))
        return answer

    with site.daemon() as daemon:
        site.state.chmod(0o711)
        (site.state / "control.sock").chmod(0o666)
        assert asks("hint")["ok"]
        refused = [asks(action) for action in ("export", "waiting", "anything")]
        assert not any(answer["ok"] for answer in refused)
        assert all("may hint, and ask for nothing else" in str(answer["reason"]) for answer in refused)
        assert daemon.hear("hint.received")["principal"] == "nobody"
    assert site.exported() == {}


# --- retry ---


def test_a_conflict_is_replayed_after_a_person_has_cleared_it_away(by_hand: Site) -> None:
    foreign = planted(by_hand, "alice/one/train_preds.csv")
    path = by_hand.write("train_preds.csv")
    by_hand.command("export", str(path))
    foreign.unlink()
    out = by_hand.ok("retry", str(path))
    assert "alice/h2oai_experiment_one/train_preds.csv in file_system: tried again (it was refused" in out
    by_hand.command("sync", "--wait", "5")
    until(lambda: by_hand.exported() == {"alice/one/train_preds.csv": CSV}, "the copy")


def test_everything_that_needs_a_person_can_be_replayed_at_once(site: Site) -> None:
    for name in ("train_preds.csv", "test_preds.csv"):
        site.write(name)
        planted(site, f"alice/one/{name}")
    site.command("sync")
    assert site.ok("retry", "--all").count("tried again") == 2


def test_nothing_to_replay_is_told(site: Site) -> None:
    path = site.write("train_preds.csv")
    named, everything = site.command("retry", str(path)), site.command("retry", "--all")
    assert (named.returncode, everything.returncode) == (1, 0)
    assert "nothing to try again" in named.stderr
