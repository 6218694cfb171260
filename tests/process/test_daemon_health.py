"""The real daemon is asked how it is, over HTTP and by `artifactd status`."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from artifactd.health.http import AT_ONCE
from tests.servers.ports import free_ports
from tests.support.probes import connect, get, samples, unix, value
from tests.support.process import CSV, Daemon, Site, a_zip, until

QUICK = "[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5\n"


def listening(site: Site, where: str | None = None, tables: str = "", **settings: Any) -> str:  # noqa: ANN401 - as Site.configure
    """Configure a listener; its address."""
    where = where or f"127.0.0.1:{free_ports(1)[0]}"
    site.configure(f'[health]\nlisten = "{where}"\n{tables}', **settings)
    return where


def ready(where: str) -> bool:
    return get(where, "/readyz").status == 200


def reasons(where: str) -> list[dict[str, str]]:
    answer = get(where, "/readyz")
    found: list[dict[str, str]] = answer.json["reasons"]
    assert (answer.status == 200) is (found == []) is answer.json["ready"]
    return found


# --- a daemon that is well ---


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_daemon_that_is_well_is_live_and_ready_and_stays_so_while_it_exports(site: Site, kind: str) -> None:
    where = listening(site, unix(site.base) if kind == "unix" else None)
    with site.daemon() as daemon:
        until(lambda: ready(where), "readiness")
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        health = get(where, "/healthz")
        assert health.json == {"live": True, "phase": "running", "reasons": []}
        assert health.headers["Content-Type"] == "application/json"
        until(lambda: value(where, "copies", store="file_system", state="proven") == 1, "the copy")
        assert reasons(where) == []
        assert get(where, "/").status == 404
    assert not (site.base / "health.sock").exists()


def test_without_a_listener_it_has_no_port_of_the_machine(site: Site) -> None:
    with site.daemon() as daemon:
        opened = [str(fd.readlink()) for fd in Path(f"/proc/{daemon.process.pid}/fd").iterdir()]
        inodes = {fd.removeprefix("socket:[").rstrip("]") for fd in opened if fd.startswith("socket:")}
        tcp = "".join(Path(f"/proc/{daemon.process.pid}/net/{kind}").read_text() for kind in ("tcp", "tcp6"))
        assert inodes.isdisjoint(line.split()[9] for line in tcp.splitlines())


def test_metrics_move_with_what_is_exported_kept_and_lost(site: Site) -> None:
    where = listening(site, ours='on_change = "refuse"')
    with site.daemon() as daemon:
        before = samples(where)
        site.write("train_preds.csv")
        site.write("h2oai_experiment_summary_one.zip", a_zip())
        daemon.hear("artifact.exported", 2)
        size = len(CSV) + len(a_zip())
        until(lambda: value(where, "exported_bytes_total", store="file_system") == size, "bytes")
        assert value(where, "events_total", store="file_system", event="exported") == 2
        assert value(where, "export_seconds_count", store="file_system") == 2
        assert 0.3 < value(where, "export_seconds_sum", store="file_system") < 300.0, (
            "milliseconds would be more"
        )
        site.write("train_preds.csv", b"other bytes")
        daemon.hear("artifact.kept")
        until(lambda: value(where, "copies", store="file_system", state="kept") == 1, "the refusal")
        assert value(where, "events_total", store="file_system", event="kept") == 1
        summary = site.files()["alice/one/h2oai_experiment_summary_one.zip"]
        summary.unlink()
        assert site.command("verify").returncode == 12
        until(lambda: value(where, "copies", store="file_system", state="lost") == 1, "what verify found")
        assert samples(where).keys() >= before.keys()
        assert ready(where), "none of this holds up the others"


def test_what_is_waited_for_and_missed_is_counted(site: Site) -> None:
    where = listening(site)
    path = site.folder() / "train_preds.csv"
    path.parent.mkdir(parents=True)
    with site.daemon() as daemon, path.open("wb") as writer:
        writer.write(CSV)
        writer.flush()
        until(lambda: value(where, "incomplete_files") == 1, "the wait")
        assert value(where, "oldest_incomplete_seconds") > 0.0
        assert value(where, "oldest_pending_seconds") == 0.0
        assert value(where, "watches") >= 3
        assert value(where, "watches") < value(where, "watches_limit")
        assert value(where, "last_scan_timestamp_seconds") == pytest.approx(time.time(), abs=60.0)
        writer.close()
        daemon.hear("artifact.exported")
        until(lambda: value(where, "incomplete_files") == 0, "the export")


# --- what is wrong ---


def test_a_store_that_is_down_is_the_reason_it_is_not_ready_while_it_lives_and_that_passes(
    site: Site,
) -> None:
    where = listening(site, tables=QUICK)
    site.exports.rmdir()
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("store.unavailable")
        until(lambda: not ready(where) and reasons(where)[0]["part"] == "store", "the outage")
        (trouble,) = reasons(where)
        assert trouble["store"] == "file_system"
        assert "does not exist" in trouble["reason"]
        assert get(where, "/healthz").status == 200
        assert value(where, "store_out", store="file_system") == 1
        until(lambda: value(where, "oldest_pending_seconds") > 1.0, "the artifact grows old")
        said = site.command("status")
        assert said.returncode == 7
        assert "because of the store file_system: it takes nothing since" in said.stdout
        site.exports.mkdir()
        daemon.hear("store.recovered")
        until(lambda: ready(where), "readiness")
        assert value(where, "store_out_seconds", store="file_system") == 0


def test_an_artifact_that_is_undelivered_for_too_long_is_a_reason(site: Site) -> None:
    where = listening(site, tables=f"max_pending_seconds = 1.0\n{QUICK}")
    site.exports.rmdir()
    site.write("train_preds.csv")
    with site.daemon():
        until(lambda: {one["part"] for one in reasons(where)} == {"store", "queue"}, "the age")


def test_a_full_state_directory_makes_it_not_ready_and_leaves_it_alive(
    site: Site, tmpfs: Callable[..., Path]
) -> None:
    where = listening(site)
    tmpfs(site.state, "1m")
    with site.daemon() as daemon:
        until(lambda: ready(where), "readiness")
        ballast = site.state / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        for number in range(40):
            site.write(f"{number}_preds_0000000{number}.csv", b"%d" % number)
        daemon.hear("ledger.unwritable")
        until(lambda: any(one["part"] == "record" for one in reasons(where)), "the reason")
        turned = value(where, "turn_age_seconds")
        assert turned < 5.0, "it waits, and does not hang"
        assert get(where, "/healthz").status == 200
        assert value(where, "record_writable") == 0
        assert f"because of the record: no room: the file system of {site.state} has 0 B free of 1.0 MiB" in (
            site.command("status").stdout
        )
        reloaded = site.command("reload")
        assert reloaded.returncode == 1
        assert "Nothing goes on before that is mended; then reload again" in reloaded.stderr
        ballast.unlink()
        daemon.hear("ledger.writable")
        until(lambda: value(where, "record_writable") == 1, "the record")


def test_a_data_directory_that_is_gone_makes_it_not_ready(site: Site) -> None:
    where = listening(site, rescan=0.3)
    with site.daemon():
        until(lambda: ready(where), "readiness")
        site.data.rename(site.base / "away")
        until(lambda: any(one["part"] == "watcher" for one in reasons(where)), "the doubt")
        until(lambda: value(where, "unobservable_directories") == 1, "the scan")
        assert value(where, "watcher_doubts_total") > 0
        (site.base / "away").rename(site.data)
        until(lambda: ready(where), "readiness")


def _stands_still(pid: int) -> bool:
    """Whether each of its threads is stopped: the signal takes its time to reach them all (proc(5))."""
    states = [
        stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return set(states) == {"T"}


def test_a_stopped_process_answers_nobody_and_goes_on_as_if_nothing_had_been(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        until(lambda: ready(where), "readiness")
        daemon.process.send_signal(signal.SIGSTOP)
        until(lambda: _stands_still(daemon.process.pid), "every thread stopped")
        for path in ("/healthz", "/readyz", "/metrics"):
            with pytest.raises(TimeoutError):
                get(where, path, timeout=0.5)
        said = site.command("status", "--timeout", "0.5")
        assert said.returncode == 7
        assert "did not answer in time" in said.stdout
        daemon.process.send_signal(signal.SIGCONT)
        assert get(where, "/healthz").status == 200
        until(lambda: ready(where), "readiness")
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")


def test_the_heartbeat_is_the_main_loops_own(site: Site) -> None:
    """Its main thread alone is held up: everything else, the listener too, goes on."""
    where = listening(site)
    with site.daemon() as daemon:
        until(lambda: ready(where), "readiness")
        until(lambda: value(where, "turn_age_seconds") < 3.0, "turns")
        slow = ["strace", "-qq", "-e", "trace=openat", "-e", "inject=openat:delay_enter=6s"]
        with _attached(daemon, slow):
            until(lambda: value(where, "turn_age_seconds") > 4.0, "the stand-still")
        until(lambda: value(where, "turn_age_seconds") < 3.0, "that it goes on")


@contextmanager
def _attached(daemon: Daemon, command: Sequence[str]) -> Iterator[None]:
    """strace on its main thread, and on no other."""
    with subprocess.Popen([*command, "-p", str(daemon.process.pid)], stderr=subprocess.DEVNULL) as strace:
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)


# --- who asks ---


def test_slow_and_hostile_clients_hold_up_neither_the_others_nor_the_daemon(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon, ExitStack() as held:
        for number in range(2 * AT_ONCE):
            client = held.enter_context(connect(where))
            try:
                client.sendall((b"", b"GET /metrics HTTP/1.1\r\n", os.urandom(20_000))[number % 3])
            except OSError:
                continue
        began = time.monotonic()
        assert get(where, "/healthz").status == 200
        assert get(where, "/metrics").status == 200
        assert time.monotonic() - began < 2.0
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        assert daemon.process.poll() is None


def test_answers_show_no_secret_and_no_name_that_users_chose(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        until(lambda: value(where, "copies", store="file_system", state="proven") == 1, "the copy")
        for path in ("/healthz", "/readyz", "/metrics"):
            body = get(where, path).body
            assert b"alice" not in body
            assert b"train_preds" not in body


# --- the start and the end ---


def test_an_address_in_use_ends_the_start_with_3_and_says_so(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = listening(site, f"127.0.0.1:{other.getsockname()[1]}")
        done = site.command("run")
    assert done.returncode == 3
    assert f"health.listen: cannot listen at {where}: Address already in use" in done.stderr
    assert site.exported() == {}


def test_a_second_daemon_on_the_same_configuration_still_ends_with_4(site: Site) -> None:
    listening(site)
    with site.daemon() as daemon:
        second = site.command("run")
        assert second.returncode == 4
        assert f"process {daemon.process.pid}" in second.stderr


def test_the_next_daemon_has_the_address_at_once_even_after_a_kill(site: Site) -> None:
    where = listening(site, unix(site.base))
    with site.starting() as daemon:
        daemon.hear("daemon.started")
        daemon.kill()
    assert (site.base / "health.sock").exists()
    with site.daemon():
        until(lambda: ready(where), "readiness")


def test_with_the_master_switch_off_it_is_live_and_ready_and_says_that_it_exports_nothing(site: Site) -> None:
    where = listening(site, enabled=False)
    with site.starting() as daemon:
        daemon.hear("daemon.disabled")
        assert ready(where)
        assert get(where, "/readyz").json["phase"] == "disabled"
        assert value(where, "enabled") == 0
        until(lambda: value(where, "turn_age_seconds") > 0.5, "a turn's length")
        until(lambda: value(where, "turn_age_seconds") < 0.5, "the next turn")
        assert daemon.stop() == 0


def test_a_listener_that_other_machines_can_reach_is_warned_of(site: Site) -> None:
    listening(site, f"0.0.0.0:{free_ports(1)[0]}")
    with site.daemon() as daemon:
        assert "other machines can reach 0.0.0.0" in daemon.hear("config.warning")["reason"]


# --- artifactd status ---


def test_status_says_the_same_as_readyz(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        until(lambda: value(where, "copies", store="file_system", state="proven") == 1, "the copy")
        (said,) = site.json("status", "--json")
        over_http = get(where, "/readyz").json
        assert said.pop("daemon") is True
        assert said.pop("burdens") == []
        assert said.keys() == over_http.keys()
        for part in ("ready", "live", "phase", "reasons", "stores", "queue"):
            assert said[part] == over_http[part]


def test_status_names_the_folder_with_the_most_incomplete_files_and_http_does_not(site: Site) -> None:
    where = listening(site, tables='[[policy]]\nname = "all"\nmatch = "*.zip"\n', quiet=0.1)
    for number in range(150):
        site.write(f"{number}.zip", b"half of it", experiment="crowd", user="eve")
    with site.daemon():
        until(lambda: "eve/h2oai_experiment_crowd" in site.command("status").stdout, "the name")
        (said,) = site.json("status", "--json")
        burden = next(one for one in said["burdens"] if "incomplete" in one["reason"])
        assert burden == {
            "folder": "eve/h2oai_experiment_crowd",
            "reason": "it has the most incomplete files: 150",
        }
        assert value(where, "parked_files") > 0
        for path in ("/healthz", "/readyz", "/metrics"):
            assert b"crowd" not in get(where, path).body


def test_status_names_the_folders_that_are_not_all_watched_or_cannot_be_looked_into(site: Site) -> None:
    (site.folder("deep", "bob") / "/".join("d" * 40)).mkdir(parents=True)
    for number in range(2_100):
        (site.folder(user="eve") / str(number)).mkdir(parents=True)
    with site.daemon():
        told = ("not all of it is watched", "it cannot be looked into")  # by the watcher, by the first scan
        until(lambda: all(one in site.command("status").stdout for one in told), "the names")
        said = site.command("status").stdout
    assert sorted(re.findall(r"^folder\t(.*?): not all of it .*: (.*)$", said, flags=re.MULTILINE)) == [
        ("bob/h2oai_experiment_deep", "deeper than 16 directories"),
        ("eve/h2oai_experiment_one", "more than 2,000 directories"),
    ]
    assert "folder\tbob/h2oai_experiment_deep: it cannot be looked into, or not all of it, and " in said


def test_the_longest_turn_and_the_slowest_wait_are_told_and_idling_is_neither(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        until(lambda: value(where, "longest_turn_seconds") > 0.0, "a turn")
        turned = value(where, "turn_age_seconds")
        until(lambda: value(where, "turn_age_seconds") < turned, "one that waits for a second")
        assert 0.0 < value(where, "longest_turn_seconds") < 0.9
        assert value(where, "slowest_wait_seconds") == 0.0
        assert "longest turn" in site.ok("status")


def test_status_needs_no_listener_and_shows_every_part(site: Site) -> None:
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        until(lambda: "room\tfile_system: " in site.ok("status"), "the room")
        until(lambda: "1 proven" in site.ok("status"), "the copy")
        said = site.ok("status")
    assert said.startswith("ready\n")
    assert re.findall(r"^(\w+)\t", said, flags=re.MULTILINE) == [
        "daemon",
        "queue",
        "scan",
        "watcher",
        "record",
        "room",
        "room",
        "file_system",
    ]
    assert "\x1b" not in said


def test_without_a_daemon_status_ends_with_1_and_shows_what_is_on_record(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    done = site.command("status")
    assert done.returncode == 1
    assert "no daemon answers" in done.stdout
    assert "file_system\tnot known\t1 proven" in done.stdout
    (said,) = site.json("status", "--json")
    assert said["daemon"] is said["ready"] is said["live"] is False
    assert said["stores"] == {"file_system": {"copies": {"proven": 1}}}
    assert said["record"]["entries"] > 0


def test_other_accounts_may_not_ask_the_control_socket_for_the_status(open_site: Site) -> None:
    site = open_site
    with site.daemon():
        site.state.chmod(0o711)
        (site.state / "control.sock").chmod(0o666)
        done = site.command("status", under=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert done.returncode == 1
    assert "may hint, and ask for nothing else" in done.stderr


# --- another configuration ---


def test_after_a_reload_the_same_listener_tells_of_the_new_configuration(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        daemon.hear("artifact.exported")
        until(lambda: ready(where), "readiness")
        site.configure(f'[health]\nlisten = "{where}"\nmax_pending_seconds = 7.0')
        site.ok("reload")
        digest = daemon.hear("config.reloaded")["config_digest"]
        until(lambda: ready(where), "readiness")
        build = {dict(labels).get("config_digest") for _, labels in samples(where)}
        assert build == {None, digest}
        assert value(where, "copies", store="file_system", state="proven") == 1
        site.write("test_preds.csv")
        daemon.hear("artifact.exported", 2)
        until(lambda: value(where, "copies", store="file_system", state="proven") == 2, "the copy")
        assert value(where, "events_total", store="file_system", event="exported") == 2


def test_switched_off_and_on_by_reloads_it_says_so(site: Site) -> None:
    where = listening(site)
    with site.daemon() as daemon:
        until(lambda: ready(where), "readiness")
        site.configure(f'[health]\nlisten = "{where}"', enabled=False)
        site.ok("reload")
        daemon.hear("daemon.disabled")
        until(lambda: value(where, "enabled") == 0, "that it is off")
        assert ready(where)
        assert site.ok("status").startswith("disabled\n")
        site.configure(f'[health]\nlisten = "{where}"')
        site.ok("reload")
        until(lambda: value(where, "enabled") == 1 and ready(where), "that it is on")


def test_another_address_is_not_taken_without_a_restart(site: Site) -> None:
    where = listening(site)
    with site.daemon():
        other = listening(site)
        done = site.command("reload")
        assert done.returncode == 3
        assert f"health.listen: it is {where}; {other} needs a restart" in done.stderr
        assert get(where, "/healthz").status == 200
