"""Wanted copy, what the ledger knows of it, time → what to do, and what goes on record without it. Pure.

Two decisions, because a digest costs a read: `outlook` looks at the file's identity and says whether to read
it at all; `plan` knows the digest and says what to put where. What is not to be done is a value with its
reason, too: `damage`, `unfit`, `given_up`, `superseded`, `gone` and `skipped`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from artifactd.artifact import Artifact, Digest, Identity, InvalidKey, Key, Sighting, printable
from artifactd.decisions.lifecycle import (
    OPEN,
    Change,
    Event,
    Kept,
    Lost,
    Postponed,
    Refused,
    Row,
    Skipped,
    State,
    Upheld,
    Vanished,
)
from artifactd.decisions.policy import BY_HAND, Decision, LeftAlone, OnChange, Unnameable, Wanted, beside

REFUSED_SECONDS: Final = 86_400.0
"""A refusal holds for a day at most: what caused it may have ended where only another try shows it.

One that a store gave costs a request, and each costs two entries of the record.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is decided, and what of the past still holds then. Times are seconds since the epoch."""

    now: float
    longest_wait: float = 0.0
    """seconds that bound a wait for the next try, which was written down before the clock was set back"""
    refusals_since: float = 0.0
    """a refusal that is older was given under another configuration, or by another version of artifactd"""
    steady: float | None = None
    """now by the clock that times of next tries are by, which nobody sets while it runs; None: the same"""

    @property
    def by_tries(self) -> float:
        """Now, by the clock of next tries."""
        return self.now if self.steady is None else self.steady

    def holds(self, row: Row) -> bool:
        """Whether the refusal that `row` tells of needs no other try yet."""
        return max(self.refusals_since, self.now - REFUSED_SECONDS) <= row.changed_at <= self.now


@dataclass(frozen=True, slots=True)
class Read:
    """The artifact is new or has changed: read it once it is complete."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Another try is due, but not yet."""

    until: float
    """seconds since the epoch"""
    reason: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, as `row` shows."""

    row: Row

    @property
    def done(self) -> bool:
        """Whether the copy is proven, as opposed to waiting for a person."""
        return self.row.state is State.PROVEN


@dataclass(frozen=True, slots=True)
class SourceDamaged:
    """The file holds other bytes than it did, and nobody wrote it: no version of it, and nothing to put.

    A power cut does this to what its writer had not flushed: the inode and its times come back, and not all
    of the bytes.
    """

    reason: str


Outlook = Read | Wait | Nothing | SourceDamaged


def family(rows: Sequence[Row], store: str, wanted_key: str) -> list[Row]:
    """The rows that speak of this wanted copy: its versions in `store`."""
    return [row for row in rows if row.wanted_key == wanted_key and row.store == store]


def outlook(rows: Sequence[Row], store: str, wanted: Wanted, sighting: Sighting, moment: Moment) -> Outlook:
    """Whether the file that was seen has to be read."""
    if (damaged := other_size(rows, sighting.identity)) is not None:
        return damaged
    known = [row for row in family(rows, store, wanted.key.text) if _judged(row, sighting)]
    for state in (State.PROVEN, State.REFUSED, State.KEPT, State.LOST):
        for row in known:
            if row.state is state and (state in _FIRM or moment.holds(row)):
                return Nothing(row)
    now = moment.by_tries
    for row in known:
        if row.state is State.RETRYING and row.retry_at and now < row.retry_at <= now + moment.longest_wait:
            return Wait(row.retry_at, row.reason)
    return Read()


_FIRM: Final = (State.PROVEN, State.LOST)
"""What no time changes."""


def _judged(row: Row, sighting: Sighting) -> bool:
    """Whether `row` speaks of the file as it was seen.

    A name that is added to it, as a backup by hard links does, or taken away changes its ctime and not its
    bytes. While it has others it is not read, and it is read again once it has not.
    """
    if row.identity is None or sighting.names == 1:
        return row.identity == sighting.identity
    return replace(row.identity, ctime_ns=sighting.identity.ctime_ns) == sighting.identity


def row_of(rows: Sequence[Row], store: str, artifact: Artifact, wanted: Wanted) -> Row:
    """What is known of the copy at the wanted key itself; a new row where nothing is."""
    key = wanted.key.text
    known = (row for row in family(rows, store, key) if row.key == key)
    row = next(known, None) or Row(store, artifact, key, key, wanted.rule)
    return row if row.rule == wanted.rule else replace(row, rule=wanted.rule)


@dataclass(frozen=True, slots=True)
class Claim:
    """Another file has the wanted key, or may yet get it."""

    row: Row
    gone: bool
    """whether that file is there no more"""


@dataclass(frozen=True, slots=True)
class Send:
    """Put the bytes; `row` is what is known of the copy so far, and names the key."""

    row: Row


@dataclass(frozen=True, slots=True)
class Same:
    """The bytes are in the store already; only the file's identity is news."""

    row: Row


