"""The states of a copy: one table, one step. A missing cell is an error. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, assert_never

from artifactd.artifact import Artifact, Digest, Identity


class State(StrEnum):
    """Where a copy stands."""

    NEW = "new"
    """not on record yet"""
    UPLOADING = "uploading"
    """a put is under way; after a crash it may have happened or not: the next start has it retrying"""
    PROVEN = "proven"
    """the store holds the bytes of the digest"""
    RETRYING = "retrying"
    """the last try failed; the next one has its time"""
    REFUSED = "refused"
    """needs a person; then `artifactd retry`, or another version of the file"""
    SKIPPED = "skipped"
    """a rule of the policy leaves it alone"""
    GONE = "gone"
    """the file was deleted before it was exported"""
    LOST = "lost"
    """it was proven, and a verification found it missing or different"""
    KEPT = "kept"
    """the store holds what was proven of it; the file as it is now cannot be exported"""


_UNFINISHED: Final = (State.UPLOADING, State.RETRYING)
_REMEMBERED: Final = 3
"""Earlier versions that are still recognised. A store falls back to what a disk had flushed last, or to the
last snapshot; each costs 32 bytes of the ledger for a file that changes, and none for one that does not."""

OPEN: Final = (*_UNFINISHED, State.REFUSED, State.KEPT)
"""States of copies that something or somebody is still to do something about. Lost ones wait for a person."""

_LOST: Final = "lost"
"""In place of a proof: a verification found the copy missing or different, and nothing was proven since."""

DUE: Final = "due: at its turn, as soon as the store takes it"
"""What to say of a next try whose time has come."""

Name = tuple[bytes, str, str, str]
"""source, store, key, wanted key"""


@dataclass(frozen=True, slots=True)
class Row:
    """What the ledger knows of one copy: one artifact at one key of one store.

    The key is "" where none could be made.
    """

    store: str
    artifact: Artifact
    key: str
    wanted_key: str
    """the key that the policy asked for; `key` differs where several versions are kept"""
    rule: str
    state: State = State.NEW
    identity: Identity | None = None
    """of the file when it was last read or judged"""
    digest: Digest | None = None
    """what the copy holds or was last meant to hold"""
    size: int = 0
    """bytes"""
    ours: tuple[Digest, ...] = ()
    """what this daemon wrote, or may have written, at the key; of a proven copy its digest, then the last few
    that it replaced"""
    failures: int = 0
    """in a row"""
    retry_at: float | None = None
    """seconds since the epoch"""
    reason: str = ""
    evidence: str = ""
    """what showed that the artifact was complete; empty where `identity` is not of what was hashed"""
    proof: str = ""
    """how strongly the copy was proven; empty where it never was; `lost` where it was found lost since,
    whatever state the copy is in"""
    version: str = ""
    """the store's own name for this version"""
    changed_at: float = 0.0
    """seconds since the epoch"""

    @property
    def name(self) -> Name:
        """What tells this copy from every other: its primary key in the ledger."""
        return self.artifact.path, self.store, self.key, self.wanted_key

    @property
    def unfinished(self) -> bool:
        """Whether a put was begun or is due: the copy's state ends by itself."""
        return self.state in _UNFINISHED

    @property
    def stands(self) -> bool:
        """Whether the store holds what was proven: no put of other bytes was begun since."""
        return bool(self.proof) and self.there == (self.digest,) and not self.lost

    @property
    def lost(self) -> bool:
        """Whether it was proven, a verification found it missing or different, and no put has mended that."""
        return self.state is State.LOST or self.proof == _LOST

    @property
    def there(self) -> tuple[Digest, ...]:
        """What of ours may lie at the key, unless its store fell back to an older version."""
        return self.ours[:1] if self.ours[:1] == (self.digest,) else self.ours

    @property
    def earlier(self) -> tuple[Digest, ...]:
        """What lay at the key earlier, and lies there again where its store fell back."""
        return self.ours[len(self.there) :]

    @property
    def claims(self) -> bool:
        """Whether the key holds its bytes, or may yet get them."""
        return bool(self.ours) and (bool(self.proof) or self.unfinished)


