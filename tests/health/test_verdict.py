"""From facts to a verdict: tables, and what time may do to one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.lifecycle import State
from artifactd.decisions.outage import AtOnce
from artifactd.health.verdict import (
    STALLED_SECONDS,
    START_SECONDS,
    DiskFacts,
    Facts,
    Phase,
    QueueFacts,
    RecordFacts,
    ScanFacts,
    StoreFacts,
    Trouble,
    WatchFacts,
    hung,
    report,
    troubles,
)

NOW, MIB = 10_000.0, 1 << 20
WELL = Facts(
    Phase.RUNNING,
    turned=NOW,
    stores=(StoreFacts("file_system"), StoreFacts("s3")),
    scan=ScanFacts(ended=NOW - 30.0, seconds=0.5, every=60.0),
    queue=QueueFacts(pending_since=NOW - 10.0),
)


def test_a_daemon_that_is_well_is_live_and_ready() -> None:
    assert hung(WELL, NOW) is None
    assert troubles(WELL, NOW) == ()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(WELL, phase=Phase.STARTING), ("daemon", "it is starting")),
        (replace(WELL, phase=Phase.STOPPING), ("daemon", "it is stopping")),
        (replace(WELL, turned=NOW - STALLED_SECONDS - 1), ("daemon", "stands still for 121 s")),
        (replace(WELL, elsewhere="/new"), ("scan", "data_directory leads to /new now, and another")),
        (replace(WELL, record=RecordFacts("the disk is full")), ("record", "the disk is full. Nothing is")),
        (replace(WELL, scan=None), ("scan", "the first scan has not ended yet")),
        (replace(WELL, scan=ScanFacts(NOW - 241, 1.0, 60.0)), ("scan", "ended 241 s ago, 240 s are")),
        (
            replace(WELL, scan=ScanFacts(NOW - 9999, 1.0, 60.0), caught_up=NOW - 241),
            ("scan", "ended 241 s ago, 240 s are"),
        ),
        (replace(WELL, scan=None, caught_up=NOW - 241), ("scan", "ended 241 s ago, 240 s are")),
        (replace(WELL, watch=WatchFacts("it is deaf")), ("watcher", "it is deaf. Scans find everything")),
        (
            replace(WELL, queue=QueueFacts(pending_since=NOW - 3601)),
            ("queue", "waits for 3601 s, 3600 s are"),
        ),
        (
            replace(WELL, stores=(StoreFacts("s3", silent_since=NOW - 121, under_way=3),)),
            ("store", "it has not answered for 121 s: 3 files under way"),
        ),
        (
            replace(WELL, stores=(StoreFacts("s3", silent_since=NOW - 185, asked_bytes=MIB, under_way=1),)),
            ("store", "it has not answered for 185 s: 1 file under way"),
        ),
        (
            replace(WELL, stores=(StoreFacts("s3", NOW - 9, "gone", silent_since=NOW - 999, under_way=1),)),
            ("store", "it takes nothing since 9 s: gone"),
        ),
    ],
)
def test_whatever_keeps_artifacts_from_their_stores_is_told(facts: Facts, expected: tuple[str, str]) -> None:
    (trouble,) = troubles(facts, NOW)
    part, reason = expected
    assert trouble.part == part
    assert reason in trouble.reason


@pytest.mark.parametrize(
    "facts",
    [
        replace(WELL, turned=NOW - STALLED_SECONDS),
        replace(WELL, scan=ScanFacts(NOW - 239, 1.0, 60.0)),
        # It waits for a user who has too many files waiting: that is his trouble.
        replace(WELL, scan=ScanFacts(NOW - 9999, 1.0, 60.0), caught_up=NOW - 1),
        replace(WELL, scan=None, caught_up=NOW - 1),
        replace(WELL, scan=ScanFacts(NOW - 1500, 10.0, 500.0)),
        replace(WELL, queue=QueueFacts(pending_since=NOW - 3599)),
        replace(WELL, queue=QueueFacts(incomplete=3, overdue=3, incomplete_since=NOW - 99_999)),
        replace(WELL, queue=QueueFacts(waiting=10_000, in_flight=512)),
        replace(WELL, stores=(StoreFacts("s3", silent_since=NOW - 119, under_way=512),)),
        replace(WELL, stores=(StoreFacts("s3", silent_since=NOW - 183, asked_bytes=MIB, under_way=1),)),
        replace(WELL, record=RecordFacts(copies={("s3", State.REFUSED): 7, ("s3", State.LOST): 1})),
        replace(WELL, watch=WatchFacts(doubts=3, overflows=1, missed=2)),
        replace(WELL, phase=Phase.DISABLED, scan=None),
    ],
)
def test_what_holds_up_nothing_else_is_no_reason_to_call_the_daemon_not_ready(facts: Facts) -> None:
    assert troubles(facts, NOW) == ()


def test_a_store_that_is_out_is_named_with_its_reason_and_for_how_long() -> None:
    stores = (StoreFacts("file_system"), StoreFacts("s3", NOW - 90.0, "no route to host"))
    assert troubles(replace(WELL, stores=stores), NOW) == (
        Trouble("store", "it takes nothing since 90 s: no route to host", "s3"),
    )


def test_every_trouble_is_told_at_once() -> None:
    facts = replace(
        WELL,
        turned=0.0,
        record=RecordFacts("full"),
        scan=None,
        watch=WatchFacts("deaf"),
        stores=(StoreFacts("s3", 0.0, "gone"), StoreFacts("azure", 0.0, "gone")),
        queue=QueueFacts(pending_since=0.0),
    )
    parts = [one.part for one in troubles(facts, NOW)]
    assert parts == ["daemon", "record", "scan", "watcher", "store", "store", "queue"]


@pytest.mark.parametrize(
    ("phase", "seconds", "lives"),
    [
        (Phase.STARTING, START_SECONDS, True),
        (Phase.STARTING, START_SECONDS + 1, False),
        *((phase, STALLED_SECONDS, True) for phase in Phase if phase is not Phase.STARTING),
        *((phase, STALLED_SECONDS + 1, False) for phase in Phase if phase is not Phase.STARTING),
    ],
)
def test_only_a_main_loop_that_stands_still_is_hung(phase: Phase, seconds: float, *, lives: bool) -> None:
    assert (hung(replace(WELL, phase=phase, turned=NOW - seconds), NOW) is None) is lives


TIMES = st.none() | st.floats(0.0, NOW)
REASONS = st.none() | st.text(min_size=1)
FACTS = st.builds(
    Facts,
    phase=st.sampled_from(Phase),
    turned=st.floats(0.0, NOW),
    stores=st.lists(
        st.builds(StoreFacts, st.sampled_from(["a", "b"]), TIMES, st.text(), silent_since=TIMES), max_size=2
    ).map(tuple),
    scan=st.none() | st.builds(ScanFacts, st.floats(0.0, NOW), st.floats(0.0, 10.0), st.floats(1.0, 100.0)),
    watch=st.builds(WatchFacts, REASONS),
    queue=st.builds(QueueFacts, pending_since=TIMES, incomplete_since=TIMES),
    record=st.builds(RecordFacts, st.text()),
)


@given(FACTS)
def test_it_is_ready_exactly_if_there_is_no_reason_and_a_hung_daemon_is_never_ready(facts: Facts) -> None:
    said = json.loads(json.dumps(report(facts, NOW)))
    assert said["ready"] is (said["reasons"] == [])
    assert said["live"] or not said["ready"]
    assert said["live"] is (hung(facts, NOW) is None)


@given(FACTS, st.floats(0.0, 1e6))
def test_as_time_passes_without_news_reasons_are_only_added(facts: Facts, seconds: float) -> None:
    before = {(one.part, one.store) for one in troubles(facts, NOW)}
    assert before <= {(one.part, one.store) for one in troubles(facts, NOW + seconds)}


def test_for_machines_everything_is_told_with_its_unit() -> None:
    facts = replace(
        WELL,
        stores=(
            StoreFacts(
                "s3",
                NOW - 5.0,
                "gone",
                {"PutObject": 3},
                NOW - 47.0,
                at_once=AtOnce(12, 256, 3, "SlowDown", NOW - 7.0),
            ),
        ),
        disks=(DiskFacts("state", 5, 100),),
        record=RecordFacts(entries=9, copies={("s3", State.PROVEN): 2, ("s3", State.GONE): 0}),
    )
    said = report(facts, NOW)
    assert said["stores"] == {
        "s3": {
            "out": True,
            "out_seconds": 5.0,
            "silent": False,
            "silent_seconds": 47.0,
            "reason": "gone",
            "requests": {"PutObject": 3},
            "connections": {
                "under_way": 3,
                "limit": 12,
                "most": 256,
                "backed_off": "SlowDown",
                "backed_off_seconds_ago": 7.0,
            },
            "copies": {"proven": 2},
        }
    }
    assert said["queue"]["oldest_pending_seconds"] == 10.0
    assert said["scan"] == {"ended_seconds_ago": 30.0, "seconds": 0.5, "unobservable": 0}
    assert said["record"]["entries"] == 9
    assert said["disks"] == {"state": {"free_bytes": 5, "size_bytes": 100}}
