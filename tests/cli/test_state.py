"""What every command says of a state directory that it cannot use, or must not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from artifactd.ledger.schema import FILE
from tests.support.process import CONFINED, Site

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.parametrize(
    "command", [("list",), ("audit",), ("verify",), ("explain", "data/x"), ("status",), ("retry", "--all")]
)
def test_where_nothing_was_ever_exported_a_command_that_reads_ends_with_6_and_makes_nothing(
    site: Site, command: tuple[str, ...]
) -> None:
    done = site.command(*command)
    assert done.returncode == 6, done.stdout
    assert f"no ledger in {site.state}" in done.stderr
    assert "`artifactd sync` first, or mend artifactd.state_directory" in done.stderr
    assert not site.state.exists()


def test_status_without_a_ledger_says_that_no_daemon_runs_too(site: Site) -> None:
    assert "no daemon answers" in site.command("status").stdout


def test_where_the_state_directory_was_deleted_nobody_is_told_that_nothing_was_exported(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    shutil.rmtree(site.state)
    done = site.command("list")
    assert done.returncode == 6
    assert "or the directory was deleted or is not mounted" in done.stderr
    assert "A daemon that runs has stopped publishing then: its log says so" in done.stderr


def test_a_state_directory_that_every_account_may_write_is_refused(site: Site) -> None:
    site.state.mkdir()
    site.state.chmod(0o757)
    done = site.command("sync")
    assert done.returncode == 6
    assert (
        f"every account may write in {site.state}, and so forge the record: chmod o-w {site.state}"
        in done.stderr
    )
    assert list(site.state.iterdir()) == []
    site.state.chmod(0o770)
    site.ok("sync")


@pytest.mark.parametrize(("owner", "told"), [("65534", "sudo -u nobody"), ("3999999", "sudo -u '#3999999'")])
def test_root_does_not_export_from_another_accounts_state(open_site: Site, owner: str, told: str) -> None:
    open_site.state.mkdir()
    subprocess.run(["chown", owner, open_site.state], check=True)
    open_site.write("train_preds.csv")
    done = open_site.command("sync")
    assert done.returncode == 6
    assert f"{told} artifactd …" in done.stderr
    assert list(open_site.state.iterdir()) == list(open_site.exports.iterdir()) == []


def given_to_nobody(site: Site) -> None:
    for path in (site.state, site.exports):
        subprocess.run(["chown", "-R", "65534:65534", path], check=True)


def of_root(site: Site) -> Path:
    given_to_nobody(site)
    ledger = site.state / FILE
    subprocess.run(["chown", "0:0", ledger], check=True)
    return ledger


def test_a_ledger_of_another_account_is_told_with_whose_it_is(open_site: Site) -> None:
    open_site.ok("sync")
    ledger = of_root(open_site)
    for command in ("list", "sync"):
        done = open_site.command(command, under=NOBODY)
        assert done.returncode == 6
        assert (
            f"nobody may not use {ledger}, which is root's: run it as its owner, sudo -u root artifactd"
            in done.stderr
        )
        assert f"give it away, chown nobody {ledger}" in done.stderr


def test_a_state_directory_that_an_account_may_not_use_is_told_with_whose_it_is(open_site: Site) -> None:
    open_site.ok("sync")
    for command in ("list", "sync"):
        done = open_site.command(command, under=NOBODY)
        assert done.returncode == 6
        assert "nobody " in done.stderr
        assert str(open_site.state) in done.stderr


def test_a_state_directory_that_its_own_mode_closes_is_told(site: Site) -> None:
    site.state.mkdir()
    site.state.chmod(0o500)
    done = site.command("sync", under=CONFINED)
    assert done.returncode == 6
    assert f"may not use {site.state}, though it is its own: chmod u+rwX {site.state}" in done.stderr