@dataclass(frozen=True, slots=True)
class Started:
    """A put begins. On record before it does, so that a crash cannot hide what may have been written."""

    identity: Identity
    digest: Digest
    size: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The store holds the bytes."""

    proof: str
    version: str
    written: bool
    """False: the same bytes were there already"""
    seconds: float
    """from when the file was first seen as it is to the proof"""
    uri: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The file has a new identity and the same bytes: nothing to do."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Failed:
    """A try failed; there will be another."""

    reason: str
    retry_at: float
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """The try was cut short, or has to wait, and nothing failed. It does not count as a failure."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A person is needed, or tries are used up."""

    reason: str
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The file as it is now cannot be exported, which says nothing of the copy that was proven before."""

    reason: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Upheld:
    """Nothing is to replace the copy any more: it stays what was proven before."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A rule leaves the artifact alone."""

    reason: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Vanished:
    """The file is no longer there and was not exported."""

    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """A person asked for another try."""

    at: float
    by: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A verification found the copy missing or different."""

    reason: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A verification found a lost copy whole again."""


@dataclass(frozen=True, slots=True)
class Ceded:
    """The file is gone, and another one with the bytes that were proven has the key from now on."""

    reason: str


Event = (
    Started
    | Proven
    | Unchanged
    | Failed
    | Postponed
    | Refused
    | Kept
    | Upheld
    | Skipped
    | Vanished
    | Replayed
    | Lost
    | Confirmed
    | Ceded
)


@dataclass(frozen=True, slots=True)
class Change:
    """An event that happens to a copy; `row` is what was known of it before."""

    row: Row
    event: Event
    by: str = ""
    """the account of the person who asked for the copy; empty where the policy alone did"""


_S = State
STEPS: Final[dict[tuple[State, type[Event]], State]] = {
    (_S.NEW, Started): _S.UPLOADING,
    (_S.NEW, Failed): _S.RETRYING,
    (_S.NEW, Refused): _S.REFUSED,
    (_S.NEW, Skipped): _S.SKIPPED,
    (_S.UPLOADING, Started): _S.UPLOADING,
    (_S.UPLOADING, Proven): _S.PROVEN,
    (_S.UPLOADING, Failed): _S.RETRYING,
    (_S.UPLOADING, Postponed): _S.RETRYING,
    (_S.UPLOADING, Refused): _S.REFUSED,
    (_S.UPLOADING, Kept): _S.KEPT,
    (_S.UPLOADING, Upheld): _S.PROVEN,
    (_S.UPLOADING, Skipped): _S.SKIPPED,
    (_S.UPLOADING, Vanished): _S.GONE,
    (_S.UPLOADING, Lost): _S.LOST,
    (_S.PROVEN, Started): _S.UPLOADING,
    (_S.PROVEN, Unchanged): _S.PROVEN,
    (_S.PROVEN, Failed): _S.RETRYING,
    (_S.PROVEN, Refused): _S.REFUSED,
    (_S.PROVEN, Kept): _S.KEPT,
    (_S.PROVEN, Upheld): _S.PROVEN,
    (_S.PROVEN, Lost): _S.LOST,
    (_S.PROVEN, Ceded): _S.GONE,
    (_S.RETRYING, Started): _S.UPLOADING,
    (_S.RETRYING, Failed): _S.RETRYING,
    (_S.RETRYING, Postponed): _S.RETRYING,
    (_S.RETRYING, Refused): _S.REFUSED,
    (_S.RETRYING, Kept): _S.KEPT,
    (_S.RETRYING, Upheld): _S.PROVEN,
    (_S.RETRYING, Skipped): _S.SKIPPED,
    (_S.RETRYING, Vanished): _S.GONE,
    (_S.RETRYING, Replayed): _S.RETRYING,
    (_S.RETRYING, Lost): _S.LOST,
    (_S.REFUSED, Started): _S.UPLOADING,
    (_S.REFUSED, Failed): _S.RETRYING,
    (_S.REFUSED, Postponed): _S.RETRYING,
    (_S.REFUSED, Refused): _S.REFUSED,
    (_S.REFUSED, Kept): _S.KEPT,
    (_S.REFUSED, Upheld): _S.PROVEN,
    (_S.REFUSED, Skipped): _S.SKIPPED,
    (_S.REFUSED, Replayed): _S.RETRYING,
    (_S.REFUSED, Vanished): _S.GONE,
    (_S.REFUSED, Lost): _S.LOST,
    (_S.SKIPPED, Started): _S.UPLOADING,
    (_S.SKIPPED, Skipped): _S.SKIPPED,
    (_S.SKIPPED, Refused): _S.REFUSED,
    (_S.SKIPPED, Failed): _S.RETRYING,
    (_S.SKIPPED, Lost): _S.LOST,
    (_S.GONE, Started): _S.UPLOADING,
    (_S.GONE, Failed): _S.RETRYING,
    (_S.GONE, Refused): _S.REFUSED,
    (_S.GONE, Skipped): _S.SKIPPED,
    (_S.GONE, Lost): _S.LOST,
    (_S.LOST, Started): _S.UPLOADING,
    (_S.LOST, Failed): _S.RETRYING,
    (_S.LOST, Refused): _S.REFUSED,
    (_S.LOST, Lost): _S.LOST,
    (_S.LOST, Replayed): _S.RETRYING,
    (_S.LOST, Confirmed): _S.PROVEN,
    (_S.LOST, Ceded): _S.GONE,
    (_S.KEPT, Started): _S.UPLOADING,
    (_S.KEPT, Unchanged): _S.PROVEN,
    (_S.KEPT, Failed): _S.RETRYING,
    (_S.KEPT, Postponed): _S.RETRYING,
    (_S.KEPT, Refused): _S.REFUSED,
    (_S.KEPT, Kept): _S.KEPT,
    (_S.KEPT, Upheld): _S.PROVEN,
    (_S.KEPT, Replayed): _S.RETRYING,
    (_S.KEPT, Lost): _S.LOST,
}
"""What may follow what.

A pair that is not here cannot happen; if it does, the daemon's own logic is wrong.
"""


