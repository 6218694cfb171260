"""structlog: a line for each finished thing. JSON on stdout, journald's fields, or colours on a terminal."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, BinaryIO, Final, assert_never, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from artifactd.log import journald
from artifactd.log.cleaner import Cleaner
from artifactd.log.flood import Repeats
from artifactd.log.lines import COMMON, SCHEMA

Log = FilteringBoundLogger

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
    renderers, stream = _rendered(form, Cleaner(secrets))
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


def _rendered(form: Form, cleaner: Cleaner) -> tuple[Sequence[Callable[..., Any]], object]:
    """What cleans a line and makes bytes of it, and what takes them."""
    match form:
        case Form.JSON:
            return [_Json(cleaner)], _Stream(sys.stdout.buffer)
        case Form.CONSOLE:
            console = structlog.dev.ConsoleRenderer(colors=True, timestamp_key="time")
            return [cleaner, console, _encoded], _Stream(sys.stdout.buffer)
        case Form.JOURNAL:
            return [cleaner, _journal], journald.Journal()
        case _:
            assert_never(form)


class _Stream:
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


_ENCODER: Final = json.JSONEncoder(check_circular=False)


class _Json:
    """One line of JSON in ASCII, what is the same in every line first."""

    def __init__(self, cleaner: Cleaner) -> None:
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
