"""The record that auditors read: what an event says, and how the entries hang together. Pure.

An entry is one line of JSON in canonical form: keys sorted, no spaces, everything but ASCII escaped. Each
names the SHA-256 of the line before it. Anyone can check an exported record with sha256sum alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from math import isfinite
from operator import itemgetter
from typing import Final

from artifactd.artifact import Identity, printable
from artifactd.clock import rfc3339
from artifactd.decisions.lifecycle import (
    Ceded,
    Confirmed,
    Event,
    Failed,
    Kept,
    Lost,
    Postponed,
    Proven,
    Refused,
    Replayed,
    Row,
    Skipped,
    Started,
    Unchanged,
    Upheld,
    Vanished,
)

SCHEMA: Final = 1
"""Version of the fields below; docs/record.md describes it."""

START: Final = "0" * 64
"""What the first entry names as the hash before it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms in which an event of a copy is told."""

    action: str
    """in the record; the log calls its line so, too"""
    outcome: str
    """in the record"""
    level: str
    """in the log, as Python names its levels"""

    @property
    def metric(self) -> str:
        """In the label `event` of a metric."""
        return self.action.removeprefix("artifact.")


TERMS: Final[Mapping[type[Event], Terms]] = {
    Started: Terms("artifact.started", "pending", "DEBUG"),
    Proven: Terms("artifact.exported", "success", "INFO"),
    Unchanged: Terms("artifact.unchanged", "success", "INFO"),
    Failed: Terms("artifact.failed", "failure", "WARNING"),
    Postponed: Terms("artifact.postponed", "failure", "WARNING"),
    Refused: Terms("artifact.refused", "failure", "ERROR"),
    Kept: Terms("artifact.kept", "failure", "WARNING"),
    Upheld: Terms("artifact.upheld", "success", "INFO"),
    Skipped: Terms("artifact.skipped", "skipped", "INFO"),
    Vanished: Terms("artifact.gone", "failure", "WARNING"),
    Ceded: Terms("artifact.ceded", "success", "INFO"),
    Replayed: Terms("artifact.replayed", "pending", "INFO"),
    Lost: Terms("artifact.lost", "failure", "ERROR"),
    Confirmed: Terms("artifact.confirmed", "success", "INFO"),
}

ACTIONS: Final = (
    *(terms.action for terms in TERMS.values()),
    "export.requested",
    "copies.verified",
    "audit.anchored",
    "config.taken",
    "config.reloaded",
    "config.refused",
    "ledger.created",
    "ledger.rebuilt",
)
"""Every action that an entry may have; docs/record.md says what each means."""

Value = str | int | float | bool | None
Fields = Mapping[str, Value]

Texts = Mapping[str, str]
"""Fields, each with its value as it stands in a line: as JSON."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record."""

    seq: int
    line: str
    hash: str
    """SHA-256 of `line`"""
    texts: Texts = field(default_factory=dict, compare=False, repr=False)
    """of an entry of a copy that was just written: what it says, context aside, and its hash"""

    @property
    def fields(self) -> dict[str, Value]:
        """What the line says."""
        fields: dict[str, Value] = json.loads(self.line)
        return fields

    def tells(self, action: str) -> bool:
        """Whether it is of this action, found out without reading all of it."""
        return f'"action":"{action}"' in self.line  # in a text the quotes would be escaped


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the record: what the next entry hangs on."""

    seq: int = 0
    hash: str = START


def hash_of(line: str) -> str:
    """The hash that the next line names."""
    return hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def append(head: Head, at: float, fields: Fields) -> Entry:
    """The entry that says `fields` at the time `at` (seconds since the epoch), hung on `head`."""
    body = {**fields, "schema": SCHEMA, "seq": head.seq + 1, "time": rfc3339(at), "previous": head.hash}
    line = _ENCODER.encode(body)
    return Entry(head.seq + 1, line, hash_of(line))


_Line = tuple[str, Callable[[Texts], tuple[str, ...]]]
"""A line with gaps, and what fills them."""


class Template:
    """Writes the entries of copies, byte for byte as `append` would. All of them say `context`."""

    def __init__(self, context: Fields) -> None:
        self._common = {name: _ENCODER.encode(value) for name, value in context.items()}
        self._common["schema"] = str(SCHEMA)
        self._lines: dict[tuple[str, ...], _Line] = {}
        """by the names of what is told, a few for each event"""

    def append(self, head: Head, at: float, account: Texts) -> Entry:
        """The entry that says `account` besides the context, at the time `at`, hung on `head`."""
        said = {**account, "seq": str(head.seq + 1), "time": _word(rfc3339(at)), "previous": _text(head.hash)}
        names = tuple(said)
        line, gaps = self._lines.get(names) or self._line(names)
        text = line % gaps(said)
        said["hash"] = _text(digest := hash_of(text))
        return Entry(head.seq + 1, text, digest, said)

    def _line(self, names: tuple[str, ...]) -> _Line:
        said = {name: f"{_text(name)}:{text}".replace("%", "%%") for name, text in self._common.items()}
        said |= {name: f"{_text(name)}:%s" for name in names}
        line = ",".join(text for _, text in sorted(said.items()))
        self._lines[names] = f"{{{line}}}", itemgetter(*sorted(names))
        return self._lines[names]


_word: Final = lru_cache(maxsize=1024)(_text)  # what many entries say


def _json(value: Value) -> str:
    """As the encoder has it, which takes its time for anything but a text."""
    if value is None:
        return "null"
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)
    return _ENCODER.encode(value)


def account(before: Row, after: Row, event: Event, by: str = "") -> dict[str, str]:
    """What the record says of `event`, which took a copy from `before` to `after`, as `Texts`.

    `by` is the account of the person who asked for the copy; empty where the policy alone did.
    """
    terms, artifact, identity = TERMS[type(event)], after.artifact, after.identity
    said = {
        "action": _word(terms.action),
        "outcome": _word(terms.outcome),
        "store": _word(after.store),
        "key": _text(after.key),
        "rule": _word(after.rule),
        "user": _word(printable(artifact.user)),
        "experiment_id": _word(printable(artifact.experiment_id)),
        "kind": _text(artifact.kind),
        "source": _text(printable(artifact.path)),
        "size": _json(identity.size if identity else None),
        "mtime_ns": _json(identity.mtime_ns if identity else None),
        "sha256": _json(after.digest if _is_of(identity, before, event) else None),
        # A start or a replay may begin to count anew; all others speak of the try that was under way.
        "attempt": _json((after if isinstance(event, Started | Replayed) else before).failures + 1),
        "reason": _text(printable(after.reason)),
    }
    if by:
        said["principal"] = _text(by)
    match event:
        case Started():
            said["evidence"] = _word(after.evidence)
            if replaced := [digest for digest in before.there if digest != after.digest]:
                said["replaces"] = _text(" ".join(replaced))
        case Proven():
            said |= {
                "proof": _word(event.proof),
                "store_version": _text(event.version),
                "written": "true" if event.written else "false",
                "seconds": _json(round(event.seconds, 3)),
                "uri": _text(event.uri),
                "evidence": _word(after.evidence),
            }
        case Failed() | Postponed():
            said["retry_at"] = _text(rfc3339(event.retry_at))
        case Replayed():
            said["principal"] = _text(event.by)
        case Upheld():
            reason = _text(printable(event.reason))
            said |= {"reason": reason, "sha256": _json(after.digest), "size": _json(after.size)}
        case _:
            pass  # the fields above say it all
    return said


def _is_of(identity: Identity | None, before: Row, event: Event) -> bool:
    """Whether the copy's digest is that of the file with `identity`, as opposed to one that was not read."""
    return identity == before.identity or isinstance(event, Started | Unchanged)


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the record was altered."""

    seq: int
    reason: str


def breaks(entries: Iterable[Entry], head: Head | None = None) -> Iterator[Break]:
    """Every place where these entries, in order from the one after `head`, do not hang together."""
    before = head or Head()
    for entry in entries:
        if (reason := _broken(entry, before)) is not None:
            yield Break(entry.seq, reason)
        before = Head(entry.seq, entry.hash)


def _broken(entry: Entry, before: Head) -> str | None:
    """What shows that `entry` is not the one that was written after `before`; None where nothing does."""
    if hash_of(entry.line) != entry.hash:
        return "the line is not the one that was hashed"
    if entry.seq > before.seq + 1:
        return f"entries {before.seq + 1} to {entry.seq - 1} are missing"
    if entry.seq <= before.seq or _named(entry) != (entry.seq, before.hash):
        return "the line does not follow the one before it"
    return None


def _named(entry: Entry) -> tuple[Value, Value] | None:
    """The number and the previous hash that the line itself names; None where it can be no entry."""
    try:
        fields = entry.fields
        return fields["seq"], fields["previous"]
    except (ValueError, KeyError, TypeError):
        return None
