"""artifactd plan, as a real command."""

import os
from pathlib import Path

from tests.support.process import CONFINED, Site


def test_plan_says_what_a_sync_would_do_and_touches_nothing(site: Site) -> None:
    site.write("train_preds.csv")
    site.write("model.pickle")
    os.mkfifo(site.folder() / "test_preds.csv")
    before = site.stamps()
    would = {Path(one["source"]).name: one["would"] for one in site.json("plan", "--all", "--json")}
    assert would == {"train_preds.csv": "export", "model.pickle": "leave", "test_preds.csv": "refuse"}
    assert not site.state.exists()
    assert site.stamps() == before


def test_plan_leaves_out_what_is_done_or_left_alone_unless_asked_for_all(busy: Site) -> None:
    busy.write("train_preds.csv", b"changed")
    busy.write("test_preds.csv")
    before = busy.stamps()
    would = {
        Path(one["source"]).name: one["would"]
        for one in busy.json("plan", "--json")
        if "alice" in one["source"]
    }
    assert would == {"train_preds.csv": "compare", "test_preds.csv": "export"}
    assert busy.stamps() == before


def test_plan_tells_of_directories_that_it_could_not_look_into(site: Site) -> None:
    site.write("train_preds.csv")
    site.folder().chmod(0)
    done = site.command("plan", "--json", under=CONFINED)
    assert '"would": "unobservable"' in done.stdout


def test_plan_and_check_tell_of_files_that_this_account_may_not_read(site: Site) -> None:
    for number in range(5):
        site.write(f"{number}_preds_0123abcd.csv").chmod(0o200)
    site.write("train_preds.csv")
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    told = "root may not read 5 of the files: "
    mend = "let root read them: chmod g+rX, or an ACL (setfacl -R -m u:root:rX)"
    planned = site.command("plan", "--json", under=CONFINED)
    assert planned.stdout.count('"would": "refuse"') == 5
    assert '"reason": "root may not read it"' in planned.stdout
    (warning,) = (line for line in planned.stderr.splitlines() if told in line)
    assert warning.endswith(f"; …: {mend}")
    assert warning.count("_preds_0123abcd.csv") == 3
    assert "to file_system: 1 file" in planned.stderr
    checked = site.command("check", under=CONFINED)
    assert checked.returncode == 7
    assert f"FAIL data directory: {told}" in checked.stdout
    assert f"→ {mend}" in checked.stdout


def test_plan_says_that_the_master_switch_is_off(site: Site) -> None:
    site.configure(enabled=False)
    assert "enable_artifacts_upload is false" in site.command("plan").stderr
