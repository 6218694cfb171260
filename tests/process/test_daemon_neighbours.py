"""The real daemon while somebody is in the way of everybody: one user, one file, one store, one scan."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from artifactd.decisions.allowance import ENTRIES
from artifactd.decisions.outage import FILES_AT_ONCE
from tests.servers.faults import Blackhole, Delay, Fault, Slow, anything, of
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.support import neighbours
from tests.support.bucketed import Bucketed
from tests.support.neighbours import MALLORY
from tests.support.process import CSV, Daemon, Site, until
from tests.support.seccomp import INOTIFY, OPENAT2, without
from tests.support.trees import flood

KEY = "alice/one/train_preds.csv"

WALKING = without(OPENAT2)
"""How files are opened inside the shipped unit: folder by folder, which takes longer."""

both_ways = pytest.mark.parametrize("under", [(), WALKING], ids=["openat2", "walk"])
"""How the kernel is asked for a file."""


@pytest.fixture
def bucketed(site: Site, seaweed: S3Server) -> Iterator[Bucketed]:
    with Proxy(seaweed.url) as proxy:
        yield Bucketed(site, seaweed, proxy)


def bobs(site: Site, daemon: Daemon, experiment: str) -> float:
    """Let another user write an artifact; seconds until it is exported."""
    began = time.monotonic()
    site.write("train_preds.csv", experiment.encode(), experiment=experiment, user="bob")
    daemon.hear("artifact.exported", user="bob", experiment_id=experiment)
    return time.monotonic() - began


def much_later(idle: float) -> float:
    """What a delay may be during an attack that is `idle` without one, on a machine that others use too.

    Who is not protected waits for minutes, or for ever.
    """
    return 10.0 * idle + 20.0


def at_fault(site: Site) -> set[str]:
    """The folders that `artifactd status` names, whose turns were never long."""
    (said,) = site.json("status", "--json")
    assert said["live"]
    assert said["longest_turn_seconds"] < 1.0
    return {burden["folder"] for burden in said["burdens"]}


# --- one user ---


def test_zips_that_never_become_whole_delay_nobody_else_across_a_restart_either(
    site: Site,
) -> None:
    with site.daemon(under=WALKING) as daemon:
        idle = bobs(site, daemon, "idle")
        neighbours.zips_never_whole(site, 11_000)
        assert bobs(site, daemon, "during") < much_later(idle)
        daemon.kill()
    with site.starting(under=WALKING) as daemon:
        assert bobs(site, daemon, "restarted") < much_later(idle)
        daemon.hear("scan.finished", reason="start")
        assert bobs(site, daemon, "after") < much_later(idle)
        until(lambda: any(one.startswith(f"{MALLORY}/") for one in at_fault(site)), "whose fault it is")
        assert daemon.stop() == 0


@both_ways
def test_directories_deeper_than_any_path_delay_nobody_else_across_a_restart_either(
    site: Site, under: tuple[str, ...]
) -> None:
    with ExitStack() as attack:
        with site.daemon(under=under) as daemon:
            idle = bobs(site, daemon, "idle")
            deep = attack.enter_context(neighbours.deep(site, 900, leaves=3_000))
            assert bobs(site, daemon, "during") < much_later(idle)
            daemon.kill()
        with site.daemon(under=under) as daemon:
            assert bobs(site, daemon, "restarted") < much_later(idle)
            assert daemon.heard("scan.unobservable", source=deep)
            assert deep in at_fault(site)


def test_a_chain_of_directories_takes_the_watcher_from_nobody(site: Site) -> None:
    with ExitStack() as attack:
        with site.daemon() as daemon:
            chain = attack.enter_context(neighbours.deep(site, 5_000, leaves=0))
            bobs(site, daemon, "during")
            assert not daemon.heard("watch.doubted")
            daemon.kill()
        with site.daemon() as daemon:
            bobs(site, daemon, "restarted")
            assert not daemon.heard("watch.doubted")
            assert chain in at_fault(site)


def test_a_flood_of_events_takes_the_watcher_from_nobody_and_its_maker_is_found_by_looking(
    site: Site,
) -> None:
    with site.daemon() as daemon:
        idle = bobs(site, daemon, "idle")
        folder = site.folder("flood", MALLORY)
        folder.mkdir(parents=True)
        with flood(folder):
            until(lambda: MALLORY in at_fault(site), "whose fault it is")
            assert bobs(site, daemon, "during") < much_later(idle)
            site.write("train_preds.csv", CSV, experiment="late", user=MALLORY)
            daemon.hear("artifact.exported", user=MALLORY, experiment_id="late")
        assert bobs(site, daemon, "after") < much_later(idle)


def test_empty_directories_that_take_seconds_to_look_through_delay_nobody_else(
    site: Site,
) -> None:
    neighbours.wide(site, experiments=4, directories=9_000)
    site.write("train_preds.csv", user="bob")
    with site.starting(under=WALKING) as daemon:
        daemon.hear("artifact.exported", user="bob")
        assert not daemon.heard("scan.finished")
        daemon.hear("scan.finished", reason="start")
        assert at_fault(site)
        assert daemon.stop() == 0


def test_many_complete_files_of_one_user_delay_nobody_else(site: Site) -> None:
    neighbours.artifacts(site, 4_000)
    site.write("train_preds.csv", user="bob")
    with site.starting() as daemon:
        daemon.hear("artifact.exported", user="bob")
        assert len(daemon.heard("artifact.exported", user=MALLORY)) < 2_000
        assert daemon.stop() == 0


def test_files_rewritten_again_and_again_fill_the_record_with_few_versions_of_each_and_end_as_they_are(
    site: Site,
) -> None:
    with site.daemon() as daemon:
        for number in range(12):
            neighbours.artifacts(site, 100, content=b"%d" % number)
            bobs(site, daemon, f"during{number}")
        entries = [one for one in site.json("audit") if one.get("user") == MALLORY]
        assert 100 * 2 <= len(entries) < 100 * 2 * 5, "each version has two"
        held = site.exports / MALLORY
        until(lambda: {file.read_bytes() for file in held.rglob("*.csv")} == {b"11"}, "the last version")


def test_who_fills_the_record_is_held_back_and_told_of_once_and_nobody_else_waits(site: Site) -> None:
    site.configure(rescan=3600.0)
    with site.daemon() as daemon:
        neighbours.artifacts(site, 3_000)
        daemon.hear("artifact.exported", 3_000, user=MALLORY)
        neighbours.artifacts(site, 4_000, name="more")
        told = daemon.hear("user.held_back")
        assert told["user"] == MALLORY
        bobs(site, daemon, "after")
        assert len(daemon.heard("user.held_back")) == 1
        exported = len(daemon.heard("artifact.exported", user=MALLORY))
        assert ENTRIES / 2 <= exported < ENTRIES / 2 + FILES_AT_ONCE
        daemon.kill()


# --- one file ---


def a_large_one_among_small_ones(site: Site, size: int) -> None:
    """All are complete before the daemon looks: ten small ones, the large one, ten small ones."""
    for number in range(21):
        name = f"h2oai_experiment_{number}_train_predictions.csv"
        site.write(name, CSV * 200) if number != 10 else site.write("train_preds.csv", os.urandom(size))


def test_small_files_do_not_wait_for_a_large_one_of_their_moment(site: Site) -> None:
    a_large_one_among_small_ones(site, 256 << 20)
    with site.daemon() as daemon:
        daemon.hear("artifact.exported", 20)
        assert KEY not in site.files()
        daemon.hear("artifact.exported", 21)
        assert KEY in site.files()


def test_small_files_do_not_wait_for_a_large_one_on_its_slow_way_to_s3(bucketed: Bucketed) -> None:
    a_large_one_among_small_ones(bucketed.site, 40 << 20)
    bucketed.proxy.faults.append(Fault(Slow(4 << 20), of("UploadPart"), math.inf))
    with bucketed.site.daemon() as daemon:
        daemon.hear("artifact.exported", 20)
        assert not bucketed.sent("CompleteMultipartUpload")
        daemon.hear("artifact.exported", 21)
        assert len(bucketed.content(KEY)) == 40 << 20


# --- one store ---


def test_a_store_that_hangs_delays_nothing_at_another(bucketed: Bucketed) -> None:
    site, proxy = bucketed.site, bucketed.proxy
    bucketed.configure(stores="file_system, S3")
    at_home = {"store": "file_system"}
    with site.daemon() as daemon:
        site.write("train_preds.csv", b"first")
        daemon.hear("artifact.exported", 2)
        proxy.faults.append(Fault(Blackhole(), anything, math.inf))
        site.write("train_preds.csv", b"second")
        daemon.hear("artifact.exported", 2, **at_home)
        until(lambda: proxy.faults == [] or len(proxy.seen) > 1, "the store hangs")
        site.write("train_preds.csv", b"third")
        daemon.hear("artifact.exported", 3, **at_home)
        assert site.exported()[KEY] == b"third"
        (said,) = site.json("status", "--json")
        assert said["live"]
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 25.0
    anchors = (site.exports / "_artifactd" / "anchors").rglob("*")
    assert any(one.is_file() for one in anchors), "the end of the record"


# --- one scan ---


@pytest.mark.parametrize("user", ["bob", MALLORY])
def test_a_first_sync_with_a_slow_store_hides_no_new_experiment_where_no_event_tells_of_it(
    bucketed: Bucketed, user: str
) -> None:
    site = bucketed.site
    bucketed.configure(rescan=1.0)
    bucketed.proxy.faults.append(Fault(Delay(0.05), of("PutObject"), math.inf))
    neighbours.artifacts(site, 12_000)
    with site.starting(under=without(INOTIFY)) as daemon:
        daemon.hear("artifact.exported", user=MALLORY)
        site.write("train_preds.csv", experiment="new", user=user)
        daemon.hear("artifact.exported", experiment_id="new", user=user)
        assert not daemon.heard("scan.finished", reason="start")
        daemon.kill()
