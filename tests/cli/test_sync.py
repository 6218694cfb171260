"""artifactd sync, as a real command."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.support.operator import CONFLICT, on_a_terminal, planted
from tests.support.process import CSV, Site


def test_sync_exports_what_is_wanted_and_ends_with_0(site: Site) -> None:
    site.write("train_preds.csv")
    site.write("model.pickle")
    site.write("report_abcde_tmp/report.docx")
    *_, finished = site.json("sync")
    again = site.command("sync")
    assert (again.returncode, again.stderr) == (0, "")
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


def test_where_the_kernel_does_not_say_who_writes_sync_sees_each_file_unchanged_for_long_enough(
    site: Site,
) -> None:
    """However old its times make it: the clock that they come from may be another one, or wrong."""
    site.configure(quiet=0.1)
    os.chown(site.write("train_preds.csv"), 65534, -1)
    under = ("setpriv", "--bounding-set=-lease", "--inh-caps=-lease")
    done = site.command("sync", "--wait", "0", under=under)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    [exported] = [line for line in lines if line["event"] == "artifact.exported"]
    assert exported["evidence"] == "quiet+writers_unknown"
    assert lines[-1]["seconds"] >= exported["seconds"] >= 0.5


def test_sync_ends_with_5_where_a_conflict_needs_a_person_today_and_tomorrow(site: Site) -> None:
    site.write("train_preds.csv")
    planted(site, "alice/one/train_preds.csv")
    first, second = site.command("sync"), site.command("sync")
    assert (first.returncode, second.returncode) == (5, 5)
    assert "artifactd did not write" in first.stderr
    assert "artifactd list --state refused" in second.stderr
    assert site.exported() == {"alice/one/train_preds.csv": CONFLICT}


def test_another_configuration_ends_a_refusal_that_the_last_one_gave(site: Site) -> None:
    site.write("train_preds.csv")
    site.configure("[limits]\nmax_file_size = 3\n")
    assert "over limits.max_file_size" in site.command("sync").stderr
    entries = site.ok("audit").count("\n")
    assert site.command("sync").returncode == 5
    assert site.ok("audit").count("\n") == entries, "the same one tries nothing again"
    site.configure()
    site.ok("verify")  # puts the other configuration on record, and ends no refusal
    site.ok("sync")
    assert site.exported() == {"alice/one/train_preds.csv": CSV}


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


def test_on_a_terminal_sync_tells_what_it_did_in_a_sentence(site: Site) -> None:
    site.write("train_preds.csv")
    path = site.write("test_preds.csv")
    with path.open("ab"):
        shown = re.split(r"\r(?:\x1b\[K|\n)", on_a_terminal(site, "sync", "--wait", "1"))
    assert any("1 copy proven now (22 B), 0 before" in line for line in shown)
    assert any(line.startswith("1 not complete, 1 copy done (22 B)") for line in shown)
    assert max(map(len, shown)) < 100


def test_where_the_destination_folds_case_no_artifact_takes_the_place_of_another(
    site: Site, folding: Callable[[Path], Path]
) -> None:
    folding(site.exports)
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    first, second = site.write("train_preds.csv"), site.write("Train_preds.csv")
    assert site.command("sync").returncode == 5
    (proven,) = site.exported().items()
    refused = second if proven[0].endswith(first.name) else first
    site.write(refused.name, b"newer")
    done = site.command("sync")
    assert done.returncode == 5
    assert "this destination takes the name for " in done.stderr
    assert proven == next(iter(site.exported().items()))
    site.ok("verify")
