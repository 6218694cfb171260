"""Everything at once that one user can do to the others, for minutes, while the others work."""

import itertools
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from artifactd.decisions.allowance import ENTRIES, ENTRIES_OF_A_FILE
from artifactd.service import control
from tests.servers.faults import Blackhole, Fault, of
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.support import neighbours, pester, trees
from tests.support.bucketed import Bucketed
from tests.support.neighbours import MALLORY
from tests.support.process import Daemon, Site, a_zip, until

SECONDS = float(os.environ.get("TORTURE_SECONDS", "300"))
"""How long the attack goes on. The idle run before it takes a fifth of that."""

HONEST = ("alice", "bob", "carol")

QUIET = 2.0
"""Seconds, as it is shipped."""

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@dataclass
class Honest:
    """A user who writes an artifact every few seconds, each in an experiment of its own."""

    site: Site
    user: str
    written: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    """key → when it was complete, in seconds since the epoch, and what it holds"""

    def write(self, number: int) -> None:
        experiment, content = f"{self.user}{number}", f"{self.user} {number}".encode()
        if number % 2:
            name, content = "mojo_pipeline/mojo.zip", a_zip(content)
        else:
            name = "train_preds.csv"
        path = self.site.write(name, content, experiment=experiment, user=self.user)
        self.written[f"{self.user}/{experiment}/{path.name}"] = (time.time(), content)

    def work(self, ending: threading.Event) -> None:
        for number in itertools.count(len(self.written)):
            self.write(number)
            if ending.wait(3.0):
                return


@dataclass
class Seen:
    """What `artifactd status` said, each second."""

    site: Site
    pid: int
    longest_turn: float = 0.0
    dead: int = 0
    memory: int = 0
    """bytes, the most"""
    reasons: dict[str, str] = field(default_factory=dict)
    """why it was not ready, by part"""
    last: dict[str, Any] = field(default_factory=dict)

    def look(self) -> None:
        self.last = said = next(control.ask(self.site.state, "status", 20.0))
        self.longest_turn = max(self.longest_turn, said["longest_turn_seconds"])
        self.dead += not said["live"]
        self.reasons |= {one["part"]: one["reason"] for one in said["reasons"]}
        status = Path(f"/proc/{self.pid}/status").read_text()
        (kilobytes,) = re.findall("VmRSS:\\s+([0-9]+) kB", status)
        self.memory = max(self.memory, int(kilobytes) << 10)

    def watch(self, ending: threading.Event) -> None:
        while not ending.wait(1.0):
            self.look()