@dataclass(frozen=True, slots=True)
class Refuse:
    """A person has to decide."""

    row: Row
    reason: str


Action = Send | Same | Refuse


def plan(  # noqa: PLR0917 - as outlook
    artifact: Artifact,
    wanted: Wanted,
    store: str,
    rows: Sequence[Row],
    claims: Sequence[Claim],
    digest: Digest,
    on_change: OnChange,
) -> Action:
    """What to do with the artifact's bytes of `digest` at `store`.

    `rows` is what the ledger knows of the artifact's path, `claims` who else holds the wanted key. They end
    with a proof of what is sent: two files that share one copy would lose one of them with the next version.
    """
    known = family(rows, store, wanted.key.text)
    for row in known:
        if row.state in (State.PROVEN, State.KEPT) and row.digest == digest:
            return Same(row)
    row = row_of(rows, store, artifact, wanted)
    for claim in claims:
        if not _inherited(claim, row, wanted, digest):
            return Refuse(row, _claimed(wanted, claim))
    beside_it = on_change is OnChange.KEEP_BOTH and any(version.proof for version in known)
    if digest in row.there or not (row.proof or beside_it):
        return Send(row)
    match on_change:
        case OnChange.REPLACE:
            return Send(row)
        case OnChange.KEEP_BOTH:
            return _beside(wanted.key, row, known, digest)
        case OnChange.REFUSE:
            return Refuse(row, 'it changed after it was exported, and on_change is "refuse"')


def _beside(key: Key, row: Row, known: Sequence[Row], digest: Digest) -> Action:
    """Another version, under a name of its own."""
    try:
        other = beside(key, digest).text
    except InvalidKey as error:
        return Refuse(row, f"no key can be made for another version: {error}")
    fresh = Row(row.store, row.artifact, other, key.text, row.rule)
    return Send(next((version for version in known if version.key == other), fresh))


def _inherited(claim: Claim, row: Row, wanted: Wanted, digest: Digest) -> bool:
    """Whether the claim ends with its file: what was proven of that is what is put, or what `row` holds."""
    held = claim.row
    known = held.there == (held.digest,) and held.state in _FIRM and held.key == wanted.key.text
    return claim.gone and known and (held.digest == digest or (row.stands and row.digest == held.digest))


def _claimed(wanted: Wanted, claim: Claim) -> str:
    claimant = claim.row
    same = claimant.key == wanted.key.text
    holder = "already" if same else f"differs only in case from {claimant.key}, which"
    asked = wanted.rule == BY_HAND
    mend = (
        "it another name with --as"
        if asked
        else f"{'it' if claim.gone else 'one of them'} another name with `as` in rule {wanted.rule!r}"
    )
    whose = f"{printable(claimant.artifact.path)}{', which is deleted' if claim.gone else ''}"
    return f"{wanted.key} {holder} holds another file, {whose}. Give {mend}"


# --- a source that is damaged ---


def other_size(rows: Sequence[Row], identity: Identity) -> SourceDamaged | None:
    """The file is not as large as when it was read, though nobody wrote it; None: that is not so."""
    for row in _unwritten(rows, identity):
        if identity.size != row.size:
            return _damaged(f"it holds {identity.size} bytes, and held {row.size} when it was read")
    return None


def other_bytes(rows: Sequence[Row], identity: Identity, digest: Digest) -> SourceDamaged | None:
    """Other bytes were read of the file than before, though nobody wrote it; None: that is not so."""
    if any(row.digest != digest for row in _unwritten(rows, identity)):
        return _damaged(f"its {identity.size} bytes are not those that were read before")
    return None


def _unwritten(rows: Sequence[Row], identity: Identity) -> list[Row]:
    """The copies of the file that were made, or begun, since it was last written."""
    return [row for row in rows if row.evidence and row.identity and identity.unwritten(row.identity)]


def _damaged(how: str) -> SourceDamaged:
    return SourceDamaged(
        f"it is damaged: {how}, yet nobody wrote it since (its inode and its times are the same), as after a"
        " power cut. A copy that was proven stays as it is. Restore the file, or write it again: that ends it"
    )


def damage(  # noqa: PLR0917 - as plan
    rows: Sequence[Row], store: str, artifact: Artifact, wanted: Wanted, identity: Identity, reason: str
) -> Change:
    """What it means for the wanted copy that the file is damaged. What was proven of it stays."""
    known = _unwritten(family(rows, store, wanted.key.text), identity)
    row = next(iter(known), None) or row_of(rows, store, artifact, wanted)
    return Change(row, unfit(row, reason, identity))


# --- what has to wait ---

INTERRUPTED: Final = "interrupted"
"""Why a copy is tried again whose put was under way when the daemon died."""


def held_up(rows: Sequence[Row], reason: str, now: float) -> Iterator[Change]:
    """The copies that are to be tried again, and cannot be, for the file is not complete: where that is news.

    `now` is by the clock of next tries.
    """
    for row in rows:
        was = INTERRUPTED if row.reason.startswith(INTERRUPTED) else "not tried again"
        why = f"{was}; now: {reason}"
        if row.state is State.RETRYING and row.reason != why:
            yield Change(row, Postponed(why, now if row.retry_at is None else row.retry_at))


