from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.lifecycle import (
    STEPS,
    Ceded,
    Confirmed,
    Event,
    Failed,
    ImpossibleStep,
    Kept,
    Lost,
    Postponed,
    Proven,
    Refused,
    Replayed,
    Row,
    Skipped,
    Started,
    State,
    Unchanged,
    Upheld,
    Vanished,
    step,
)
from tests.support.rows import D1, D2, a_proven_row, a_row, digest, identity, proven, started

EVENTS: tuple[type[Event], ...] = get_args(Event)
SAMPLE: dict[type[Event], Event] = {
    Started: started(),
    Proven: proven(),
    Unchanged: Unchanged(identity(2)),
    Failed: Failed("disk", 50.0),
    Postponed: Postponed("out", 50.0),
    Refused: Refused("no", identity(2)),
    Kept: Kept("links", identity(2)),
    Upheld: Upheld("deleted"),
    Skipped: Skipped("rule", identity(2)),
    Vanished: Vanished("deleted"),
    Replayed: Replayed(60.0, "alice"),
    Lost: Lost("missing"),
    Confirmed: Confirmed(),
    Ceded: Ceded("renamed"),
}

# A cell has the first letters of the state that follows, "." where nothing may.
COLUMNS = (
    Started, Proven, Unchanged, Failed, Postponed, Refused, Kept, Upheld, Skipped, Vanished, Replayed, Lost,
    Confirmed, Ceded,
)  # fmt: skip
TABLE = """
            Sta Pro Unc Fai Pos Ref Kep Uph Ski Van Rep Los Con Ced
new         UPL  .   .  RET  .  REF  .   .  SKI  .   .   .   .   .
uploading   UPL PRO  .  RET RET REF KEP PRO SKI GON  .  LOS  .   .
proven      UPL  .  PRO RET  .  REF KEP PRO  .   .   .  LOS  .  GON
retrying    UPL  .   .  RET RET REF KEP PRO SKI GON RET LOS  .   .
refused     UPL  .   .  RET RET REF KEP PRO SKI GON RET LOS  .   .
skipped     UPL  .   .  RET  .  REF  .   .  SKI  .   .  LOS  .   .
gone        UPL  .   .  RET  .  REF  .   .  SKI  .   .  LOS  .   .
lost        UPL  .   .  RET  .  REF  .   .   .   .  RET LOS PRO GON
kept        UPL  .  PRO RET RET REF KEP PRO  .   .  RET LOS  .   .
"""


def cells() -> list[Any]:
    header, *lines = TABLE.strip("\n").splitlines()
    assert header.split() == [event.__name__[:3] for event in COLUMNS]
    found = []
    for line in lines:
        state, *row = line.split()
        for event, cell in zip(COLUMNS, row, strict=True):
            after = None if cell == "." else next(one for one in State if one.upper().startswith(cell))
            found.append(pytest.param(State(state), event, after, id=f"{state}-{event.__name__}"))
    return found


def test_the_table_names_every_state_and_every_event() -> None:
    assert set(COLUMNS) == set(EVENTS) == set(SAMPLE)
    assert len(cells()) == len(State) * len(EVENTS)


@pytest.mark.parametrize(("before", "event", "after"), cells())
def test_each_cell_of_the_table_is_taken_and_each_empty_one_is_impossible(
    before: State, event: type[Event], after: State | None
) -> None:
    row = replace(a_proven_row(), state=before)
    if after is None:
        assert (before, event) not in STEPS
        with pytest.raises(ImpossibleStep, match=f"{event.__name__} cannot follow {before}"):
            step(row, SAMPLE[event])
    else:
        assert step(row, SAMPLE[event]).state is after


# --- what an event changes ---


def test_a_start_says_what_is_meant_to_be_written_and_clears_the_last_failure() -> None:
    failed = step(step(a_row(), started(D1)), Failed("disk", 50.0))
    row = step(failed, started(D2, identity(2)))
    assert (row.digest, row.identity, row.size, row.evidence) == (D2, identity(2), 102, "closed+no_writer")
    assert (row.retry_at, row.reason, row.failures) == (None, "", 1)
    assert row.ours == (D1, D2)


def test_a_proof_ends_the_failures_and_settles_what_lies_at_the_key() -> None:
    row = step(step(step(a_row(), started(D1)), Failed("disk", 50.0)), started(D2))
    row = step(row, proven())
    assert (row.there, row.failures, row.proof, row.version) == ((D2,), 0, "read_back", "v1")


def test_a_few_earlier_versions_are_remembered_the_newest_first() -> None:
    row, versions = a_row(), [digest(str(number)) for number in range(6)]
    for version in versions:
        row = step(step(row, started(version)), proven())
    assert (row.there, row.earlier) == ((versions[5],), (versions[4], versions[3], versions[2]))
    assert row.stands
    begun = step(row, started(D1))
    assert set(begun.there) == {D1, *versions[2:]}
    assert not begun.stands


