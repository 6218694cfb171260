"""structlog: one JSON line on stdout for each finished thing; colours and columns on a terminal.

`LINES` is the schema: every event name with its fields. `docs/log.md` shows it to people, a test holds the two together.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import FilteringBoundLogger

from artifactd.artifact import printable

SCHEMA: Final = 1
"""Version of `LINES`. It is raised when a field is renamed or changes its meaning."""

COMMON: Final = ("time", "level", "event", "schema", "version", "host", "pid")
"""Fields of every line."""

_COPY: Final = (
    "user",
    "experiment_id",
    "kind",
    "source",
    "size",
    "sha256",
    "store",
    "key",
    "rule",
    "attempt",
    "reason",
    "outcome",
    "seq",
    "hash",
)

LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "daemon.started": ("config_digest", "data_directory", "stores", "state_directory", "seconds"),
    "daemon.stopped": ("reason", "in_flight"),
    "daemon.disabled": ("reason",),
    "config.warning": ("reason",),
    "ledger.opened": ("seq", "hash", "copies"),
    "ledger.damaged": ("reason", "set_aside"),
    "ledger.unwritable": ("reason",),
    "ledger.writable": ("seconds",),
    "watch.started": ("watches", "seconds"),
    "watch.doubted": ("reason",),
    "watch.missed": ("count",),
    "scan.finished": ("reason", "files", "wanted", "new", "left_alone", "unobservable", "seconds"),
    "scan.unobservable": ("source", "reason"),
    "store.unavailable": ("store", "reason", "needs_person", "retry_seconds"),
    "store.recovered": ("store", "seconds"),
    "artifact.waiting": ("source", "size", "reason", "waited_seconds"),
    "artifact.started": (*_COPY, "evidence", "replaces"),
    "artifact.exported": (*_COPY, "proof", "store_version", "written", "seconds", "uri", "evidence"),
    "artifact.unchanged": _COPY,
    "artifact.failed": (*_COPY, "retry_at"),
    "artifact.postponed": (*_COPY, "retry_at"),
    "artifact.refused": _COPY,
    "artifact.skipped": _COPY,
    "artifact.gone": _COPY,
    "artifact.replayed": (*_COPY, "principal"),
    "artifact.lost": _COPY,
    "artifact.confirmed": _COPY,
    "hint.received": ("experiment_id", "source", "artifacts", "principal"),
    "hint.unknown": ("experiment_id", "reason", "principal"),
    "export.requested": ("source", "name", "principal"),
    "audit.anchored": ("store", "key", "seq", "hash"),
    "sync.finished": (
        "exported",
        "unchanged",
        "refused",
        "waiting",
        "failed",
        "bytes",
        "seconds",
        "complete",
    ),
    "verify.finished": ("entries", "copies", "missing", "different", "unreadable", "unknown", "seconds"),
}
"""Event name → its own fields. A field that has nothing to say may be left out."""

Log = FilteringBoundLogger


def configure(level: str, *, console: bool, common: Mapping[str, Any]) -> Log:
    """The log of this process, on stdout; also what warnings of the libraries go to. `common` is said in every line."""
    render: Any = (
        structlog.dev.ConsoleRenderer(colors=True)
        if console
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _escaped,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    log: Log = structlog.get_logger().bind(schema=SCHEMA, **common)
    return log


def _escaped(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names come from users: nothing in a value may break a line, hide, or drive a terminal."""
    for field, value in line.items():
        if isinstance(value, str):
            line[field] = printable(value.encode("utf-8", "surrogateescape"))
    return line