# --- what is not done ---

_UNREAD: Final = (State.SKIPPED, State.REFUSED, State.GONE)

_EARLIER: Final = ", as it was then; what was proven before it may lie there still"


def unfit(row: Row, reason: str, identity: Identity) -> Kept | Refused:
    """What it means for the copy that the file with `identity` cannot be exported as it is."""
    return Kept(reason, identity) if row.stands else Refused(reason, identity)


def gone(rows: Sequence[Row]) -> Iterator[Change]:
    """What it means for the copies of a file that it was deleted."""
    for row in rows:
        if row.state in OPEN:
            earlier = _EARLIER if row.proof and not row.lost else ""
            yield _ended(row, Vanished(f"deleted before it was exported{earlier}"))


def freed(rows: Sequence[Row], others: Sequence[Row], now: float) -> Iterator[Change]:
    """What it means for `others`, which may have been refused the keys of a deleted file's copies. Told once.

    `now` is by the clock of next tries.
    """
    for row in rows:
        refused = [
            other
            for other in others
            if (other.store, other.key) == (row.store, row.key)
            and other.artifact.path != row.artifact.path
            and other.state in (State.REFUSED, State.KEPT)
        ]
        if refused and row.state is State.PROVEN and row.identity is not None:
            yield Change(row, Upheld("deleted"))  # without an identity from now on
            reason = f"{printable(row.artifact.path)}, which has its key, was deleted: tried again"
            yield from (Change(other, Postponed(reason, now)) for other in refused)


def superseded(rows: Sequence[Row], by: Row) -> Iterator[Change]:
    """Versions of the copy under other keys that something was to be done about: `by` has the newest."""
    for row in rows:
        same_copy = (row.store, row.wanted_key) == (by.store, by.wanted_key) and row.key != by.key
        if same_copy and row.state in OPEN:
            yield _ended(row, Vanished("another version took its place"))


def given_up(
    identity: Identity,
    decision: Decision,
    copies: Sequence[Wanted],
    rows: Sequence[Row],
    stores: Sequence[str],
) -> Iterator[Change]:
    """Copies in `rows` that something was to be done about, and that are not wanted any more, or elsewhere.

    `copies` are the ones that are wanted of the file with `identity`.
    """
    wanted = {copy.key.text for copy in copies}
    for row in rows:
        if row.state not in OPEN or (row.store in stores and row.wanted_key in wanted):
            continue
        if row.store not in stores:
            yield _ended(row, Skipped(f"nothing is exported to {row.store} any more", identity))
        elif row.state is not State.REFUSED or _asked(row) or not isinstance(decision, Unnameable):
            yield _ended(row, Skipped(_unwanted(row, decision), identity))


def _asked(row: Row) -> bool:
    """Whether a person asked for the copy."""
    return row.rule == BY_HAND


def _unwanted(row: Row, decision: Decision) -> str:
    """Why the copy is not wanted."""
    if row.state is State.REFUSED and _asked(row):
        return f"asked for by hand, and refused: {row.reason}"
    match decision:
        case Wanted(key, rule):
            return f"rule {rule!r} wants it as {key}"
        case LeftAlone(reason) | Unnameable(reason):
            return reason
        case _:
            assert_never(decision)


def _ended(row: Row, event: Vanished | Skipped) -> Change:
    """Nothing more is to be done about the copy; what was proven of it stays, and so does its loss."""
    ended: Event = event
    if row.lost:
        ended = Lost(f"it was found missing or different, and nothing is to mend that: {event.reason}")
    elif row.stands:
        ended = Upheld(event.reason)
    return Change(row, ended)


def skipped(
    identity: Identity, found: Artifact, decision: Decision, rows: Sequence[Row], stores: Sequence[str]
) -> Iterator[Change]:
    """The decision not to export the file, where it is news to the record: once for each store and reason."""
    match decision:
        case Wanted():
            return
        case LeftAlone(reason):
            if not decision.on_record:
                return
            event: Skipped | Refused = Skipped(reason, identity)
            state, key = State.SKIPPED, _plain_key(found)
        case Unnameable(reason):
            event = Refused(reason, identity)
            state, key = State.REFUSED, ""
        case _:
            assert_never(decision)
    for store in stores:
        mine = [row for row in rows if row.store == store and not (_asked(row) and row.state in _UNREAD)]
        if not mine:
            yield Change(Row(store, found, key, key, decision.rule or ""), event)
        elif all(row.state in _UNREAD for row in mine) and (mine[0].state, mine[0].reason) != (state, reason):
            yield Change(mine[0], event)


def _plain_key(found: Artifact) -> str:
    """The key that the artifact would have under its own name, for the record; "" where it makes none."""
    try:
        return Key.of(found.user, found.experiment_id, found.name.decode()).text
    except (InvalidKey, UnicodeDecodeError):
        return ""
