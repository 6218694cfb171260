"""structlog: a line for each finished thing. JSON on stdout, journald's fields, or colours on a terminal."""

import json
import logging
import select
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from threading import Lock
from typing import Any, BinaryIO, Final, Protocol, assert_never

from artifactd.log import journald
from artifactd.log.cleaner import Cleaner
from artifactd.log.flood import Repeats
from artifactd.log.lines import COMMON, SCHEMA
from artifactd.log.plain import structlog
from artifactd.log.together import EACH, rest, spread

EventDict = structlog.typing.EventDict

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
) -> structlog.typing.FilteringBoundLogger:
    """The log of this process. `common` is said in every line; `secrets` are masked everywhere.

    `repeats` holds back what comes too often; None: nothing is.

    A line that finds no room is lost, and nothing stops for it: the record is in the ledger.
    """
    renderer, stream = _rendered(form, Cleaner(secrets))
    structlog.configure(
        processors=[
            *filter(None, [repeats]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Output(stream),
        cache_logger_on_first_use=False,
    )
    for library in _TALKATIVE:
        logging.getLogger(library).addHandler(logging.NullHandler())
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(schema=SCHEMA, **common)
    return log


def _rendered(form: Form, cleaner: Cleaner) -> "tuple[Callable[..., Any], _Writes]":
    """What cleans a line and makes bytes of it, and what takes them."""
    match form:
        case Form.JSON:
            return _Json(cleaner), _Stream(sys.stdout.buffer)
        case Form.CONSOLE:
            console = structlog.dev.ConsoleRenderer(colors=True, timestamp_key="time")
            encoding = sys.stdout.encoding or "utf-8"

            def shown(line: EventDict) -> bytes:
                return str(console(None, "", line)).encode(encoding, "backslashreplace")

            return _OneByOne(cleaner, shown), _Stream(sys.stdout.buffer)
        case Form.JOURNAL:
            return _OneByOne(cleaner, journald.entry), journald.Journal(journald.SOCKET)
        case _:
            assert_never(form)


class _Writes(Protocol):
    def write(self, line: bytes, /) -> None:
        """Take a line, or several that end as one, each with a line feed."""


class _Output:
    """structlog's logger: writes what was rendered, whichever thread it comes from."""

    def __init__(self, stream: _Writes) -> None:
        self._stream, self._lock = stream, Lock()

    def msg(self, *lines: bytes) -> None:
        """Write these, one after the other."""
        with self._lock:
            for line in lines:
                self._stream.write(line + b"\n")

    debug = info = warning = error = critical = msg


class _Stream:
    """A stream that loses lines it cannot write, and never a part of one. That a reader hung up is raised.

    It writes past the buffer of `stream`: what that one could not write would come out torn later. Who reads
    from a pipe finds no part of a line either where this process is killed while it writes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._write = getattr(stream, "raw", stream).write
        self._rest = b""
        """of a line that was cut when the disk was full"""

    def write(self, lines: bytes) -> None:
        """Write these lines, as many of them as there is room for."""
        self._rest = self._unwritten(self._rest)
        if not self._rest:
            unwritten = self._unwritten(lines)
            cut = unwritten and lines[-len(unwritten) - 1 : -len(unwritten)] not in (b"", b"\n")
            self._rest = unwritten[: unwritten.index(b"\n") + 1] if cut else b""

    def _unwritten(self, lines: bytes) -> bytes:
        try:
            while lines and (count := self._write(_at_once(lines))):
                lines = lines[count:]
        except BrokenPipeError:
            raise
        except OSError:
            pass
        return lines


def _at_once(lines: bytes) -> bytes:
    """The first of these lines: as many as a pipe takes as a whole or not at all (pipe(7)), one at least."""
    if len(lines) <= select.PIPE_BUF:
        return lines
    return lines[: lines.rfind(b"\n", 0, select.PIPE_BUF) + 1 or lines.index(b"\n") + 1]


_ENCODER: Final = json.JSONEncoder(check_circular=False)


class _Json:
    """Lines of JSON in ASCII, what is the same in every line first."""

    def __init__(self, cleaner: Cleaner) -> None:
        self._cleaner = cleaner

    def __call__(self, logger: object, method: str, line: EventDict) -> bytes:
        first = {field: line.pop(field) for field in COMMON if field in line}
        ordered = {**first, **line}
        text = self._clean_as_it_is(ordered)
        if text is None:
            text = "\n".join(_ENCODER.encode(self._cleaner(logger, method, one)) for one in spread(ordered))
        return text.encode("ascii")

    def _clean_as_it_is(self, line: EventDict) -> str | None:
        """The lines, where JSON had only quotes to escape and no secret stands: so nearly all are."""
        try:
            text = _encoded(line)
        except (TypeError, ValueError):  # a type that JSON does not know, or a value in itself
            return None
        plain = text.replace('\\"', '"').replace("\n", " ")  # versions of stores are quoted
        clean = plain.isprintable() and "\\" not in plain  # JSON leaves the control character DEL as it is
        return text if clean and self._cleaner.finds_nothing(plain) else None


def _encoded(line: EventDict) -> str:
    if EACH not in line:
        return _ENCODER.encode(line)
    common = _ENCODER.encode({field: value for field, value in line.items() if field != EACH})[:-1]
    return "\n".join([common + rest(line["event"], texts) for texts in line[EACH]])


class _OneByOne:
    """Lines that are cleaned and rendered each by itself."""

    def __init__(self, cleaner: Cleaner, render: Callable[[EventDict], bytes]) -> None:
        self._cleaner, self._render = cleaner, render

    def __call__(self, logger: object, method: str, line: EventDict) -> tuple[list[bytes], dict[str, Any]]:
        lines = [self._render(self._cleaner(logger, method, one)) for one in spread(line)]
        return lines, {}  # structlog calls its logger with them
