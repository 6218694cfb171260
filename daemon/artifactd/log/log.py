"""structlog: one line for each finished thing. JSON on stdout, journald's fields, or colours on a terminal.

`LINES` is the schema: every event name with its fields. `docs/log.md` shows it to people, a test holds the
two together.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, BinaryIO, Final, assert_never, cast
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from artifactd.artifact import printable
from artifactd.log import journald
from artifactd.log.flood import Repeats

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
    "store.doubted": ("store", "reason"),
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

Log = FilteringBoundLogger

_SHORTEST_SECRET: Final = 4  # characters: masking a shorter one would tear holes into everything else


_TALKATIVE: Final = ("azure", "boto3", "botocore", "msal", "urllib3")
"""Libraries that warn on stderr where nobody listens. They raise it as well, and we tell it in our words."""


class Form(Enum):
    """How the lines look, and where they go."""

    JSON = auto()
    CONSOLE = auto()
    JOURNAL = auto()
    """journald's own fields, past stdout"""


def configure(
    level: str,
    form: Form,
    *,
    common: Mapping[str, Any],
    secrets: Iterable[str] = (),
    repeats: Repeats | None = None,
) -> Log:
    """The log of this process. `common` is said in every line; `secrets` are masked everywhere.

    `repeats` holds back what comes too often; None: nothing is.

    A line that finds no room is lost, and nothing stops for it: the record is in the ledger.
    """
    renderers, stream = _rendered(form, _Cleaner(secrets))
    structlog.configure(
        processors=[
            *filter(None, [repeats]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, stream)),
        cache_logger_on_first_use=False,
    )
    for library in _TALKATIVE:
        logging.getLogger(library).addHandler(logging.NullHandler())
    log: Log = structlog.get_logger().bind(schema=SCHEMA, **common)
    return log


def _rendered(form: Form, cleaner: "_Cleaner") -> tuple[Sequence[Callable[..., Any]], object]:
    """What cleans a line and makes bytes of it, and what takes them."""
    match form:
        case Form.JSON:
            return [_Json(cleaner)], _Lines(sys.stdout.buffer)
        case Form.CONSOLE:
            console = structlog.dev.ConsoleRenderer(colors=True, timestamp_key="time")
            return [cleaner, console, _encoded], _Lines(sys.stdout.buffer)
        case Form.JOURNAL:
            return [cleaner, _journal], journald.Journal()
        case _:
            assert_never(form)


class _Lines:
    """A stream that loses lines it cannot write, and never a part of one. That a reader hung up is raised.

    It writes past the buffer of `stream`: what that one could not write would come out torn later.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._write = getattr(stream, "raw", stream).write
        self._rest = b""
        """of a line that was cut when the disk was full"""

    def write(self, line: bytes) -> None:
        """Called by structlog, under its lock."""
        self._rest = self._unwritten(self._rest)
        if not self._rest:
            unwritten = self._unwritten(line)
            self._rest = unwritten if len(unwritten) < len(line) else b""

    def flush(self) -> None:
        """Nothing is held back."""

    def _unwritten(self, line: bytes) -> bytes:
        try:
            while line and (count := self._write(line)):
                line = line[count:]
        except BrokenPipeError:
            raise
        except OSError:
            pass
        return line


class _Cleaner:
    """Makes every value fit to be shown: nothing breaks a line, hides, drives a terminal, or is a secret.

    Names come from users, and messages of errors from anywhere.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        hidden = {
            form
            for secret in secrets
            if len(secret) >= _SHORTEST_SECRET
            for form in (secret, quote(secret, ""))
        }
        longest_first = sorted(hidden, key=len, reverse=True)
        self._secret = re.compile("|".join(map(re.escape, longest_first))) if hidden else None

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        for field, value in line.items():
            line[field] = self._text(value) if type(value) is str else self._clean(value)
        return line

    def finds_nothing(self, text: str) -> bool:
        """Whether no secret stands in `text`."""
        return self._secret is None or self._secret.search(text) is None

    def _clean(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(name)): self._clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return self._text(str(value))

    def _text(self, text: str) -> str:
        if self._secret is not None:
            text = self._secret.sub("***", text)
        try:
            return printable(text)
        except UnicodeEncodeError:  # surrogates that stand for no byte of a name
            return printable(text.encode("utf-8", "backslashreplace"))


_ENCODER: Final = json.JSONEncoder(check_circular=False)


class _Json:
    """One line of JSON in ASCII, what is the same in every line first."""

    def __init__(self, cleaner: _Cleaner) -> None:
        self._cleaner = cleaner

    def __call__(self, logger: object, method: str, line: EventDict) -> bytes:
        first = {field: line.pop(field) for field in COMMON if field in line}
        ordered = {**first, **line}
        text = self._clean_as_it_is(ordered)
        if text is None:
            text = _ENCODER.encode(self._cleaner(logger, method, ordered))
        return text.encode("ascii")

    def _clean_as_it_is(self, line: EventDict) -> str | None:
        """The line, where JSON had only quotes to escape and no secret stands: so nearly every line is."""
        try:
            text = _ENCODER.encode(line)
        except (TypeError, ValueError):  # a type that JSON does not know, or a value in itself
            return None
        plain = text.replace('\\"', '"')  # versions of stores are quoted
        clean = plain.isprintable() and "\\" not in plain  # JSON leaves the control character DEL as it is
        return text if clean and self._cleaner.finds_nothing(plain) else None


def _journal(_logger: object, _method: str, line: EventDict) -> bytes:
    return journald.entry(line)


def _encoded(_logger: object, _method: str, line: str) -> bytes:
    return line.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
