"""Entries of the record as events of OCSF 1.5.0, held to what its classes require."""

import json
from typing import Any

import pytest

from artifactd.inspection import ocsf
from artifactd.ledger.record import Entry, Head, Value, append

REQUIRED = {
    6006: {"actor", "file", "src_endpoint"},
    6002: {"app"},
}
"""By class, besides what every event has: https://schema.ocsf.io/1.5.0/classes/file_hosting and so on."""

OF_ALL = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
ACTIVITIES = {6006: {*range(17), 99}, 6002: {*range(9), 99}}

URI = "s3://b/alice/one/mojo.zip"
COPY: dict[str, Value] = {
    "store": "s3",
    "key": "alice/one/mojo.zip",
    "user": "alice",
    "source": "alice/h2oai_experiment_one/mojo_pipeline/mojo.zip",
    "size": 5,
    "mtime_ns": 1_764_000_000_123_456_789,
    "sha256": "ab" * 32,
    "host": "dai-1",
    "service_account": "artifactd",
    "version": "1.2.3",
}


def event(action: str, outcome: str, fields: dict[str, Value]) -> dict[str, Any]:
    entry = append(Head(6, "0" * 64), 1_764_000_000.5, {"action": action, "outcome": outcome, **fields})
    found: dict[str, Any] = json.loads(ocsf.line(Entry(entry.seq, entry.line, entry.hash)))
    assert found["raw_data"] == entry.line
    assert found["metadata"]["uid"] == entry.hash
    return found


BARE: dict[str, Value] = {"service_account": "artifactd", "host": "dai-1", "version": "1.2.3"}
ANCHOR: dict[str, Value] = {**BARE, "store": "s3", "key": "_artifactd/anchors/a/b"}


@pytest.mark.parametrize(
    ("action", "outcome", "fields", "expected"),
    [
        ("artifact.exported", "success", COPY, (6006, 1, 1, 1)),
        ("artifact.started", "pending", COPY, (6006, 1, 99, 1)),
        ("artifact.failed", "failure", COPY, (6006, 1, 2, 3)),
        ("artifact.refused", "failure", {**COPY, "sha256": None, "key": ""}, (6006, 1, 2, 4)),
        ("artifact.lost", "failure", COPY, (6006, 99, 2, 4)),
        ("export.requested", "failure", {**BARE, "source": "alice/x"}, (6006, 99, 2, 3)),
        ("audit.anchored", "success", ANCHOR, (6006, 1, 1, 1)),
        ("config.taken", "success", BARE, (6002, 99, 1, 1)),
        ("copies.verified", "failure", BARE, (6002, 99, 2, 4)),
    ],
)
def test_an_entry_is_an_event_with_all_that_its_class_requires(
    action: str, outcome: str, fields: dict[str, Value], expected: tuple[int, int, int, int]
) -> None:
    class_uid, activity_id, status_id, severity_id = expected
    found = event(action, outcome, fields)
    assert found.keys() >= OF_ALL | REQUIRED[class_uid]
    assert (found["class_uid"], found["activity_id"], found["status_id"]) == (
        class_uid,
        activity_id,
        status_id,
    )
    assert activity_id in ACTIVITIES[class_uid]
    assert found["type_uid"] == class_uid * 100 + activity_id
    assert found["severity_id"] == severity_id
    assert found["metadata"]["version"] == "1.5.0"
    assert found["metadata"]["product"]["name"] == "artifactd"
    assert activity_id != 99 or found["activity_name"] == action
    if class_uid == 6006:
        assert found["file"].keys() >= {"name", "type_id"}
        assert found["src_endpoint"]["hostname"]


def test_an_export_says_who_put_which_bytes_where() -> None:
    found = event("artifact.exported", "success", {**COPY, "principal": "bob", "uri": URI, "reason": ""})
    assert found["time"] == 1_764_000_000_500
    assert found["actor"]["user"] == {"name": "bob"}
    assert found["dst_endpoint"] == {"svc_name": "s3"}
    assert found["file"] == {
        "name": "mojo.zip",
        "path": "alice/h2oai_experiment_one/mojo_pipeline/mojo.zip",
        "type_id": 1,
        "type": "Regular File",
        "size": 5,
        "hashes": [{"algorithm_id": 3, "algorithm": "SHA-256", "value": "ab" * 32}],
        "modified_time": 1_764_000_000_123,
        "owner": {"name": "alice"},
    }
    assert found["file_result"]["path"] == "alice/one/mojo.zip"
    assert found["file_result"]["uid"] == URI
    assert "status_detail" not in found
