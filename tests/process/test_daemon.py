"""The real daemon on a real directory: what it exports, when, and what it leaves alone."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.process import CONFINED, CSV, Site, a_zip, until

KEY = "alice/one/train_preds.csv"


# --- what is written in the usual ways ---


def test_an_experiment_written_step_by_step_is_exported_once_and_nothing_else(site: Site) -> None:
    with site.daemon() as daemon:
        site.write("model.pickle", b"working state")
        slow = site.write("train_preds.csv", b"")
        with slow.open("ab") as file:
            for row in range(5):
                file.write(b"%d,0.5\n" % row)
                file.flush()
                time.sleep(0.1)
        site.write("mojo_pipeline/mojo.zip", a_zip())
        site.write("h2oai_experiment_summary_one.zip", a_zip(b"summary"))
        site.write("h2oai_experiment_logs_one.zip", a_zip(b"logs"))
        (site.folder() / "model.pickle").unlink()
        daemon.hear("artifact.exported", 4)
    assert site.exported() == {
        KEY: b"0,0.5\n1,0.5\n2,0.5\n3,0.5\n4,0.5\n",
        "alice/one/mojo.zip": a_zip(),
        "alice/one/h2oai_experiment_summary_one.zip": a_zip(b"summary"),
        "alice/one/h2oai_experiment_logs_one.zip": a_zip(b"logs"),
    }
    assert len(daemon.heard("artifact.exported")) == 4
    assert not daemon.heard("watch.missed")


def test_a_file_held_open_for_writing_is_waited_for_shown_with_its_reason_and_exported_after_close(
    site: Site,
) -> None:
    with site.daemon() as daemon:
        with site.write("train_preds.csv").open("ab") as file:
            until(lambda: _reason(site) == "open for writing", "the reason in the list")
            file.write(b"2,0.75\n")
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: CSV + b"2,0.75\n"}


def _reason(site: Site) -> object:
    waiting = site.json("list", "--state", "waiting", "--json")
    return waiting[0]["reason"] if waiting else None


def test_a_file_that_grows_without_being_held_open_is_waited_for(site: Site) -> None:
    site.configure(quiet=0.6)
    with site.daemon() as daemon:
        path = site.write("train_preds.csv", b"")
        for row in range(10):
            with path.open("ab") as file:
                file.write(b"%d\n" % row)
            time.sleep(0.15)
            assert not daemon.heard("artifact.exported")
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: b"".join(b"%d\n" % row for row in range(10))}


def test_a_truncated_zip_is_waited_for_until_it_is_whole(site: Site) -> None:
    whole = a_zip(os.urandom(10_000))
    with site.daemon() as daemon:
        path = site.write("mojo_pipeline/mojo.zip", whole[:5_000])
        until(lambda: "zip" in str(_reason(site)), "the reason in the list")
        with path.open("ab") as file:
            file.write(whole[5_000:])
        daemon.hear("artifact.exported")
    assert site.exported() == {"alice/one/mojo.zip": whole}


def test_a_file_that_stays_busy_is_told_as_such_once_and_never_dropped(site: Site) -> None:
    site.configure("max_wait_seconds = 0.5")
    with site.daemon() as daemon:
        with site.write("train_preds.csv").open("ab"):
            told = daemon.hear("artifact.waiting")
            assert (told["source"], told["reason"]) == (
                "alice/h2oai_experiment_one/train_preds.csv",
                "still changing: open for writing",
            )
        daemon.hear("artifact.exported")
    assert len(daemon.heard("artifact.waiting")) == 1


def test_files_and_trees_that_are_moved_copied_and_unpacked_in_are_exported(site: Site) -> None:
    outside = site.base / "outside"
    tree = outside / "h2oai_experiment_moved"
    (tree / "mojo_pipeline").mkdir(parents=True)
    (tree / "mojo_pipeline" / "mojo.zip").write_bytes(a_zip())
    (tree / "train_preds.csv").write_bytes(CSV)
    for path in tree.rglob("*"):
        os.utime(path, (1e9, 1e9))  # tar and cp -p date back
    shutil.copytree(tree, outside / "h2oai_experiment_copied")
    shutil.copytree(tree, outside / "h2oai_experiment_packed")
    subprocess.run(["tar", "-cf", outside / "a.tar", "-C", outside, "h2oai_experiment_packed"], check=True)
    (site.data / "alice").mkdir()
    with site.daemon() as daemon:
        into = site.data / "alice"
        site.write("model.tmp")
        (outside / "one.csv").write_bytes(CSV)
        (outside / "one.csv").rename(site.folder() / "train_preds.csv")
        tree.rename(into / tree.name)
        subprocess.run(["cp", "-rp", outside / "h2oai_experiment_copied", into], check=True)
        subprocess.run(["tar", "-xf", outside / "a.tar", "-C", into], check=True)
        daemon.hear("artifact.exported", 7)
    assert site.exported() == {
        KEY: CSV,
        **{f"alice/{name}/train_preds.csv": CSV for name in ("moved", "copied", "packed")},
        **{f"alice/{name}/mojo.zip": a_zip() for name in ("moved", "copied", "packed")},
    }


@pytest.mark.parametrize(("table", "owner"), [('[layout]\nuser = "carol"', "carol"), ("", "nobody")])
def test_without_a_user_level_the_user_is_the_configured_one_or_the_folders_owner(
    site: Site, table: str, owner: str
) -> None:
    site.configure(table)
    with site.daemon() as daemon:
        site.folder("abcdefgh", user=None).mkdir()
        os.chown(site.folder("abcdefgh", user=None), 65534, 65534)
        site.write("train_preds.csv", experiment="abcdefgh", user=None)
        site.write("test_preds.csv")
        daemon.hear("artifact.exported", 2)
    assert site.exported().keys() == {f"{owner}/abcdefgh/train_preds.csv", "alice/one/test_preds.csv"}


def test_what_was_made_while_the_daemon_was_stopped_is_exported_at_its_start(site: Site) -> None:
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
    site.write("test_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("artifact.exported")
    assert site.exported().keys() == {KEY, "alice/one/test_preds.csv"}


# --- what changes, and what goes away ---


@pytest.mark.parametrize(
    ("on_change", "event", "expected"),
    [
        ("replace", "artifact.exported", {KEY: b"new"}),
        ("keep_both", "artifact.exported", {KEY: CSV, "alice/one/train_preds.11507a0e2f5e.csv": b"new"}),
        ("refuse", "artifact.kept", {KEY: CSV}),
    ],
)
def test_an_artifact_that_changed_is_treated_as_configured(
    site: Site, on_change: str, event: str, expected: dict[str, bytes]
) -> None:
    site.configure(ours=f'on_change = "{on_change}"')
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        site.write("train_preds.csv", b"new")
        daemon.hear(event, 2 if event == "artifact.exported" else 1)
    assert site.exported() == expected


def test_an_artifact_that_was_touched_and_has_the_same_bytes_is_not_put_again(site: Site) -> None:
    with site.daemon() as daemon:
        path = site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        copy = site.files()[KEY].stat()
        path.write_bytes(CSV)
        daemon.hear("artifact.unchanged")
    assert site.files()[KEY].stat() == copy


def test_deletion_at_the_source_leaves_the_copy(site: Site) -> None:
    site.configure(rescan=0.3)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        shutil.rmtree(site.folder())
        site.write("test_preds.csv", experiment="two")
        daemon.hear("artifact.exported", 2)
    assert site.exported()[KEY] == CSV
    (row,) = site.json("list", "--experiment", "one", "--json")
    assert row["state"] == "proven"


def test_an_unmounted_data_directory_is_not_deletion_and_is_exported_after_it_is_mounted_again(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    site.configure(rescan=0.3)
    disk = tmpfs(site.base / "disk")
    tmpfs(site.data)
    subprocess.run(["umount", site.data], check=True)
    subprocess.run(["mount", "--bind", disk, site.data], check=True)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        with site.write("test_preds.csv").open("ab"):
            until(lambda: _reason(site) == "open for writing", "the wait")
        subprocess.run(["umount", "--lazy", site.data], check=True)
        daemon.hear("watch.doubted")
        (disk / "alice" / "h2oai_experiment_one" / "valid_preds.csv").write_bytes(CSV)
        time.sleep(1.0)
        assert not daemon.heard("artifact.gone")
        subprocess.run(["mount", "--bind", disk, site.data], check=True)
        daemon.hear("artifact.exported", key="alice/one/test_preds.csv")
        daemon.hear("artifact.exported", key="alice/one/valid_preds.csv")
    assert site.exported().keys() == {KEY, "alice/one/test_preds.csv", "alice/one/valid_preds.csv"}
    assert len(daemon.heard("artifact.exported")) == 3
    assert not daemon.heard("artifact.gone")


def test_a_data_directory_that_was_moved_away_and_made_again_is_watched_again(site: Site) -> None:
    site.configure(rescan=0.5)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        site.data.rename(site.base / "old")
        site.data.mkdir()
        site.write("test_preds.csv")
        daemon.hear("artifact.exported", 2)
        site.write("valid_preds.csv")
        daemon.hear("artifact.exported", 3)
    assert len(site.exported()) == 3


def test_a_data_directory_that_appears_after_the_start_is_exported(site: Site) -> None:
    site.configure(rescan=0.3)
    site.data.rmdir()
    with site.daemon() as daemon:
        daemon.hear("scan.unobservable")
        site.data.mkdir()
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: CSV}


def test_an_unreadable_directory_is_told_and_exported_once_it_becomes_readable(site: Site) -> None:
    site.configure(rescan=0.3)
    site.write("train_preds.csv")
    site.folder().chmod(0)
    with site.daemon(under=CONFINED) as daemon:
        told = daemon.hear("scan.unobservable", source="alice/h2oai_experiment_one")
        assert "may not read it" in told["reason"]
        site.folder().chmod(0o755)
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: CSV}


def test_an_unreadable_directory_is_told_once_and_not_at_every_scan(site: Site) -> None:
    site.configure(rescan=0.1)
    site.folder().mkdir(parents=True)
    site.folder().chmod(0)
    with site.daemon(under=CONFINED) as daemon:
        daemon.hear("scan.unobservable")
        time.sleep(1.5)
    assert len(daemon.heard("scan.unobservable")) == 1


# --- who else is there ---


def test_a_second_daemon_ends_at_once_with_4_and_names_the_first(site: Site) -> None:
    with site.daemon() as daemon:
        before = site.stamps()
        second = site.command("run")
        assert second.returncode == 4
        assert f"process {daemon.process.pid}" in second.stderr
        assert second.stdout == ""
        assert site.stamps() == before


def test_with_the_master_switch_off_it_stays_up_says_so_exports_nothing_and_stops_when_told(
    site: Site,
) -> None:
    site.configure(enabled=False)
    site.write("train_preds.csv")
    with site.starting() as daemon:
        assert "enable_artifacts_upload is false" in daemon.hear("daemon.disabled")["reason"]
        time.sleep(0.5)
        assert daemon.stop() == 0
    assert site.exported() == {}
    assert not site.state.exists()


def test_commands_read_the_ledger_while_the_daemon_writes_it(site: Site) -> None:
    stop = threading.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            site.write(f"h2oai_experiment_{number}_train_predictions.csv")
            time.sleep(0.01)

    writer = threading.Thread(target=churn)
    with site.daemon() as daemon:
        writer.start()
        try:
            for command in ("list", "plan", "audit", "verify"):
                before = len(daemon.heard("artifact.exported"))
                site.ok(command)
                daemon.hear("artifact.exported", before + 1)
        finally:
            stop.set()
            writer.join()