def test_failures_count_up_and_a_postponed_try_is_none() -> None:
    row = step(step(a_row(), Failed("disk", 50.0)), Failed("disk", 60.0))
    assert (row.failures, row.retry_at) == (2, 60.0)
    row = step(step(row, started()), Postponed("out", 70.0))
    assert (row.failures, row.retry_at, row.reason) == (2, 70.0, "out")


def test_whoever_was_refused_has_all_tries_again() -> None:
    given_up = step(replace(a_row(), failures=999, state=State.RETRYING), Refused("given up", None))
    assert given_up.failures == 999
    assert step(given_up, Replayed(60.0, "alice")).failures == 0
    assert step(given_up, started(D2, identity(2))).failures == 0


@pytest.mark.parametrize("event", [Replayed(60.0, "alice"), Refused("links", None), Failed("disk", 5.0)])
def test_what_was_found_lost_is_proven_by_nothing_but_the_next_proof(event: Event) -> None:
    lost = step(a_proven_row(), Lost("missing"))
    assert (lost.proof, step(lost, Confirmed()).proof) == ("read_back", "read_back")
    after = step(lost, event)
    assert (after.stands, after.lost, step(after, started(D1)).lost) == (False, True, True)
    mended = step(step(after, started(D1)), proven())
    assert (mended.stands, mended.lost) == (True, False)


def test_a_copy_that_was_asked_for_again_in_vain_is_still_found_whole() -> None:
    lost = step(step(step(a_proven_row(), Lost("missing")), Replayed(60.0, "alice")), Lost("deleted"))
    found = step(lost, Confirmed())
    assert (found.state, found.proof, found.lost) == (State.PROVEN, "read_back", False)


@pytest.mark.parametrize("event", [Failed("r", 5.0), Refused("r", None)])
def test_an_event_without_an_identity_keeps_the_one_that_is_known(event: Event) -> None:
    assert step(a_proven_row(), event).identity == identity()


def test_the_time_of_a_step_is_noted_where_it_is_given() -> None:
    assert step(a_row(), started(), 7.0).changed_at == 7.0
    assert step(replace(a_row(), changed_at=3.0), started()).changed_at == 3.0


def test_a_copy_that_another_file_took_over_holds_its_key_no_more() -> None:
    proven_row = a_proven_row()
    for row in (proven_row, step(proven_row, Lost("missing"))):
        ceded = step(row, Ceded("renamed"))
        assert (ceded.state, ceded.claims, ceded.lost, ceded.digest) == (State.GONE, False, False, D1)
    assert proven_row.claims
    assert not step(a_row(), Failed("cannot be read", 5.0)).claims, "nothing of it was ever put"


# --- invariants ---

digests = st.sampled_from([digest(str(n)) for n in range(4)])
identities = st.integers(1, 9).map(identity)
times = st.floats(0, 1e10)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(started, digests, identities),
    st.builds(proven),
    st.builds(Unchanged, identities),
    st.builds(Failed, st.just("f"), times, st.none() | identities),
    st.builds(Postponed, st.just("p"), times),
    st.builds(Refused, st.just("r"), st.none() | identities),
    st.builds(Kept, st.just("k"), identities),
    st.builds(Upheld, st.just("u")),
    st.builds(Skipped, st.just("s"), identities),
    st.builds(Vanished, st.just("v")),
    st.builds(Replayed, times, st.just("alice")),
    st.builds(Lost, st.just("l")),
    st.builds(Confirmed),
    st.builds(Ceded, st.just("c")),
)


def not_of(event: Event, row: Row) -> bool:
    """Whether nobody says this of such a row."""
    match event:
        case Kept() | Upheld():
            return not row.stands
        case Lost():
            return not row.proof
        case Confirmed():
            return row.there != (row.digest,)
        case _:
            return False


@given(st.lists(events, max_size=40))
def test_whatever_may_be_in_the_store_is_known_as_ours(happened: list[Event]) -> None:
    row: Row = a_row()
    may_be_there: set[str] = set()
    for event in happened:
        if (row.state, type(event)) not in STEPS or not_of(event, row):
            continue
        was_lost = row.lost
        row = step(row, event)
        assert row.lost or not was_lost or isinstance(event, Proven | Confirmed | Ceded), (
            "a loss was forgotten"
        )
        if isinstance(event, Started):
            may_be_there.add(event.digest)
        elif isinstance(event, Proven):
            may_be_there = {row.digest or ""}
        elif isinstance(event, Ceded):
            may_be_there = set()  # another row tells of it
        assert may_be_there <= set(row.there)
        assert len(row.ours) == len(set(row.ours))
        assert not row.stands or may_be_there == {row.digest}
        if row.state is State.PROVEN:
            assert row.digest is not None
            assert row.proof
            assert row.there == (row.digest,)
            assert len(row.earlier) <= 3
        assert (row.retry_at is not None) == (row.state is State.RETRYING)
