"""An entry of the record as an event of the Open Cybersecurity Schema Framework, for a SIEM. Pure.

What concerns a file is File Hosting Activity (6006), the rest Application Lifecycle (6002). `raw_data` has
the entry's own line, so nothing is lost. The classes: https://schema.ocsf.io/1.5.0/classes/file_hosting
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from artifactd.ledger.record import Entry, Value

VERSION: Final = "1.5.0"
"""Of the schema."""

_CATEGORY: Final = {"category_uid": 6, "category_name": "Application Activity"}
_FILE_HOSTING: Final = (6006, "File Hosting Activity")
_LIFECYCLE: Final = (6002, "Application Lifecycle")

_UPLOADS: Final = (
    "artifact.started",
    "artifact.exported",
    "artifact.failed",
    "artifact.postponed",
    "artifact.refused",
    "audit.anchored",
)
"""Actions that tell of an upload; every other one is the framework's "Other" under its own name."""

_UPLOAD: Final = (1, "Upload")
_OTHER: Final = 99

_STATUS: Final = {"success": (1, "Success"), "failure": (2, "Failure")}
_REGULAR: Final = {"type_id": 1, "type": "Regular File"}
_SHA_256: Final = {"algorithm_id": 3, "algorithm": "SHA-256"}

_ALERTS: Final = ("artifact.refused", "artifact.lost", "copies.verified", "config.refused")
"""Whose failure waits for a person."""


def event(entry: Entry) -> dict[str, Any]:
    """The event.

    Raises:
        ValueError, KeyError: the line is not the one that was written.
    """
    fields = entry.fields
    action, outcome = str(fields["action"]), str(fields["outcome"])
    concerns_file = bool(fields.get("source") or fields.get("key"))
    class_uid, class_name = _FILE_HOSTING if concerns_file else _LIFECYCLE
    activity_id, activity = _UPLOAD if action in _UPLOADS else (_OTHER, action)
    status_id, status = _STATUS.get(outcome, (_OTHER, outcome))
    severity_id, severity = _severity(action, outcome)
    product = {"name": "artifactd", "vendor_name": "artifactd", "version": fields.get("version")}
    return _without_nothing(
        {
            **_CATEGORY,
            "class_uid": class_uid,
            "class_name": class_name,
            "activity_id": activity_id,
            "activity_name": activity,
            "type_uid": class_uid * 100 + activity_id,
            "type_name": f"{class_name}: {activity if activity_id != _OTHER else 'Other'}",
            "time": _milliseconds(str(fields["time"])),
            "severity_id": severity_id,
            "severity": severity,
            "status_id": status_id,
            "status": status,
            "status_detail": fields.get("reason"),
            "message": action,
            "metadata": {
                "version": VERSION,
                "product": product,
                "uid": entry.hash,
                "sequence": entry.seq,
                "event_code": action,
                "original_time": fields["time"],
                "log_name": "record",
            },
            **(_of_file(fields) if concerns_file else {"app": product}),
            "raw_data": entry.line,
        }
    )


def _of_file(fields: Mapping[str, Value]) -> dict[str, Any]:
    """What File Hosting Activity says besides: who did what with which file, from where to where."""
    source, key = fields.get("source"), fields.get("key")
    digest = fields.get("sha256")
    content = {"size": fields.get("size"), "hashes": digest and [{**_SHA_256, "value": digest}], **_REGULAR}
    mtime, user = fields.get("mtime_ns"), fields.get("user")
    return {
        "actor": {
            "app_name": "artifactd",
            "user": {"name": fields.get("principal") or fields.get("service_account")},
        },
        "src_endpoint": {"hostname": fields.get("host")},
        "dst_endpoint": {"svc_name": fields.get("store")},
        "file": {
            **_named(str(source or key)),
            **content,
            "modified_time": mtime // 1_000_000 if isinstance(mtime, int) else None,
            "owner": {"name": user},
        },
        "file_result": {**_named(str(key)), **content, "uid": fields.get("uri")} if key and source else None,
    }


def _named(path: str) -> dict[str, str]:
    return {"name": path.rpartition("/")[2] or path, "path": path}


def _severity(action: str, outcome: str) -> tuple[int, str]:
    if outcome != "failure":
        return 1, "Informational"
    return (4, "High") if action in _ALERTS else (3, "Medium")


def _milliseconds(time: str) -> int:
    """RFC 3339 as milliseconds since the epoch."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields without those that have nothing to say, at any depth."""
    said = {
        name: _without_nothing(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
    }
    return {name: value for name, value in said.items() if value not in (None, "", {})}


def line(entry: Entry) -> str:
    """The event on one line. Raises as `event`."""
    return json.dumps(event(entry))
