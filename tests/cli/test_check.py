"""artifactd check, as a real command."""

import json
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from artifactd.clock import SYSTEM
from artifactd.config.assemble import load
from artifactd.inspection.check import checkup
from artifactd.inspection.probe import probed
from artifactd.ledger.ledger import Ledger
from tests.support.operator import changed
from tests.support.process import CONFINED, Site


def checked(site: Site, *, code: int, under: tuple[str, ...] = ()) -> dict[str, tuple[bool, str]]:
    """Each check by name: whether it is well, and what was found with its mend."""
    done = site.command("check", "--json", under=under)
    assert done.returncode == code, done.stdout + done.stderr
    found = map(json.loads, done.stdout.splitlines())
    return {one["check"]: (one["ok"], f"{one['found']} → {one['mend']}") for one in found}


def warnings(site: Site, name: str) -> list[str]:
    """Those of a check, where all is well."""
    checks = {one.name: one for one in checkup(load(site.config, site.environment), SYSTEM)}
    assert checks[name].ok
    return list(checks[name].warnings)


def test_where_all_is_well_every_check_says_so_and_the_state_directory_is_not_made(site: Site) -> None:
    found = checked(site, code=0)
    assert list(found) == [
        "account",
        "configuration",
        "data directory",
        "policy",
        "state directory",
        "store file_system",
        "room",
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


def test_a_check_makes_nothing_in_the_empty_mount_point_of_a_share_that_was_used(exported: Site) -> None:
    exported.exports.rename(exported.base / "elsewhere")
    exported.exports.mkdir()
    done = exported.command("check")
    assert done.returncode == 7
    assert "Is it mounted?" in done.stdout
    assert list(exported.exports.iterdir()) == []


def test_a_failed_check_is_one_line_with_its_mend_and_ends_with_7(site: Site) -> None:
    site.exports.rmdir()
    done = site.command("check")
    assert done.returncode == 7
    assert "FAIL store file_system: a put failed" in done.stdout
    assert "Make it, or mend artifacts_file_system_directory" in done.stdout
    assert "1 of 10 checks failed" in done.stderr


def broken_data(site: Site) -> None:
    site.data.rmdir()


def closed_data(site: Site) -> None:
    site.folder().mkdir(parents=True)
    site.folder().chmod(0)


def data_is_a_file(site: Site) -> None:
    site.data.rmdir()
    site.data.touch()


def too_deep_data(site: Site) -> None:
    (site.folder() / "/".join("d" * 40)).mkdir(parents=True)


def open_state(site: Site) -> None:
    site.state.mkdir()
    site.state.chmod(0o777)


def state_is_a_file(site: Site) -> None:
    site.state.touch()


def destination_is_a_file(site: Site) -> None:
    site.exports.rmdir()
    site.exports.touch()


def one_key_for_two(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    for folder in "ab":
        site.write(f"{folder}/preds.csv")


def too_large_an_artifact(site: Site) -> None:
    os.truncate(site.write("train_preds.csv"), 1 << 43)


def closed_state(site: Site) -> None:
    site.state.mkdir()
    site.state.chmod(0o500)


def no_way_to_the_state(site: Site) -> None:
    site.base.chmod(0o500)


def closed_destination(site: Site) -> None:
    site.exports.chmod(0o555)


def temporary_files_of_another_account(site: Site) -> None:
    temporary = site.exports / ".artifactd" / "tmp"
    temporary.mkdir(parents=True, mode=0o700)
    os.chown(temporary, 65534, 65534)


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
        (broken_data, "data directory", "No such file or directory → mount it"),
        (data_is_a_file, "data directory", "it is a file, or lies below one: mend data_directory"),
        (
            too_deep_data,
            "data directory",
            "more than 32 deep in it: what is in those stays → what lies there",
        ),
        (open_state, "state directory", "every account may write in "),
        (state_is_a_file, "state directory", "is no directory, or lies below a file. Mend artifactd.state_d"),
        (destination_is_a_file, "store file_system", "is a file, or lies below one. Mend artifacts_file_sys"),
        (one_key_for_two, "policy", "two files want one key: alice/h2oai_experiment_one/"),
        (too_large_an_artifact, "room", "file_system lacks room: 8.0 TiB to send"),
        (closed_data, "data directory", "may not read it"),
        (closed_state, "state directory", "though it is its own: chmod u+rwX"),
        (no_way_to_the_state, "state directory", "may not make it"),
        (closed_destination, "store file_system", "Permission denied. Let the daemon's account write there"),
        (
            temporary_files_of_another_account,
            "store file_system",
            "/.artifactd/tmp: Permission denied. Let the daemon's account write there",
        ),
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
    told_by_the_store_itself = check.startswith("store ") and said != "other bytes"
    assert text.endswith("→ ") is told_by_the_store_itself


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://127.0.0.1:1", "Nobody listens at that port: start the server, or mend aws_s3_endpoint_url"),
        ("http://s3.invalid:9000", "Mend aws_s3_endpoint_url, or this host's DNS"),
    ],
)
def test_a_bucket_that_cannot_be_reached_is_told_by_its_cause(site: Site, endpoint: str, said: str) -> None:
    site.environment |= {
        "DRIVERLESS_AI_ARTIFACTS_STORE": "S3",
        "DRIVERLESS_AI_ARTIFACTS_S3_BUCKET": "bucket",
        "DRIVERLESS_AI_AWS_ACCESS_KEY_ID": "AKIAOURS",
        "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "our-secret",
        "DRIVERLESS_AI_AWS_S3_ENDPOINT_URL": endpoint,
        "DRIVERLESS_AI_AWS_DEFAULT_REGION": "us-east-1",
    }
    store = probed(load(site.config, site.environment), "s3", SYSTEM, 30.0)
    assert not store.ok
    assert said in store.found
    assert store.mend == "", "the account's rights are no matter here"


