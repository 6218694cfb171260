"""What can go wrong between a store and its server, and for which request it does."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, as its head told."""

    method: str
    target: str
    headers: Mapping[str, str]
    """by name in lower case"""
    body_length: int | None
    """bytes, as announced; None: in chunks"""
    operation: str
    """as `operations.operation`"""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A new connection is reset before it can ask for anything. There is no request to ask `when` about."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset after so many bytes of the request's body; the server gets no more."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Truncate:
    """The connection ends after so many bytes of the answer's body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Flip:
    """One bit of this byte of the request's body changes on its way."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class FlipAnswer:
    """One bit of this byte of the answer's body changes on its way."""

    at: int = 0


@dataclass(frozen=True, slots=True)
class Slow:
    """So many bytes of a body in a second, both ways."""

    rate: float


@dataclass(frozen=True, slots=True)
class Blackhole:
    """The request is read and never answered; once `released` is set, the connection is reset."""

    released: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does what it was asked for; instead of its answer comes a reset."""


@dataclass(frozen=True, slots=True)
class Hide:
    """Where the server says 404 the answer is 403, as Amazon's for an account that may not list.

    Source: "HeadObject", Amazon S3 API Reference, on permissions.
    """


@dataclass(frozen=True, slots=True)
class Misheard:
    """The server gets another head than was sent: for servers that verify no signatures."""

    head: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Delay:
    """The server hears of the request so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The server never hears of the request; this is the answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def s3(cls, status: int, code: str, **headers: str) -> "Answer":
        """An error of S3. An underscore in a header's name stands for "-"."""
        return cls(status, _error(code), {"content-type": "application/xml", **_names(headers)})

    @classmethod
    def azure(cls, status: int, code: str, **headers: str) -> "Answer":
        """An error of Azure Storage. Header names as for `s3`."""
        told = {"content-type": "application/xml", "x-ms-error-code": code, **_names(headers)}
        return cls(status, _error(code), told)


def _error(code: str) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
    return b"<?xml version='1.0' encoding='UTF-8'?>" + error.encode()


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


OnBody = Reset | Truncate | Flip | FlipAnswer | Slow
What = OnBody | Refuse | Blackhole | LoseAnswer | Hide | Misheard | Delay | Answer


def anything(_: Seen) -> bool:
    """Every request."""
    return True


def of(*operations: str) -> Callable[[Seen], bool]:
    """The requests for these operations."""
    return lambda seen: seen.operation in operations


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next requests that `when` is true of. `times` may be math.inf."""

    what: What
    when: Callable[[Seen], bool] = anything
    times: float = 1
