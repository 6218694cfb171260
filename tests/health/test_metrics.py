"""What Prometheus is told: conventions, bounds, and that page, alerts and dashboard speak of it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from artifactd import __version__
from artifactd.artifact import Artifact, Kind
from artifactd.decisions.lifecycle import Failed, Proven, Row, State
from artifactd.health.metrics import Metrics
from artifactd.health.verdict import (
    Burden,
    DiskFacts,
    Facts,
    Phase,
    QueueFacts,
    RecordFacts,
    ScanFacts,
    StoreFacts,
    WatchFacts,
)
from artifactd.ledger.ledger import Recorded
from artifactd.ledger.record import START, Entry
from tests.support.probes import parsed

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring/artifactd.rules.yml"
DASHBOARD = ROOT / "monitoring/artifactd-dashboard.json"
PAGE = ROOT / "docs/health.md"

NOW, EPOCH = 1000.0, 1_700_000_000.0
FACTS = Facts(
    Phase.RUNNING,
    turned=NOW - 0.5,
    config_digest="c0ffee",
    stores=(
        StoreFacts("file_system"),
        StoreFacts("s3", NOW - 90.0, "no route", {"PutObject": 7, "GetObject": 1}),
    ),
    scan=ScanFacts(NOW - 30.0, 0.25, 60.0, unobservable=2),
    watch=WatchFacts("deaf", 3, 4, 5, 6, 7, 800, 1000),
    queue=QueueFacts(1, 2, 1, 3, NOW - 40.0, NOW - 50.0, 1, NOW - 4.0),
    record=RecordFacts("", 99, 4096, 2, {("s3", State.REFUSED): 3, ("file_system", State.PROVEN): 5}),
    longest_turn=0.025,
    disks=(DiskFacts("state", 5, 100), DiskFacts("file_system", 7, 200)),
    burdens=(Burden(b"alice/h2oai_experiment_x", "it costs the most"),),
)
ROW = Row("s3", Artifact(b"alice/x/y.csv", "alice", "x", b"y.csv", Kind.OTHER), "k", "k", "rule", size=12)
ENTRY = Entry(1, "{}", START)


def metrics(facts: Facts = FACTS) -> Metrics:
    found = Metrics(lambda: (facts, NOW, EPOCH))
    found.expect(store.name for store in facts.stores)
    return found


def families(text: bytes) -> dict[str, Any]:
    return {one.name: one for one in text_string_to_metric_families(text.decode())}


def told(measured: Metrics, name: str, **labels: str) -> float:
    return parsed(measured.text())[f"artifactd_{name}", frozenset(labels.items())]


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("build_info", {"version": __version__, "config_digest": "c0ffee"}, 1),
        ("enabled", {}, 1),
        ("live", {}, 1),
        ("ready", {}, 0),
        ("turn_age_seconds", {}, 0.5),
        ("longest_turn_seconds", {}, 0.025),
        ("waiting_files", {}, 1),
        ("incomplete_files", {}, 2),
        ("parked_files", {}, 1),
        ("overdue_files", {}, 1),
        ("in_flight_files", {}, 3),
        ("oldest_pending_seconds", {}, 40),
        ("oldest_incomplete_seconds", {}, 50),
        ("slowest_wait_seconds", {}, 4),
        ("last_scan_timestamp_seconds", {}, EPOCH - 30),
        ("last_scan_duration_seconds", {}, 0.25),
        ("unobservable_directories", {}, 2),
        ("missed_files_total", {}, 7),
        ("watcher_sound", {}, 0),
        ("watches", {}, 800),
        ("watches_limit", {}, 1000),
        ("watcher_doubts_total", {}, 6),
        ("watcher_rebuilds_total", {}, 4),
        ("watcher_overflows_total", {}, 5),
        ("record_writable", {}, 1),
        ("record_entries", {}, 99),
        ("ledger_bytes", {}, 4096),
        ("anchors_total", {}, 2),
        ("copies", {"store": "s3", "state": "refused"}, 3),
        ("copies", {"store": "file_system", "state": "proven"}, 5),
        ("copies", {"store": "file_system", "state": "lost"}, 0),
        ("disk_free_bytes", {"disk": "state"}, 5),
        ("disk_size_bytes", {"disk": "file_system"}, 200),
        ("store_out", {"store": "s3"}, 1),
        ("store_out", {"store": "file_system"}, 0),
        ("store_out_seconds", {"store": "s3"}, 90),
        ("store_out_seconds", {"store": "file_system"}, 0),
        ("store_requests_total", {"store": "s3", "operation": "PutObject"}, 7),
        ("events_total", {"store": "s3", "event": "failed"}, 0),
        ("exported_bytes_total", {"store": "s3"}, 0),
        ("export_seconds_count", {"store": "file_system"}, 0),
    ],
)
def test_each_fact_is_told(name: str, labels: dict[str, str], value: float) -> None:
    assert told(metrics(), name, **labels) == value


def test_what_is_not_known_is_left_out() -> None:
    text = metrics(replace(FACTS, scan=None, watch=WatchFacts())).text()
    names = {name for name, _ in parsed(text)}
    assert names.isdisjoint({"artifactd_last_scan_timestamp_seconds", "artifactd_watches"})


def test_what_is_put_on_record_is_counted() -> None:
    measured = metrics()
    written = Proven("read_back", "", written=True, seconds=3.0, uri="u")
    for event in (written, replace(written, written=False, seconds=100.0), Failed("no", 1.0)):
        measured.heard(Recorded(ROW, event, ENTRY, State.UPLOADING))
    assert told(measured, "events_total", store="s3", event="exported") == 2
    assert told(measured, "events_total", store="s3", event="failed") == 1
    assert told(measured, "events_total", store="file_system", event="exported") == 0
    assert told(measured, "exported_bytes_total", store="s3") == 12
    assert told(measured, "export_seconds_sum", store="s3") == 103.0
    assert told(measured, "export_seconds_bucket", store="s3", le="2.5") == 0
    assert told(measured, "export_seconds_bucket", store="s3", le="5.0") == 1


def test_two_daemons_in_one_process_would_not_share_their_metrics() -> None:
    one, other = metrics(), metrics()
    one.heard(Recorded(ROW, Failed("no", 1.0), ENTRY, State.UPLOADING))
    assert told(other, "events_total", store="s3", event="failed") == 0


def test_no_label_holds_a_name_that_users_choose_and_the_series_are_few() -> None:
    measured = metrics()
    measured.heard(Recorded(ROW, replace(ROW_PROVEN), ENTRY, State.UPLOADING))
    found = parsed(measured.text())
    labels = {name for _, pairs in found for name, _ in pairs}
    assert labels == {"version", "config_digest", "store", "state", "event", "operation", "disk", "le"}
    assert len(found) < 150
    assert b"alice" not in measured.text()


ROW_PROVEN = Proven("read_back", "", written=True, seconds=3.0, uri="file:///alice/x/y.csv")


def test_names_follow_prometheus_conventions() -> None:
    for name, family in families(metrics().text()).items():
        assert re.fullmatch(r"(artifactd|process)(_[a-z]+)+", name), name
        assert family.documentation.endswith("."), name
        assert not re.search(r"_(ms|mb|percent|count|total)$", name), name
    counters = {one.name for one in families(metrics().text()).values() if one.type == "counter"}
    assert "artifactd_events" in counters


# --- who speaks of them ---


def exported_names() -> set[str]:
    """Every name that a query can use."""
    return {name for name, _ in parsed(metrics().text())}


def used_names(query: str) -> set[str]:
    """The metrics that a query of PromQL names."""
    bare = re.sub(r'"[^"]*"', "", query)
    return set(re.findall(r"\b(?:artifactd|process)_[a-z_]+", bare))


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def queries() -> Iterator[str]:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_every_alert_asks_for_metrics_that_there_are_and_says_what_to_do() -> None:
    found = list(rules())
    assert len(found) > 10
    for rule in found:
        names = used_names(rule["expr"])
        assert names or rule["alert"] == "ArtifactdDown"
        assert names <= exported_names(), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} <= rule["annotations"].keys(), rule["alert"]


def test_every_query_of_the_dashboard_asks_for_metrics_that_there_are() -> None:
    found = list(queries())
    assert len(found) > 20
    for query in found:
        assert used_names(query), query
        assert used_names(query) <= exported_names(), query


def test_values_of_labels_that_alerts_and_dashboard_choose_are_ones_that_there_are() -> None:
    known = {label: set[str]() for label in ("state", "event")}
    for _, pairs in parsed(metrics().text()):
        for name, value in pairs:
            if name in known:
                known[name].add(value)
    choices = [
        (label, chosen, query)
        for query in (*(rule["expr"] for rule in rules()), *queries())
        for label, chosen in re.findall(r'\b(state|event)\s*[!=]~?\s*"([^"]*)"', query)
    ]
    assert {label for label, _, _ in choices} == {*known}
    for label, chosen, query in choices:
        assert set(chosen.split("|")) <= known[label], query


def test_promtool_finds_nothing_wrong_with_the_metrics_the_alerts_and_their_tests() -> None:
    promtool = Path(sys.executable).with_name("promtool")
    assert promtool.exists(), "make promtool"
    commands: tuple[tuple[tuple[str, ...], bytes], ...] = (
        (("check", "metrics"), metrics().text()),
        (("check", "rules", RULES.name), b""),
        (("test", "rules", "artifactd.rules.test.yml"), b""),
    )
    for command, text in commands:
        done = subprocess.run(
            [promtool, *command], input=text, capture_output=True, check=False, cwd=RULES.parent
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert not done.stderr.strip() or command[1] != "metrics", done.stderr


def test_the_page_explains_every_metric_and_no_other_and_names_every_alert() -> None:
    text = PAGE.read_text()
    names = {name for name in families(metrics().text()) if name.startswith("artifactd_")}
    ours = {f"{name}_total" if f"{name}_total" in exported_names() else name for name in names}
    rows = set(re.findall(r"^\| `(artifactd_[a-z_]+)", text, flags=re.MULTILINE))
    assert rows == ours
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in text] == []