class ImpossibleStep(Exception):
    """An event that cannot follow the row's state."""


def step(row: Row, event: Event, at: float | None = None) -> Row:
    """The row after `event`, which happened `at` (seconds since the epoch; None: the row keeps its time).

    Raises:
        ImpossibleStep: the table has no such cell. Nothing was changed.
    """
    try:
        state = STEPS[row.state, type(event)]
    except KeyError:
        raise ImpossibleStep(f"{type(event).__name__} cannot follow {row.state} ({row.key!a})") from None
    changed = _changed(row, event)
    if row.state is State.LOST and not isinstance(event, Lost):
        changed.setdefault("proof", _LOST)  # until the next proof, however often the state changes
    return replace(row, state=state, changed_at=row.changed_at if at is None else at, **changed)


def _changed(row: Row, event: Event) -> dict[str, Any]:  # noqa: C901, PLR0911 - one arm for each event
    """The fields of `row` that `event` changes, its state and time aside."""
    match event:
        case Started():
            return {
                "identity": event.identity,
                "digest": event.digest,
                "size": event.size,
                "evidence": event.evidence,
                "ours": row.ours
                if row.there == (event.digest,)
                else (*_but(event.digest, row), event.digest),
                # Whoever was refused, and is tried all the same, has all tries before it again.
                "failures": row.failures if row.unfinished else 0,
                "retry_at": None,
                "reason": "",
            }
        case Proven():
            assert row.digest is not None, "a put is proven only after it was started"  # noqa: S101 - see STEPS
            return {
                "proof": event.proof,
                "version": event.version,
                "ours": (row.digest, *_but(row.digest, row))[: 1 + _REMEMBERED],
                "failures": 0,
                "reason": "",
            }
        case Unchanged():
            return {"identity": event.identity, "reason": ""}
        case Failed():
            return {
                "reason": event.reason,
                "retry_at": event.retry_at,
                "failures": row.failures + 1,
                **_judged(row, event.identity),
            }
        case Postponed():
            return {"reason": event.reason, "retry_at": event.retry_at}
        case Refused() | Skipped() | Kept():
            return {"reason": event.reason, "retry_at": None, **_judged(row, event.identity)}
        case Upheld():
            # Without an identity: the file as it is now may be another version, which is to be found as new.
            return {"reason": "", "retry_at": None, "failures": 0, "identity": None}
        case Replayed():
            return {"retry_at": event.at, "failures": 0}
        case Vanished() | Lost():
            return {"reason": event.reason, "retry_at": None}
        case Confirmed():
            # At least this much was seen of a copy whose own proof had been struck out.
            return {"reason": "", "proof": "read_back" if row.proof == _LOST else row.proof}
        case Ceded():
            return {"reason": event.reason, "ours": (), "proof": ""}
        case _:
            assert_never(event)


def _but(digest: Digest, row: Row) -> tuple[Digest, ...]:
    """What of ours may be, or was, at the key, this digest aside."""
    return tuple(one for one in row.ours if one != digest)


def _judged(row: Row, identity: Identity | None) -> dict[str, Any]:
    """The fields that say which file was judged. Of one that was written since the digest says nothing."""
    if identity is None:
        return {}
    as_read = row.identity is not None and identity.unwritten(row.identity)
    return {"identity": identity, "evidence": row.evidence if as_read else ""}
