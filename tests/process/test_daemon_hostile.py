"""The real daemon on hostile ground: nothing outside is read, no export exported again, nothing leaks."""

import os
import time
from pathlib import Path

import pytest

from tests.support.process import CSV, Site, a_zip
from tests.support.trees import beneath, chain, remove

KEY = "alice/one/train_preds.csv"


# --- exports inside the data directory ---


@pytest.mark.parametrize("exports", ["data", "data/tmp", "data/alice/h2oai_experiment_one/exports"])
def test_exports_into_the_watched_tree_are_never_exported_again(site: Site, exports: str) -> None:
    site.exports.rmdir()
    site.exports = site.base / exports
    site.exports.mkdir(parents=True, exist_ok=True)
    site.configure('[[policy]]\nname = "all"\nmatch = "**"\n', exports=exports, rescan=0.2)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        site.write("mojo_pipeline/mojo.zip", a_zip())
        daemon.hear("artifact.exported", 2)
        time.sleep(1.0)
        assert len(daemon.heard("artifact.exported")) == 2
    assert site.ok("sync")
    assert {row["key"] for row in site.json("list", "--json")} == {KEY, "alice/one/mojo.zip"}
    site.ok("verify")


# --- what is refused ---


def test_links_fifos_hard_links_and_sparse_giants_are_refused_and_no_secret_is_read(site: Site) -> None:
    secret = site.base / "secret"
    secret.write_bytes(b"CANARY")
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"\n')
    site.write("plain.csv")
    folder = site.folder()
    (folder / "link.csv").symlink_to(secret)
    (folder / "directory").symlink_to(site.base)
    (site.data / "alice" / "h2oai_experiment_linked").symlink_to(site.base)
    os.mkfifo(folder / "fifo.csv")
    os.link(secret, folder / "hard.csv")
    with (folder / "sparse.csv").open("wb") as file:
        file.truncate(1 << 40)
    with site.daemon() as daemon:
        daemon.hear("artifact.refused", 4)
        daemon.hear("artifact.exported")
        refused = {
            line["source"].rpartition("/")[2]: line["reason"] for line in daemon.heard("artifact.refused")
        }
    assert refused.keys() == {"link.csv", "fifo.csv", "hard.csv", "sparse.csv"}
    assert "link" in refused["link.csv"]
    assert "FIFO" in refused["fifo.csv"]
    assert "hard links" in refused["hard.csv"]
    assert "sparse" in refused["sparse.csv"]
    assert site.exported() == {"alice/one/plain.csv": CSV}
    assert {
        row["source"].rpartition("/")[2] for row in site.json("list", "--state", "refused", "--json")
    } == set(refused)


def test_names_that_make_no_key_are_refused_and_never_break_a_line(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"\n')
    names = [b"new\nline.csv", b"\xff.csv", b"\x1b[31mred.csv", b"good.csv"]
    site.folder().mkdir(parents=True)
    for name in names:
        Path(os.fsdecode(os.fsencode(site.folder()) + b"/" + name)).write_bytes(CSV)
    with site.daemon() as daemon:
        daemon.hear("artifact.refused", 3)
        daemon.hear("artifact.exported")
    assert site.exported() == {"alice/one/good.csv": CSV}
    out = site.ok("list")
    assert out.count("\n") == 4
    assert "\x1b" not in out


def test_directories_without_an_end_take_the_watcher_from_nobody(site: Site) -> None:
    """One chain is there at the start, one is made while the daemon watches. No scan comes on the timer."""
    first, second = (site.folder(experiment, "mallory") for experiment in ("first", "second"))
    for folder in (first, second):
        folder.mkdir(parents=True)
    with chain(first, 5_000), site.daemon() as daemon:
        site.write("train_preds.csv", experiment="one")
        daemon.hear("artifact.exported")
        with chain(second, 5_000):
            site.write("train_preds.csv", experiment="two")
            daemon.hear("artifact.exported", 2)
        assert not daemon.heard("watch.doubted")
        assert not daemon.heard("watch.missed")
    assert site.exported() == {KEY: CSV, "alice/two/train_preds.csv": CSV}


@pytest.mark.torture
def test_a_million_directories_take_the_watcher_from_nobody(site: Site) -> None:
    """They are more than there are watches. Neither to begin nor to begin anew does anybody wait for them."""
    hostile = site.folder("hostile", "mallory")
    for number in range(1_000):
        (hostile / str(number)).mkdir(parents=True)
        with beneath(hostile / str(number)) as directory:
            for below in range(1_000):
                os.mkdir(str(below), dir_fd=directory)
    try:
        with site.daemon() as daemon:
            site.write("train_preds.csv")
            daemon.hear("artifact.exported")
            assert not daemon.heard("watch.missed")
            assert not daemon.heard("watch.doubted", reason="the limit of inotify watches is reached")
        assert site.exported() == {KEY: CSV}
    finally:
        remove(hostile)


def test_secrets_are_in_no_line_no_record_and_no_command_line(site: Site) -> None:
    canaries = {
        "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "CANARY-s3",
        "DRIVERLESS_AI_ARTIFACTS_GIT_PASSWORD": "CANARY-git",
        "DRIVERLESS_AI_ARTIFACTS_AZURE_SAS_TOKEN": "CANARY-azure",
    }
    site.config.write_text('artifacts_azure_connection_string = "CANARY-file"\n' + site.config.read_text())
    with site.daemon(environment=canaries) as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        assert "CANARY" not in Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
        commands = [("list",), ("config", "show"), ("explain", "data/alice"), ("audit",), ("check",)]
        shown = [site.command(*command, environment=canaries) for command in commands]
    said = str(daemon.lines) + daemon.errors() + "".join(one.stdout + one.stderr for one in shown)
    assert "CANARY" not in said
    assert not [path for path in site.state.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]
