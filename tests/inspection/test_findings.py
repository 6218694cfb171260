"""What a verification makes of what it finds: tables."""

from dataclasses import replace

import pytest

from artifactd import checksum
from artifactd.artifact import Artifact, Digest, Kind
from artifactd.decisions.lifecycle import Change, Confirmed, Lost, Row, State
from artifactd.inspection.findings import Condition, Finding, Verification, change, compare, vouched
from artifactd.stores.base import Stat, StoreError, Unavailable

A, B, C = (Digest(checksum.of_bytes(content)) for content in (b"a", b"b", b"c"))


def row(state: State, digest: Digest | None, ours: tuple[Digest, ...]) -> Row:
    artifact = Artifact(b"alice/h2oai_experiment_one/a.csv", "alice", "one", b"a.csv", Kind.OTHER)
    return Row(
        "memory",
        artifact,
        "alice/one/a.csv",
        "alice/one/a.csv",
        "all",
        state,
        digest=digest,
        ours=ours,
        proof="x",
    )


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (row(State.PROVEN, A, (A,)), A, Condition.WHOLE),
        (row(State.PROVEN, A, (A,)), B, Condition.DIFFERENT),
        (row(State.PROVEN, A, (A,)), None, Condition.MISSING),
        (row(State.PROVEN, A, (A,)), Unavailable("away"), Condition.UNREADABLE),
        (row(State.LOST, A, (A,)), A, Condition.WHOLE),
        (row(State.LOST, A, (A,)), B, Condition.DIFFERENT),
        # A replacement that was begun may have happened or not: both bytes are ours, and neither is an alarm.
        (row(State.RETRYING, B, (A, B)), A, Condition.WHOLE),
        (row(State.RETRYING, B, (A, B)), B, Condition.WHOLE),
        (row(State.RETRYING, B, (A, B)), C, Condition.DIFFERENT),
        (row(State.REFUSED, B, (A, B)), A, Condition.WHOLE),
    ],
)
def test_what_the_store_holds_is_compared_with_what_is_on_record(
    known: Row, found: Digest | StoreError | None, expected: Condition
) -> None:
    finding = compare(known, found)
    assert finding.condition is expected
    assert bool(finding.reason) is (expected is not Condition.WHOLE)


# --- what a store says without being read ---

SEEN = replace(row(State.PROVEN, A, (A,)), proof="server_checksum", version="v1", size=1)


@pytest.mark.parametrize(
    ("known", "told", "expected"),
    [
        (SEEN, Stat(1, "v1"), A),
        (SEEN, Stat(1, "v2"), None),
        (SEEN, Stat(2, "v1"), None),
        (SEEN, Stat(None, "v1"), A),  # it tells the size only to who reads
        (SEEN, Stat(None, "v2"), None),
        (replace(SEEN, proof="read_back"), Stat(1, "v1"), None),
        (replace(SEEN, version=""), Stat(1, ""), None),
        (replace(SEEN, state=State.LOST), Stat(1, "v1"), None),
        (SEEN, Stat(1, "v2", A), A),
        (SEEN, Stat(1, "v1", B), B),  # its own checksum goes before our memory of a version
    ],
)
def test_a_store_vouches_by_its_own_checksum_or_by_the_version_that_it_verified(
    known: Row, told: Stat, expected: Digest | None
) -> None:
    assert vouched(known, told) == expected


# --- what follows ---


@pytest.mark.parametrize(
    ("state", "condition", "expected"),
    [
        (State.PROVEN, Condition.MISSING, Lost("why")),
        (State.PROVEN, Condition.DIFFERENT, Lost("why")),
        (State.LOST, Condition.DIFFERENT, Lost("why")),
        (State.LOST, Condition.WHOLE, Confirmed()),
        (State.PROVEN, Condition.WHOLE, None),
        (State.PROVEN, Condition.UNREADABLE, None),
        (State.RETRYING, Condition.MISSING, None),  # its next try finds that out itself
        (State.UPLOADING, Condition.MISSING, None),
        (State.KEPT, Condition.MISSING, Lost("why")),
        # Something else was to replace what was proven, and nothing more comes of that.
        (State.REFUSED, Condition.MISSING, Lost("why")),
        (State.GONE, Condition.DIFFERENT, Lost("why")),
        (State.SKIPPED, Condition.MISSING, Lost("why")),
    ],
)
def test_a_copy_is_lost_or_confirmed_by_what_was_found_of_it(
    state: State, condition: Condition, expected: Lost | Confirmed | None
) -> None:
    known = row(state, A, (A,))
    assert change(Finding(known, condition, "why")) == (expected and Change(known, expected))


def test_a_lost_copy_that_something_else_was_to_replace_is_confirmed_by_no_guess() -> None:
    assert change(Finding(row(State.LOST, B, (A, B)), Condition.WHOLE)) is None


def test_problems_are_counted_by_their_kind() -> None:
    found = Verification((), [{"problem": one} for one in ("record", "missing", "record")], {})
    assert found.counts() == {"record": 2, "missing": 1}


@pytest.mark.parametrize(
    ("entries", "anchored", "said"),
    [
        (7, 7, ""),
        (0, 0, ""),
        (840, 811, "entries 812 to 840 stand after the last anchor"),
        (7, 6, "entry 7 stands after the last anchor"),
        (7, 0, "no store has an anchor of this record: were its 7 entries written anew"),
    ],
)
def test_what_no_anchor_vouches_for_is_told_with_its_numbers(entries: int, anchored: int, said: str) -> None:
    tail = Verification((), (), {}, entries, anchored).tail
    assert tail.startswith(said)
    assert bool(tail) is bool(said)
