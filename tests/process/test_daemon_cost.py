"""What the real daemon costs: nothing when nothing changed, and never more than a bound."""

import signal
import subprocess
import time
from pathlib import Path

from tests.servers.ports import free_ports
from tests.support.probes import get
from tests.support.process import CSV, Site, until


def test_when_nothing_changed_no_artifact_is_read_and_nothing_is_written(site: Site) -> None:
    site.configure(rescan=0.2)
    site.write("train_preds.csv", CSV * 100_000)
    with site.daemon() as daemon:
        daemon.hear("artifact.exported")
        until(lambda: _stands_still(site), "rest")
        before = site.stamps()
        pid = str(daemon.process.pid)
        trace = site.base / "trace"
        calls = ["-y", "-e", "trace=open,openat,openat2,read", "-o", str(trace), "-p", pid]
        with subprocess.Popen(["strace", "-f", *calls], stderr=subprocess.DEVNULL) as strace:
            until(lambda: trace.exists() and _scans(trace.read_text()) >= 2, "two scans")
            strace.send_signal(signal.SIGINT)
        said = trace.read_text()
        assert "train_preds.csv" not in said
        assert site.stamps() == before


def _scans(trace: str) -> int:
    """How often the experiment's folder was opened."""
    return trace.count('"alice/h2oai_experiment_one"')


def _stands_still(site: Site) -> bool:
    before = site.stamps()
    time.sleep(0.5)
    return site.stamps() == before


def test_idle_with_somebody_asking_it_costs_a_thousandth_of_a_core_and_stays_small(site: Site) -> None:
    where = f"127.0.0.1:{free_ports(1)[0]}"
    site.configure(f'[health]\nlisten = "{where}"')
    site.write("train_preds.csv")
    with site.daemon() as daemon:
        daemon.hear("artifact.exported")
        until(lambda: get(where, "/readyz").status == 200, "readiness")
        get(where, "/metrics")
        process = Path(f"/proc/{daemon.process.pid}")
        before, began = _cpu_seconds(process), time.monotonic()
        time.sleep(10.0)
        get(where, "/metrics")  # as Prometheus and a probe do in that time
        get(where, "/readyz")
        share = (_cpu_seconds(process) - before) / (time.monotonic() - began)
        memory = int(
            next(line for line in (process / "status").read_text().splitlines() if "VmRSS" in line).split()[1]
        )
        assert share < 0.001 * BUSY
        assert memory < 60_000, "kB"


BUSY = 3.0
"""How much slower a machine may be whose caches and cores others use as well."""


def _cpu_seconds(process: Path) -> float:
    """What its threads have used, by the scheduler's own account in nanoseconds."""
    return (
        sum(int((task / "schedstat").read_text().split()[0]) for task in (process / "task").iterdir()) / 1e9
    )


def test_open_files_and_threads_do_not_grow_with_exports(site: Site) -> None:
    with site.daemon() as daemon:
        process = Path(f"/proc/{daemon.process.pid}")

        def batch(number: int) -> tuple[int, int]:
            for file in range(100):
                site.write(f"h2oai_experiment_{number}-{file}_train_predictions.csv")
            daemon.hear("artifact.exported", 100 * (number + 1))
            time.sleep(0.1)
            return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

        first, _, last = batch(0), batch(1), batch(2)
        assert last[0] <= first[0] + 2
        assert last[1] <= first[1] + 4, "two pools of two threads, which begin one by one"


def test_two_thousand_files_at_once_are_not_two_thousand_open_files(site: Site) -> None:
    for number in range(2_000):
        site.write(f"h2oai_experiment_{number}_train_predictions.csv", b"%d" % number)
    most = 0
    with site.starting() as daemon:
        fds = Path(f"/proc/{daemon.process.pid}/fd")
        while len(daemon.heard("artifact.exported")) < 2_000:
            most = max(most, len(list(fds.iterdir())))
            assert daemon.process.poll() is None, daemon.errors()
            time.sleep(0.005)
        assert daemon.stop() == 0
    assert most < 150
    assert len(site.exported()) == 2_000
