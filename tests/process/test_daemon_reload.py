"""Another configuration for the running daemon: taken whole or not at all; nothing in flight is disturbed."""

import json
import math
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artifactd.service import control
from tests.servers.faults import Fault, Slow, of
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.support.bucketed import PART, Bucketed
from tests.support.process import CSV, Daemon, Site, until

KEY = "alice/one/train_preds.csv"
LEAVE_CSV_ALONE = '[[policy]]\nname = "zips only"\nmatch = ["*.zip"]\n'


def entries(site: Site, action: str) -> list[dict[str, Any]]:
    """The record's entries of this action."""
    return [
        entry for line in site.ok("audit").splitlines() if (entry := json.loads(line))["action"] == action
    ]


def digest(site: Site) -> str:
    """Of the configuration in force, as the last entry of the record says."""
    return str(json.loads(site.ok("audit").splitlines()[-1])["config_digest"])


def begun(site: Site, *arguments: str) -> "subprocess.Popen[str]":
    """A command that goes on while the test does something else."""
    return subprocess.Popen(
        site.arguments(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=site.environment,
        cwd=site.base,
    )


def test_what_a_new_policy_wants_is_exported_after_a_reload_by_the_same_process(site: Site) -> None:
    site.configure(LEAVE_CSV_ALONE)
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        assert site.exported() == {}
        site.configure()
        assert "taken" in site.ok("reload")
        told = daemon.hear("config.reloaded")
        daemon.hear("artifact.exported")
        assert daemon.process.poll() is None
        assert {line["pid"] for line in daemon.lines} == {daemon.process.pid}
    assert site.exported() == {KEY: CSV}
    (entry,) = entries(site, "config.reloaded")
    assert entry["config_digest"] == told["previous_config_digest"]
    assert entry["asked_config_digest"] == told["config_digest"] == digest(site)
    assert site.command("verify").returncode == 0


def test_a_bad_configuration_is_refused_with_every_problem_and_the_old_one_goes_on(site: Site) -> None:
    with site.daemon() as daemon:
        site.configure("[watch.quiet]\n" + '[log]\nlevel = "loud"\n', quiet=-1)
        done = site.command("reload")
        assert done.returncode == 3
        assert all(problem in done.stderr for problem in ("watch.quiet_seconds", "log.level", "watch.quiet:"))
        told = daemon.hear("config.reload_failed")
        assert "quiet_seconds" in told["reason"]
        assert "log.level" in told["reason"]
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        assert daemon.stop() == 0
    site.configure()
    (entry,) = entries(site, "config.refused")
    assert entry["reason"] == told["reason"]
    assert entry["outcome"] == "failure"
    assert entry["config_digest"] == told["config_digest"] == digest(site)


def test_a_file_that_is_no_toml_at_all_is_refused_by_the_daemon_too(site: Site) -> None:
    site.environment["STATE_DIRECTORY"] = str(site.state)  # as systemd tells it
    with site.daemon() as daemon:
        site.config.write_text("enable_artifacts_upload = tru")
        done = site.command("reload")
        assert (done.returncode, "line 1" in done.stderr) == (3, True)
        daemon.hear("config.reload_failed")


@pytest.mark.parametrize("broken", ["quiet_seconds = 2s", "[watch", "level = “info”"])
def test_the_daemon_is_found_by_what_can_be_made_out_in_a_file_that_is_no_toml(
    site: Site, broken: str
) -> None:
    with site.daemon() as daemon:
        site.config.write_text(f"{site.config.read_text()}{broken}\n")
        done = site.command("reload")
        assert (done.returncode, "not taken, the old configuration is kept" in done.stderr) == (3, True)
        daemon.hear("config.reload_failed")


def test_where_a_file_that_is_no_toml_hides_the_daemon_nobody_is_told_to_restart_it(site: Site) -> None:
    with site.daemon() as daemon:
        site.config.write_text("[artifactd\nstate_directory = 'state'\n[watch\n")
        done = site.command("reload")
        assert (done.returncode, "line 1" in done.stderr) == (3, True)
        assert "was not asked and goes on with its old configuration" in done.stderr
        assert "`systemctl reload` or SIGHUP reaches it" in done.stderr
        assert "restart" not in done.stderr
        assert not daemon.heard("config.reload_failed")


def test_a_status_with_a_bad_configuration_says_that_the_daemon_goes_on(site: Site) -> None:
    site.configure("[watch")
    done = site.command("status")
    assert done.returncode == 3
    assert done.stderr.endswith("A daemon that runs goes on with the configuration that it last took\n")


def test_another_state_directory_is_refused_because_it_needs_a_restart(site: Site) -> None:
    site.environment["STATE_DIRECTORY"] = str(site.state)
    with site.daemon() as daemon:
        site.config.write_text(site.config.read_text().replace('"state"', '"elsewhere"'))
        done = site.command("reload")
        assert done.returncode == 3
        assert "needs a restart" in done.stderr
        assert daemon.hear("config.reload_failed")["refused_config_digest"]
    assert not (site.base / "elsewhere").exists()


def test_a_signal_does_the_same(site: Site) -> None:
    with site.daemon() as daemon:
        daemon.process.send_signal(signal.SIGHUP)
        told = daemon.hear("config.reloaded")
        assert told["principal"] == "signal SIGHUP"
        assert told["config_digest"] == told["previous_config_digest"]
        site.configure(quiet=-1)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.hear("config.reload_failed")
        assert daemon.stop() == 0


def test_while_the_configuration_hangs_everything_goes_on(site: Site) -> None:
    with site.daemon() as daemon:
        said = site.config.read_text()
        site.config.unlink()
        os.mkfifo(site.config)  # whoever reads it waits until somebody has written
        daemon.process.send_signal(signal.SIGHUP)
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        assert not daemon.heard("config.reloaded")
        site.config.write_text(said)
        daemon.hear("config.reloaded")
        assert daemon.stop() == 0


def test_another_data_directory_is_watched_after_a_reload(site: Site) -> None:
    site.configure(rescan=3600.0)
    with site.daemon() as daemon:
        other = site.base / "other"
        (other / "bob" / "h2oai_experiment_two").mkdir(parents=True)
        site.config.write_text(site.config.read_text().replace('"data"', '"other"'))
        site.ok("reload")
        (other / "bob" / "h2oai_experiment_two" / "train_preds.csv").write_bytes(CSV)
        daemon.hear("artifact.exported")
        site.write("train_preds.csv")
        site.ok("reload")  # its scan would find what was written, if anybody still looked there
        daemon.hear("scan.finished", 3)
    assert site.exported() == {"bob/two/train_preds.csv": CSV}


def pointed(site: Site, target: str) -> None:
    """The data directory is a link to `target`, in one step."""
    (site.base / "link").symlink_to(target)
    (site.base / "link").rename(site.data)


def test_a_data_directory_that_is_not_there_is_refused(site: Site) -> None:
    with site.daemon():
        site.config.write_text(site.config.read_text().replace('"data"', '"dta"'))
        done = site.command("reload")
        assert done.returncode == 3
        assert f"data_directory: there is no directory {site.base / 'dta'}" in done.stderr


def test_a_link_to_the_data_directory_that_points_elsewhere_is_followed_or_told(site: Site) -> None:
    site.data.rename(site.base / "first")
    (site.base / "second").mkdir()
    pointed(site, "first")
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("artifact.exported", key=KEY)
        pointed(site, "second")
        site.write("test_preds.csv")
        daemon.hear("config.reloaded", principal="the link data_directory")
        daemon.hear("artifact.exported", key="alice/one/test_preds.csv")
        pointed(site, ".")  # which holds the state directory, too
        refused = daemon.hear("config.reload_failed", principal="the link data_directory")
        assert "lies in the data directory" in refused["reason"]
        status = next(control.ask(site.state, "status"))
        assert not status["ready"]
        assert any(f"data_directory leads to {site.base} now" in one["reason"] for one in status["reasons"])
        pointed(site, "second")
        until(lambda: site.json("status", "--json")[0]["ready"], "readiness")
        assert len(daemon.heard("config.reload_failed")) == 1


def test_the_log_level_is_taken_at_run_time(site: Site) -> None:
    with site.daemon() as daemon:
        site.configure('[log]\nlevel = "debug"\n')
        site.ok("reload")
        site.write("train_preds.csv")
        daemon.hear("artifact.started")


def test_exporting_is_switched_off_and_on_by_reloads(site: Site) -> None:
    with site.daemon() as daemon:
        site.configure(enabled=False)
        site.ok("reload")
        daemon.hear("daemon.disabled")
        site.write("train_preds.csv")
        assert site.command("reload").returncode == 0
        assert site.exported() == {}
        site.configure()
        site.ok("reload")
        daemon.hear("artifact.exported")
    assert site.exported() == {KEY: CSV}


def test_a_request_by_hand_is_answered_when_exporting_is_switched_off(site: Site) -> None:
    with site.daemon() as daemon, site.write("train_preds.csv").open("ab"):
        asking = begun(site, "export", str(site.folder() / "train_preds.csv"))
        daemon.hear("export.requested")
        site.configure(enabled=False)
        site.ok("reload")
        assert "enable_artifacts_upload is false" in asking.communicate(timeout=30)[1]
        assert asking.returncode == 5


def test_a_daemon_that_was_started_switched_off_is_switched_on_by_a_signal(site: Site) -> None:
    site.configure(enabled=False)
    with site.starting() as daemon:
        daemon.hear("daemon.disabled")
        site.configure()
        site.write("train_preds.csv")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.hear("artifact.exported")
        assert daemon.stop() == 0


def test_a_request_by_hand_outlives_a_reload(site: Site) -> None:
    with site.daemon() as daemon:
        with site.write("train_preds.csv").open("ab"):
            asking = begun(site, "export", str(site.folder() / "train_preds.csv"), "--as", "mine.csv")
            daemon.hear("export.requested")
            site.ok("reload")
        said, errors = asking.communicate(timeout=30)
        assert asking.returncode == 0, errors
        assert "mine.csv" in said
    assert "alice/one/mine.csv" in site.exported()


def test_hints_and_requests_reach_the_daemon_all_through_reloads(site: Site) -> None:
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("artifact.exported")
        reloads = [begun(site, "reload") for _ in range(3)]
        hints = [begun(site, "hint", "one") for _ in range(6)]
        for asked in (*reloads, *hints):
            asked.communicate(timeout=60)
        assert {asked.returncode for asked in hints} == {0}
        assert len(daemon.heard("hint.received")) == 6
        assert len(daemon.heard("config.reloaded")) >= 1


def test_without_a_daemon_a_reload_fails_and_says_so(site: Site) -> None:
    done = site.command("reload")
    assert done.returncode == 1
    assert "no daemon answers" in done.stderr
    assert (
        "Where artifactd.state_directory was changed, the daemon is on the old one: restart it" in done.stderr
    )


# --- in flight, and credentials ---


@pytest.fixture
def bucketed(site: Site, seaweed: S3Server) -> Iterator[Bucketed]:
    with Proxy(seaweed.url) as proxy:
        yield Bucketed(site, seaweed, proxy)


def test_what_is_in_flight_finishes_with_the_configuration_it_began_with(bucketed: Bucketed) -> None:
    site, content = bucketed.site, os.urandom(3 * PART)
    bucketed.proxy.faults.append(Fault(Slow(PART // 8), of("UploadPart"), math.inf))
    site.write("train_preds.csv", content)
    with site.daemon() as daemon:
        until(lambda: bucketed.sent("UploadPart"), "a part is under way")
        reloading = begun(site, "reload")
        assert reloading.stderr is not None
        assert "1 file in flight is finished first" in reloading.stderr.readline()
        site.write("test_preds.csv")
        reloading.communicate(timeout=60)
        assert reloading.returncode == 0
        daemon.hear("artifact.exported", 2)
        events = [line["event"] for line in daemon.lines]
        assert events.index("artifact.exported") < events.index("config.reloaded")
        last = len(events) - events[::-1].index("artifact.exported")
        assert last > events.index("config.reloaded"), "nothing new began before the new configuration"
    assert bucketed.content(KEY) == content
    assert len(bucketed.sent("CreateMultipartUpload")) == 1


def test_a_reload_that_comes_too_late_to_be_taken_is_answered_when_the_daemon_stops(
    bucketed: Bucketed,
) -> None:
    site = bucketed.site
    bucketed.proxy.faults.append(Fault(Slow(PART // 8), of("UploadPart"), math.inf))
    site.write("train_preds.csv", os.urandom(3 * PART))
    with site.daemon() as daemon:
        until(lambda: bucketed.sent("UploadPart"), "a part is under way")
        reloading = begun(site, "reload")
        assert reloading.stderr is not None
        reloading.stderr.readline()
        assert daemon.stop() == 0
        assert "the daemon stops" in reloading.communicate(timeout=30)[1]
        assert reloading.returncode == 1


def test_rotated_credentials_are_picked_up(bucketed: Bucketed, tmp_path: Path) -> None:
    site, credentials = bucketed.site, tmp_path / "credentials"
    secret = site.environment.pop("DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY")
    credentials.mkdir(mode=0o700)
    (credentials / "aws_secret_access_key").write_text("it-was-rotated-away\n")
    site.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        assert daemon.hear("store.unavailable")["needs_person"]
        (credentials / "aws_secret_access_key").write_text(f"{secret}\n")
        site.ok("reload")
        daemon.hear("artifact.exported")
    assert bucketed.content(KEY) == CSV
    _no_secret(daemon, secret)


def _no_secret(daemon: Daemon, secret: str) -> None:
    assert secret not in "".join(map(str, daemon.lines))
