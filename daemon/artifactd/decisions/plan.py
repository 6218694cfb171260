"""Wanted copy, what the ledger knows of it, time → what to do, and what goes on record without it. Pure.

Two decisions, because a digest costs a read: `outlook` looks at the file's identity and says whether to read
it at all; `plan` knows the digest and says what to put where. What is not to be done is a value with its
reason, too: `given_up` and `skipped`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from artifactd.artifact import Artifact, Digest, Identity, InvalidKey, Key
from artifactd.decisions.lifecycle import Change, Refused, Row, Skipped, State
from artifactd.decisions.policy import Decision, LeftAlone, OnChange, Unnameable, Wanted, beside


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


Outlook = Read | Wait | Nothing


def family(rows: Sequence[Row], store: str, wanted_key: str) -> list[Row]:
    """The rows that speak of this wanted copy: its versions in `store`."""
    return [row for row in rows if row.wanted_key == wanted_key and row.store == store]


def outlook(  # noqa: PLR0917 - each is another thing; callers read well
    rows: Sequence[Row], store: str, wanted: Wanted, identity: Identity, now: float, longest_wait: float
) -> Outlook:
    """Whether the file with `identity` has to be read, `now` being seconds since the epoch.

    `longest_wait` (seconds) bounds a wait that was written down before the clock was set back.
    """
    known = [row for row in family(rows, store, wanted.key.text) if row.identity == identity]
    for state in (State.PROVEN, State.REFUSED, State.LOST):
        for row in known:
            if row.state is state:
                return Nothing(row)
    for row in known:
        if row.state is State.RETRYING and row.retry_at and now < row.retry_at <= now + longest_wait:
            return Wait(row.retry_at, row.reason)
    return Read()


def row_of(rows: Sequence[Row], store: str, artifact: Artifact, wanted: Wanted) -> Row:
    """What is known of the copy at the wanted key itself; a new row where nothing is."""
    key = wanted.key.text
    known = (row for row in family(rows, store, key) if row.key == key)
    row = next(known, None) or Row(store, artifact, key, key, wanted.rule)
    return row if row.rule == wanted.rule else replace(row, rule=wanted.rule)


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
    claimant: Row | None,
    digest: Digest,
    on_change: OnChange,
) -> Action:
    """What to do with the artifact's bytes of `digest` at `store`.

    `rows` is what the ledger knows of the artifact's path, `claimant` who else holds the wanted key.
    """
    known = family(rows, store, wanted.key.text)
    for row in known:
        if row.state is State.PROVEN and row.digest == digest:
            return Same(row)
    row = row_of(rows, store, artifact, wanted)
    if claimant is not None and claimant.digest != digest:
        return Refuse(row, _claimed(wanted, claimant))
    if not row.proof or digest in row.ours:
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


def _claimed(wanted: Wanted, claimant: Row) -> str:
    return (
        f"{wanted.key} already holds another file, {claimant.artifact.inside!r}. "
        f"Give one of them another name with `as` in rule {wanted.rule!r}"
    )


# --- what is not done ---

_UNREAD: Final = (State.SKIPPED, State.REFUSED, State.GONE)


def given_up(
    identity: Identity,
    decision: Decision,
    copies: Sequence[Wanted],
    rows: Sequence[Row],
    stores: Sequence[str],
) -> Iterator[Change]:
    """Unfinished copies in `rows`, of an earlier run or size, that are not wanted any more, or elsewhere.

    `copies` are the ones that are wanted of the file with `identity`.
    """
    match decision:
        case Wanted(key, rule):
            reason = f"rule {rule!r} wants it as {key}"
        case LeftAlone(reason) | Unnameable(reason):
            pass
        case _:
            assert_never(decision)
    wanted = {copy.key.text for copy in copies}
    for row in rows:
        if row.unfinished and row.wanted_key not in wanted and row.store in stores:
            yield Change(row, Skipped(reason, identity))


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
        mine = [row for row in rows if row.store == store]
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