@contextmanager
def at_once(works: Sequence[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Each in a thread, until the end of the block. It raises what goes wrong in one."""
    ending, errors = threading.Event(), list[BaseException]()

    def run(work: Callable[[threading.Event], None]) -> None:
        try:
            work(ending)
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert not errors, errors


# --- what mallory does ---


def attacks(site: Site) -> list[Callable[[threading.Event], None]]:
    return [
        lambda ending: again(ending, 1.0, lambda number: broken(site, number), 20),
        lambda ending: again(ending, 1.0, lambda number: complete(site, number), 50),
        lambda ending: again(ending, 1.0, lambda number: rewritten(site, number)),
        lambda ending: again(ending, 1.0, lambda number: empty(site, number), 20),
        lambda ending: again(ending, 30.0, lambda _: large(site)),
    ]


def again(ending: threading.Event, pause: float, do: Callable[[int], object], most: float = math.inf) -> None:
    for number in itertools.count():
        if number < most:
            do(number)
        if ending.wait(pause):
            return


def broken(site: Site, number: int) -> None:
    """In the end 100,000 zips that never become whole."""
    neighbours.zips_never_whole(site, 5_000, name=f"broken{number}-")


def complete(site: Site, number: int) -> None:
    """In the end 50,000 small ones that are complete."""
    neighbours.artifacts(site, 1_000, name=f"small{number}-")


def rewritten(site: Site, number: int) -> None:
    neighbours.artifacts(site, 1_000, name="rewritten", content=b"%d" % number)


def empty(site: Site, number: int) -> None:
    """In the end 100,000 empty directories."""
    neighbours.wide(site, 1, 5_000, name=f"wide{number}-")


def large(site: Site) -> None:
    content = os.urandom(1 << 20) * 512
    site.write("train_preds.csv", content, experiment="large", user=MALLORY)


@contextmanager
def pestered(site: Site) -> Iterator[None]:
    """Another account hints an experiment of 3,000 files on 60 connections, and is silent on 400."""
    neighbours.artifacts(site, 3_000, name="hinted", folders=1)
    site.state.chmod(0o711)
    (site.state / control.FILE).chmod(0o666)
    command = (sys.executable, "-P", pester.__file__, site.state / control.FILE, "hinted0", "60", "400")
    process = subprocess.Popen([*NOBODY, *command])
    try:
        yield
    finally:
        process.kill()
        process.wait()


# --- what came of it ---


def delays(honest: Sequence[Honest], daemon: Daemon, since: float, to: float) -> list[float]:
    """Seconds from when each artifact of that time was complete to when its copy at home was proven."""
    exported = {
        line["key"]: datetime.fromisoformat(line["time"]).timestamp()
        for line in daemon.heard("artifact.exported", store="file_system")
        if line["user"] in HONEST
    }
    written = [item for one in honest for item in one.written.items()]
    return sorted(exported[key] - at for key, (at, _) in written if since <= at < to)


def percentiles(found: Sequence[float]) -> str:
    at = [found[math.ceil(len(found) * share) - 1] for share in (0.5, 0.99, 1.0)]
    return "{:.2f} {:.2f} {:.2f} s".format(*at) + f" (50th, 99th, 100th of {len(found)})"


def lost(honest: Sequence[Honest], site: Site) -> list[str]:
    return [
        key
        for one in honest
        for key, (_, content) in one.written.items()
        if not (copy := site.exports / key).is_file() or copy.read_bytes() != content
    ]


@pytest.mark.torture
@pytest.mark.timeout(SECONDS * 2 + 600)
def test_three_users_get_their_artifacts_while_a_fourth_does_what_he_can(
    open_site: Site, moto: S3Server, capfd: pytest.CaptureFixture[str]
) -> None:
    site = open_site
    honest = [Honest(site, user) for user in HONEST]
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(moto.url))
        Bucketed(site, moto, proxy).configure(stores="file_system, S3", quiet=QUIET)
        stack.callback(trees.remove, site.data / MALLORY)
        daemon = stack.enter_context(site.starting())
        daemon.hear("scan.finished", reason="start")
        idle, seen = (Seen(site, daemon.process.pid) for _ in range(2))
        until(lambda: next(control.ask(site.state, "status"))["ready"], "readiness")
        with at_once([idle.watch, *(one.work for one in honest)]):
            time.sleep(SECONDS / 5)
        began = time.time()
        proxy.faults.append(Fault(Blackhole(), of("PutObject"), math.inf))
        with ExitStack() as attack:
            attack.enter_context(neighbours.deep(site, 900, leaves=10_000))
            attack.enter_context(neighbours.deep(site, 5_000, leaves=0, name="chain"))
            attack.enter_context(pestered(site))
            attack.enter_context(at_once([seen.watch, *(one.work for one in honest), *attacks(site)]))
            time.sleep(SECONDS)
            files = sum(1 for _ in site.data.glob(f"{MALLORY}/*/*"))
        until(lambda: not lost(honest, site), "every artifact of the honest", 120.0)
        assert daemon.process.poll() is None
        entries: dict[str, int] = {}
        for line in site.command("audit").stdout.splitlines():
            user = json.loads(line).get("user", "")
            entries[user] = entries.get(user, 0) + 1
    report = {
        "delay, idle": percentiles(delays(honest, daemon, 0.0, began)),
        "delay, attacked": percentiles(delays(honest, daemon, began, math.inf)),
        "longest turn": f"{1000 * idle.longest_turn:.0f} ms idle, {1000 * seen.longest_turn:.0f} ms attacked",
        "memory": f"{idle.memory >> 20} MB idle, {seen.memory >> 20} MB attacked",
        "record": f"{entries}, {seen.last['record']['bytes'] >> 20} MB; {files} files of {MALLORY}'s",
        "not ready": seen.reasons,
        "named": [burden["folder"] for burden in seen.last["burdens"]],
    }
    with capfd.disabled():
        sys.stderr.write("\n" + "".join(f"{name}: {value}\n" for name, value in report.items()))
    assert (idle.dead, seen.dead) == (0, 0)
    assert seen.reasons.keys() <= {"store", "scan", "watcher"}, "S3 hangs; his files and events are too many"
    assert entries[MALLORY] <= ENTRIES + ENTRIES_OF_A_FILE * files
