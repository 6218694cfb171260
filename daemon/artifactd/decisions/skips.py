"""A skip is a value with its reason: what goes on record without a look into the file. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from artifactd.artifact import Artifact, Identity, InvalidKey, Key
from artifactd.decisions.lifecycle import Change, Refused, Row, Skipped, State
from artifactd.decisions.policy import Decision, LeftAlone, Unnameable, Wanted

_UNFINISHED: Final = (State.UPLOADING, State.RETRYING)
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
        if row.state in _UNFINISHED and row.wanted_key not in wanted and row.store in stores:
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
