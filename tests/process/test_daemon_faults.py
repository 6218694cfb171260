"""The real daemon while things break: nothing lost, nothing half-written seen, and all of it mends itself."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.ledger.schema import FILE
from tests.support.process import CSV, Site, a_zip, until
from tests.support.tampering import rewrite

KEY = "alice/one/train_preds.csv"


# --- the destination ---


def test_a_destination_that_is_missing_at_the_start_and_appears_later_gets_everything(site: Site) -> None:
    site.exports.rmdir()
    site.configure("[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5")
    for number in range(5):
        site.write(f"h2oai_experiment_{number}_train_predictions.csv")
    with site.daemon() as daemon:
        told = daemon.hear("store.unavailable")
        assert "does not exist" in told["reason"]
        # But while the store is tried:
        until(lambda: each_is_listed_once_with_what_it_waits_for(site), "a true list")
        due = "next try  due: at its turn"
        until(lambda: due in site.ok("list", "-l", "--state", "retrying"), "a next try that is due")
        assert len(daemon.heard("store.unavailable")) == 1
        site.exports.mkdir()
        daemon.hear("store.recovered")
        daemon.hear("artifact.exported", 5)
    assert len(site.exported()) == 5


def each_is_listed_once_with_what_it_waits_for(site: Site) -> bool:
    listed = site.json("list", "--json")
    once = len(listed) == len({one["source"] for one in listed}) == 5
    return once and all("does not exist" in one["reason"] for one in listed)


def test_a_full_destination_is_told_once_and_gets_everything_when_space_returns(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    tmpfs(site.exports, "2m")
    site.configure("[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5")
    ballast = site.exports / "ballast"
    ballast.write_bytes(bytes((2 << 20) - 40_000))
    contents = {f"{number}_preds_0000000{number}.csv": os.urandom(300_000) for number in range(5)}
    with site.daemon() as daemon:
        for name, content in contents.items():
            site.write(name, content)
        daemon.hear("store.unavailable")
        time.sleep(1.0)
        assert len(daemon.heard("store.unavailable")) == 1
        assert site.exported().keys() == {"ballast"}
        ballast.unlink()
        daemon.hear("artifact.exported", 5)
    assert site.exported() == {f"alice/one/{name}": content for name, content in contents.items()}
    assert site.leftovers() == []


def test_a_read_only_destination_is_told_and_gets_everything_when_it_is_writable_again(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    tmpfs(site.exports)
    subprocess.run(["mount", "-o", "remount,ro", site.exports], check=True)
    site.configure("[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5")
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("store.unavailable")
        subprocess.run(["mount", "-o", "remount,rw", site.exports], check=True)
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: CSV}


def test_a_destination_that_was_unmounted_is_never_filled_beneath_its_mount_point(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    disk = tmpfs(site.base / "disk")
    subprocess.run(["mount", "--bind", disk, site.exports], check=True)
    site.configure("[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5")
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        subprocess.run(["umount", site.exports], check=True)
        site.write("test_preds.csv")
        assert "Is it mounted?" in daemon.hear("store.unavailable")["reason"]
        assert list(site.exports.iterdir()) == []
        subprocess.run(["mount", "--bind", disk, site.exports], check=True)
        daemon.hear("artifact.exported", 2)
        assert site.exported().keys() == {KEY, "alice/one/test_preds.csv"}
    subprocess.run(["umount", site.exports], check=True)


# --- the state ---


def fill(path: Path) -> None:
    """Write into `path` until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_state_directory_stops_publishing_until_space_returns(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    tmpfs(site.state, "8m")
    with site.daemon() as daemon:
        fill(site.state / "ballast")
        wanted = {f"h2oai_experiment_{number}_train_predictions.csv": b"%d" % number for number in range(200)}
        for name, content in wanted.items():
            site.write(name, content)
        daemon.hear("ledger.unwritable")
        time.sleep(1.5)
        assert len(daemon.heard("ledger.unwritable")) == 1
        started = {entry["key"] for entry in site.json("audit") if entry["action"] == "artifact.started"}
        assert site.exported().keys() <= started
        assert not daemon.heard("ledger.writable")
        (site.state / "ballast").unlink()
        daemon.hear("ledger.writable")
        daemon.hear("artifact.exported", 200)
    assert site.exported() == {f"alice/one/{name}": content for name, content in wanted.items()}
    site.ok("verify")


def test_told_to_stop_while_the_record_cannot_be_written_it_stops(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    tmpfs(site.state, "8m")
    with site.daemon() as daemon:
        fill(site.state / "ballast")
        for number in range(200):
            site.write(f"h2oai_experiment_{number}_train_predictions.csv")
        daemon.hear("ledger.unwritable")
        assert daemon.stop() == 0
    (site.state / "ballast").unlink()
    site.ok("sync")
    assert len(site.exported()) == 200


def test_a_state_directory_that_is_moved_away_stops_publishing_at_once_until_it_is_back(site: Site) -> None:
    elsewhere = site.base / "elsewhere"
    with site.daemon() as daemon:
        site.state.rename(elsewhere)
        assert "restart artifactd" in daemon.hear("ledger.unwritable")["reason"]
        site.write("train_preds.csv")
        elsewhere.rename(site.state)
        daemon.hear("ledger.writable")
        daemon.hear("artifact.exported")
        site.write("test_preds.csv")
        (site.state / "ledger.sqlite3").unlink()
        daemon.hear("ledger.unwritable", 2)
        assert "because of the record" in site.command("status").stdout
        assert daemon.stop() == 0
    assert site.exported().keys() <= {KEY, "alice/one/test_preds.csv"}


def stands(site: Site) -> dict[str, tuple[int, int, int]]:
    """Inode and times of each copy, which a write would change."""
    found = {key: path.stat() for key, path in site.files().items()}
    return {key: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for key, one in found.items()}


def damaged(site: Site) -> None:
    """Flip a byte of a row, which SQLite itself does not notice."""
    file = site.state / "ledger.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    at = content.index(b"read_back")
    content[at] ^= 1
    file.write_bytes(content)


def test_a_damaged_ledger_is_set_aside_and_rebuilt_and_the_copies_are_recognised_unwritten(
    site: Site,
) -> None:
    site.write("train_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip())
    site.ok("sync")
    copies = stands(site)
    (before,) = (site.exports / "_artifactd" / "anchors").iterdir()
    damaged(site)
    assert site.command("list").returncode == 6
    with site.daemon() as daemon:
        told = daemon.hear("ledger.damaged")
        daemon.hear("artifact.exported", 2, written=False)
    assert Path(told["set_aside"]).exists()
    assert stands(site) == copies
    assert site.command("verify").returncode == 15, "the anchors of the damaged one are another record's"
    site.ok("verify", "--expect", before.name)


def test_damage_in_the_configuration_on_record_stops_nobody(site: Site) -> None:
    for number in range(100):  # more than are checked before the ledger is used
        site.write("train_preds.csv", experiment=f"e{number:03}")
    site.ok("sync")
    rewrite(
        site.state / FILE, lambda one: replace(one, line=one.line[:-9]) if one.tells("config.taken") else one
    )
    assert site.command("verify").returncode == 10
    with site.daemon() as daemon:
        daemon.hear("ledger.damaged")
        daemon.hear("daemon.started")
    assert json.loads(site.ok("audit").splitlines()[0])["action"] == "ledger.rebuilt"


def test_damage_in_what_nobody_reads_is_found_while_there_is_nothing_else_to_do(site: Site) -> None:
    for number in range(100):  # more than are checked before the ledger is used
        site.write("train_preds.csv", experiment=f"e{number:03}")
    site.ok("sync")
    shutil.rmtree(site.data / "alice")
    damaged(site)
    with site.daemon() as daemon:
        daemon.hear("daemon.started")
        told = daemon.hear("ledger.damaged")
        daemon.hear("daemon.started", 2)
    assert Path(told["set_aside"]).exists()
    assert json.loads(site.ok("audit").splitlines()[0])["action"] == "ledger.rebuilt"


def test_a_newer_ledger_is_refused_untouched(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    with closing(sqlite3.connect(site.state / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA journal_mode=DELETE")
    before = (site.state / "ledger.sqlite3").read_bytes()
    done = site.command("run")
    assert done.returncode == 6
    assert "newer" in done.stderr
    assert (site.state / "ledger.sqlite3").read_bytes() == before


# --- being stopped ---


def large(site: Site) -> bytes:
    """Write an artifact whose upload takes long enough to be met in the middle."""
    content = os.urandom(1 << 20) * 256
    site.write("train_preds.csv", content)
    return content


def met_in_the_middle(site: Site) -> None:
    """Wait until a part of a copy is written."""
    until(lambda: any(path.stat().st_size for path in site.leftovers()), "a copy under way")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_in_the_middle_of_a_large_upload_it_ends_with_0_and_leaves_nothing_half_done(
    site: Site, number: signal.Signals
) -> None:
    content = large(site)
    with site.starting() as daemon:
        met_in_the_middle(site)
        assert daemon.stop(number) == 0
    assert daemon.heard("daemon.stopped", reason=number.name)
    assert site.leftovers() == []
    assert site.exported() in ({}, {KEY: content})
    site.ok("sync")
    assert site.exported() == {KEY: content}


def test_killed_in_the_middle_of_a_large_upload_the_next_run_repeats_it_and_cleans_up(site: Site) -> None:
    content = large(site)
    with site.starting() as daemon:
        met_in_the_middle(site)
        daemon.kill()
    assert site.exported() == {}
    with site.daemon() as daemon:
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: content}
    assert site.leftovers() == []
    site.ok("verify")


def test_told_to_stop_while_the_store_hangs_it_stops_all_the_same(site: Site) -> None:
    """As in a dead mount: the flush of the copy's directory does not return."""
    site.write("train_preds.csv")
    log = site.base / "trace"
    copied = str(site.exports / "alice/one")
    hanging = ["strace", "-f", "-P", copied, "-o", str(log), "-etrace=fsync", "-einject=fsync:delay_enter=8s"]
    with subprocess.Popen(
        [*hanging, *site.arguments("sync", "--wait", "1")], env=site.environment, stderr=subprocess.PIPE
    ) as process:
        until(lambda: log.exists() and "fsync(" in log.read_text(), "a flush that hangs")
        flush = next(line for line in log.read_text().splitlines() if "fsync(" in line)
        os.kill(int(flush.split()[0]), signal.SIGINT)  # any of its threads will do
        assert process.stderr is not None
        assert b"train_preds.csv in file_system: not finished" in process.stderr.readline()
        assert "DELAYED" not in log.read_text(), "it waited for the flush"
    assert process.returncode == 5
    site.ok("sync")
    assert site.exported() == {KEY: CSV}


def test_a_daemon_whose_log_nobody_reads_any_more_fails_rather_than_go_on_unheard(site: Site) -> None:
    process = subprocess.Popen(
        site.arguments("run"), stdout=subprocess.PIPE, cwd=site.base, env=site.environment
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    site.write("train_preds.csv", b"1")
    assert process.wait(timeout=60) == 1
    site.ok("sync")
    assert list(site.exported().values()) == [b"1"]
