"""The schema of the log: every event by its name, with its fields.

`docs/log.md` shows it to people, a test holds the two together.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol


class Log(Protocol):
    """Who writes the lines. structlog's logger is one; who has only things to tell need not load it."""

    def is_enabled_for(self, level: int) -> bool:
        """Whether a line of this level, as logging numbers it, is shown."""

    def log(self, level: int, event: str, **fields: Any) -> Any:  # noqa: ANN401 - JSON; the result says nothing
        """Say a line."""

    def debug(self, event: str, **fields: Any) -> Any:  # noqa: ANN401 - as above
        """As `log`."""

    def info(self, event: str, **fields: Any) -> Any:  # noqa: ANN401 - as above
        """As `log`."""

    def warning(self, event: str, **fields: Any) -> Any:  # noqa: ANN401 - as above
        """As `log`."""

    def error(self, event: str, **fields: Any) -> Any:  # noqa: ANN401 - as above
        """As `log`."""


SCHEMA: Final = 1
"""Version of `LINES`. It is raised when a field is renamed or changes its meaning."""

COMMON: Final = ("time", "level", "event", "schema", "version", "host", "pid")
"""Fields of every line."""

OPTIONAL: Final = ("held_back",)
"""Fields that any line may have."""

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
    "config.reloaded": ("config_digest", "previous_config_digest", "principal", "seconds"),
    "config.reload_failed": ("config_digest", "refused_config_digest", "reason", "principal"),
    "ledger.migrating": (),
    "ledger.opened": ("seq", "hash", "copies"),
    "ledger.damaged": ("reason", "set_aside"),
    "ledger.unwritable": ("reason",),
    "ledger.writable": ("seconds",),
    "watch.started": ("watches", "seconds"),
    "watch.doubted": ("reason",),
    "watch.missed": ("count",),
    "scan.finished": ("reason", "files", "wanted", "new", "left_alone", "unobservable", "seconds"),
    "scan.unobservable": ("source", "reason"),
    "daemon.fault": ("reason",),
    "user.held_back": ("user", "reason", "retry_seconds"),
    "store.unavailable": ("store", "reason", "needs_person", "retry_seconds"),
    "store.recovered": ("store", "seconds"),
    "store.doubted": ("store", "reason"),
    "artifact.waiting": ("source", "size", "reason", "waited_seconds"),
    "artifact.started": (*_COPY, "evidence", "replaces"),
    "artifact.exported": (*_COPY, "proof", "store_version", "written", "seconds", "uri", "evidence"),
    "artifact.unchanged": _COPY,
    "artifact.failed": (*_COPY, "retry_at"),
    "artifact.postponed": (*_COPY, "retry_at"),
    "artifact.refused": _COPY,
    "artifact.kept": _COPY,
    "artifact.upheld": _COPY,
    "artifact.skipped": _COPY,
    "artifact.gone": _COPY,
    "artifact.ceded": _COPY,
    "artifact.replayed": (*_COPY, "principal"),
    "artifact.lost": _COPY,
    "artifact.confirmed": _COPY,
    "hint.received": ("experiment_id", "source", "artifacts", "principal"),
    "hint.unknown": ("experiment_id", "reason", "principal"),
    "export.requested": ("source", "name", "principal", "seq", "hash"),
    "audit.anchored": ("store", "key", "seq", "hash"),
    "sync.finished": (
        "exported",
        "unchanged",
        "left",
        "stuck",
        "unobservable",
        "bytes",
        "requests",
        "seconds",
        "complete",
    ),
}
"""Event name → its own fields. A field that has nothing to say may be left out."""
