"""The record that auditors read: what an event says, and how the entries hang together. Pure.

An entry is one line of JSON in canonical form: keys sorted, no spaces, everything but ASCII escaped. Each
names the SHA-256 of the line before it. Anyone can check an exported record with sha256sum alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from artifactd.artifact import Identity, printable
from artifactd.clock import rfc3339
from artifactd.decisions.lifecycle import (
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record."""

    seq: int
    line: str
    hash: str
    """SHA-256 of `line`"""
    _said: Fields | None = field(default=None, compare=False, repr=False)
    """what was written into `line`; None where the line was found"""

    @property
    def fields(self) -> dict[str, Value]:
        """What the line says."""
        fields: dict[str, Value] = json.loads(self.line) if self._said is None else dict(self._said)
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
    return Entry(head.seq + 1, line, hash_of(line), body)


def account(before: Row, after: Row, event: Event, by: str = "") -> dict[str, Value]:
    """What the record says of `event`, which took a copy from `before` to `after`.

    `by` is the account of the person who asked for the copy; empty where the policy alone did.
    """
    terms = TERMS[type(event)]
    fields: dict[str, Value] = {
        "action": terms.action,
        "outcome": terms.outcome,
        "store": after.store,
        "key": after.key,
        "rule": after.rule,
        "user": printable(after.artifact.user),
        "experiment_id": printable(after.artifact.experiment_id),
        "kind": after.artifact.kind.value,
        "source": printable(after.artifact.path),
        "size": after.identity.size if after.identity else None,
        "mtime_ns": after.identity.mtime_ns if after.identity else None,
        "sha256": after.digest if _is_of(after.identity, before, event) else None,
        # A start or a replay may begin to count anew; all others speak of the try that was under way.
        "attempt": (after if isinstance(event, Started | Replayed) else before).failures + 1,
        "reason": printable(after.reason),
    }
    if by:
        fields["principal"] = by
    match event:
        case Started():
            fields["evidence"] = after.evidence
            if replaced := [digest for digest in before.there if digest != after.digest]:
                fields["replaces"] = " ".join(replaced)
        case Proven():
            fields |= {
                "proof": event.proof,
                "store_version": event.version,
                "written": event.written,
                "seconds": round(event.seconds, 3),
                "uri": event.uri,
                "evidence": after.evidence,
            }
        case Failed() | Postponed():
            fields["retry_at"] = rfc3339(event.retry_at)
        case Replayed():
            fields["principal"] = event.by
        case Upheld():
            fields |= {"reason": printable(event.reason), "sha256": after.digest, "size": after.size}
        case _:
            pass  # the fields above say it all
    return fields


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