def test_who_goes_beyond_the_bounds_of_the_watcher_is_named(site: Site) -> None:
    (site.folder() / "/".join("d" * 20)).mkdir(parents=True)
    ok, text = checked(site, code=0)["inotify"]
    assert ok
    assert "left to scans: alice/h2oai_experiment_one: deeper than 16 directories" in text


def test_too_few_inotify_watches_are_told_with_the_number_to_set(site: Site) -> None:
    for number in range(10):
        site.folder(str(number)).mkdir(parents=True)
    limited = ("unshare", "-Ur", "sh", "-c", 'echo 16 > /proc/sys/user/max_inotify_watches; exec "$@"', "sh")
    ok, text = checked(site, code=7, under=limited)["inotify"]
    assert not ok
    assert "12 directories, 16 watches allowed" in text
    assert "fs.inotify.max_user_watches=48" in text


def test_a_first_destination_on_the_file_system_of_the_root_is_a_warning_until_it_was_used(
    site: Site,
) -> None:
    at_the_root = site.exports.stat().st_dev == Path("/").stat().st_dev
    warned = [
        f"{site.exports} lies on the file system of /" in told for told in warnings(site, "store file_system")
    ]
    assert warned == [True] * at_the_root
    site.write("train_preds.csv")
    site.ok("sync")
    assert warnings(site, "store file_system") == []


def test_a_destination_with_a_mount_of_its_own_is_no_warning(
    site: Site, tmpfs: Callable[[Path, str], Path]
) -> None:
    tmpfs(site.exports, "1m")
    assert warnings(site, "store file_system") == []


def test_rules_that_match_nothing_are_a_warning(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*"\n[[policy]]\nname = "never"\nmatch = "*.zip"')
    assert warnings(site, "policy") == []
    site.write("train_preds.csv")
    assert warnings(site, "policy") == [
        "rule 'never' matches nothing that is there and that no rule before it takes"
    ]


@pytest.mark.parametrize(("known", "told"), [("false", True), ("true", False)])
def test_a_destination_that_folds_case_is_told_unless_that_is_known(
    site: Site, folding: Callable[[Path], Path], known: str, *, told: bool
) -> None:
    folding(site.exports)
    site.configure(ours=f"ignore_case = {known}")
    ok, found = checked(site, code=0)["store file_system"]
    assert ok
    said = "it takes names that differ only in case for one, and artifactd.ignore_case is off"
    assert (said in found) is told


def test_a_full_state_directory_is_told_with_its_room(site: Site, tmpfs: Callable[[Path, str], Path]) -> None:
    with (tmpfs(site.state, "1m") / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    found = checked(site, code=7)
    assert f"no room: the file system of {site.state} has 0 B free of 1.0 MiB" in found["state directory"][1]
    assert found["room"][1].startswith(
        "the state directory lacks room: 0 B free of 1.0 MiB, 100.0 MiB are wanted"
    )


def test_an_address_of_the_listener_that_is_in_use_is_told_unless_it_is_the_daemons_own(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        site.configure(f'[health]\nlisten = "127.0.0.1:{other.getsockname()[1]}"')
        ok, told = checked(site, code=7)["listener"]
        assert not ok
        assert "Address already in use → end what listens there, or choose another health.listen" in told
    with site.daemon():
        assert checked(site, code=0)["listener"][0]


@pytest.mark.parametrize("owner", ["nobody", "3999999"])
def test_another_account_than_the_daemons_is_told_before_it_leaves_anything_behind(
    open_site: Site, owner: str
) -> None:
    open_site.state.mkdir()
    subprocess.run(["chown", owner, open_site.state], check=True)
    found = checked(open_site, code=7)
    assert list(found) == ["account"]
    who = owner if owner == "nobody" else f"'#{owner}'"
    assert f"sudo -u {who} artifactd check" in found["account"][1]
    assert list(open_site.exports.iterdir()) == []


def test_the_master_switch_off_is_a_failed_check(site: Site) -> None:
    site.configure(enabled=False)
    ok, text = checked(site, code=7)["configuration"]
    assert not ok
    assert "enable_artifacts_upload = true" in text


def test_a_directory_that_hangs_is_a_failed_check_and_the_others_are_made(site: Site) -> None:
    found = list(checkup(load(site.config, site.environment), SYSTEM, seconds=0.0))
    (store,) = (one for one in found if one.name == "store file_system")
    assert (store.ok, store.found) == (False, "it hangs: 0 s without an answer")
    assert "clock" in {one.name for one in found}


def test_an_older_ledger_is_no_failure(site: Site) -> None:
    site.ok("sync")
    with closing(sqlite3.connect(site.state / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 2")
    (found,) = [one for one in site.json("check", "--json") if one["check"] == "state directory"]
    assert found["ok"]
    assert "the older schema 2: `artifactd run` or `artifactd sync` migrates it: keep" in found["warnings"][0]
