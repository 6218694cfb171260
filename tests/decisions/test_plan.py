import stat
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Artifact, Identity, Key, Kind, Sighting
from artifactd.decisions.lifecycle import (
    Change,
    Event,
    Failed,
    Kept,
    Lost,
    Postponed,
    Refused,
    Replayed,
    Row,
    Skipped,
    State,
    Unchanged,
    Upheld,
    Vanished,
    step,
)
from artifactd.decisions.plan import (
    REFUSED_SECONDS,
    Action,
    Claim,
    Moment,
    Nothing,
    Outlook,
    Read,
    Refuse,
    Same,
    Send,
    Wait,
    freed,
    given_up,
    gone,
    outlook,
    plan,
    row_of,
    skipped,
    superseded,
    unfit,
)
from artifactd.decisions.policy import BY_HAND, Decision, LeftAlone, OnChange, Unnameable, Wanted, beside
from tests.support.rows import D1, D2, D3, a_proven_row, a_row, an_artifact, identity, started

KEY = Key("alice/e0/mojo.zip")
WANTED = Wanted(KEY, "all")
STORE = "file_system"
NOW = 1000.0
LONGEST = 600.0

NEW_ROW = a_row()
UPLOADING = step(NEW_ROW, started(D1))
PROVEN = a_proven_row(content=D1)
CHANGED = identity(2)


def after(row: Row, *events: Event) -> Row:
    for event in events:
        row = step(row, event)
    return row


def look(
    *rows: Row,
    seen: Identity | None = None,
    now: float = NOW,
    longest: float = LONGEST,
    since: float = 0.0,
    names: int = 1,
) -> Outlook:
    sighting = Sighting(an_artifact().path, seen or identity(), stat.S_IFREG | 0o644, names)
    return outlook(rows, STORE, WANTED, sighting, Moment(now, longest, since))


# --- whether to read it ---


@pytest.mark.parametrize(
    ("row", "seen", "expected"),
    [
        (UPLOADING, identity(), Read()),  # a crash: it may have happened or not
        (PROVEN, identity(), Nothing(PROVEN)),
        (PROVEN, CHANGED, Read()),
        (after(PROVEN, Lost("missing")), CHANGED, Read()),
        (after(UPLOADING, Vanished("deleted")), identity(), Read()),
        (after(NEW_ROW, Skipped("rule", identity())), identity(), Read()),  # the policy changed
        (after(NEW_ROW, Refused("a FIFO", identity())), CHANGED, Read()),
        (after(UPLOADING, Failed("disk", NOW + 1)), identity(), Wait(NOW + 1, "disk")),
        (after(UPLOADING, Failed("disk", NOW + 1)), CHANGED, Read()),
        (after(UPLOADING, Failed("disk", NOW)), identity(), Read()),
        (after(UPLOADING, Failed("disk", NOW + LONGEST)), identity(), Wait(NOW + LONGEST, "disk")),
        (after(UPLOADING, Failed("disk", NOW + LONGEST + 1)), identity(), Read()),  # the clock was set back
        (after(UPLOADING, Postponed("out", NOW)), identity(), Read()),
        (after(UPLOADING, Refused("conflict", None), Replayed(NOW, "bob")), identity(), Read()),
        (replace(PROVEN, store="s3"), identity(), Read()),
        (replace(PROVEN, wanted_key="alice/e0/other.zip"), identity(), Read()),
    ],
)
def test_what_is_known_of_a_file_says_whether_to_read_it(row: Row, seen: Identity, expected: Outlook) -> None:
    assert look(row, seen=seen) == expected


def test_an_unknown_file_is_read() -> None:
    assert look() == Read()


@pytest.mark.parametrize(
    "row", [after(NEW_ROW, Refused("a FIFO", identity())), after(PROVEN, Lost("missing"))]
)
def test_what_waits_for_a_person_is_nothing_to_do_and_not_done(row: Row) -> None:
    assert look(row) == Nothing(row)
    assert not Nothing(row).done
    assert Nothing(PROVEN).done


LINKED = replace(identity(), ctime_ns=identity().ctime_ns + 1)
REWRITTEN = replace(LINKED, mtime_ns=LINKED.mtime_ns + 1)
UNFIT = step(a_row(), Refused("links", identity()))
KEPT = step(PROVEN, Kept("links", identity()))


@pytest.mark.parametrize("row", [PROVEN, UNFIT, KEPT], ids=lambda row: row.state.value)
def test_another_name_of_a_file_is_no_other_file_while_it_has_it(row: Row) -> None:
    """A backup by hard links changes the ctime of what it links and of what it lets go, and no bytes."""
    assert look(row, seen=LINKED, names=2) == Nothing(row)
    assert look(row, seen=LINKED, names=1) == Read(), "it has to be read before that is sure"
    assert look(row, seen=REWRITTEN, names=2) == Read()


@pytest.mark.parametrize("row", [UNFIT, KEPT], ids=lambda row: row.state.value)
@pytest.mark.parametrize(
    ("made", "now", "since", "expected"),
    [
        (NOW, NOW, 0.0, "nothing"),
        (NOW, NOW + REFUSED_SECONDS, 0.0, "nothing"),
        (NOW, NOW + REFUSED_SECONDS + 1, 0.0, "read"),
        (NOW, NOW + 2, NOW + 1, "read"),  # under another configuration
        (NOW + 1, NOW + 2, NOW + 1, "nothing"),
        (NOW + 60, NOW, 0.0, "read"),  # the clock was set back
    ],
)
def test_a_refusal_holds_for_a_day_and_under_its_configuration(
    row: Row, made: float, now: float, since: float, expected: str
) -> None:
    row = replace(row, changed_at=made)
    assert look(row, now=now, since=since) == (Nothing(row) if expected == "nothing" else Read())


@pytest.mark.parametrize("row", [PROVEN, after(PROVEN, Lost("missing"))], ids=lambda row: row.state.value)
def test_no_time_and_no_configuration_makes_a_proven_or_a_lost_copy_anything_else(row: Row) -> None:
    assert look(replace(row, changed_at=1.0), now=NOW + 10 * REFUSED_SECONDS, since=NOW) == Nothing(
        replace(row, changed_at=1.0)
    )


def test_the_eager_wait_for_nothing() -> None:
    assert look(after(UPLOADING, Failed("disk", NOW + 1)), longest=0.0) == Read()


def test_a_proven_version_counts_more_than_a_failed_try_at_the_key_itself() -> None:
    failed = after(PROVEN, Failed("cannot be read", NOW + 1, CHANGED))
    version = a_proven_row(content=D2, seen=CHANGED, key=beside(KEY, D2).text)
    assert look(failed, version, seen=CHANGED) == Nothing(version)
    assert look(version, failed, seen=CHANGED) == Nothing(version)


@given(st.floats(0, 1e10), st.floats(0, 1e10), st.floats(0, 86_400))
def test_no_wait_is_longer_than_the_longest(retry_at: float, now: float, longest: float) -> None:
    match look(after(UPLOADING, Failed("disk", retry_at)), now=now, longest=longest):
        case Wait(until):
            assert now < until <= now + longest
        case other:
            assert other == Read()


# --- what to do with the bytes ---

REPLACE, KEEP_BOTH, REFUSE = OnChange
EACH = pytest.mark.parametrize("on_change", OnChange)
SECOND = a_proven_row(content=D2, key=beside(KEY, D2).text)


def decide(*rows: Row, on_change: OnChange, digest: str = D2, claims: Sequence[Claim] = ()) -> Action:
    return plan(an_artifact(), WANTED, STORE, rows, claims, type(D1)(digest), on_change)


@EACH
@pytest.mark.parametrize(
    "row",
    [
        NEW_ROW,
        UPLOADING,  # interrupted, and other bytes by now: nothing was ever proven at the key
        after(UPLOADING, Failed("disk", NOW)),
        after(UPLOADING, Refused("conflict", None), Replayed(NOW, "bob")),
        after(NEW_ROW, Skipped("rule", identity())),
        after(UPLOADING, Vanished("deleted")),
    ],
    ids=lambda row: row.state.value,
)
def test_what_was_never_exported_is_sent_to_its_own_key(on_change: OnChange, row: Row) -> None:
    assert decide(row, on_change=on_change) == Send(row)


@EACH
def test_an_unknown_copy_is_sent_to_its_own_key(on_change: OnChange) -> None:
    assert decide(on_change=on_change) == Send(a_row())


@EACH
def test_the_same_bytes_under_a_new_identity_are_not_sent(on_change: OnChange) -> None:
    assert decide(PROVEN, on_change=on_change, digest=D1) == Same(PROVEN)


@EACH
@pytest.mark.parametrize(
    "row",
    [
        after(PROVEN, Lost("missing")),
        after(PROVEN, Lost("missing"), Replayed(NOW, "bob")),
        after(PROVEN, Refused("it changed", CHANGED)),
        after(PROVEN, Failed("cannot be read", NOW, CHANGED)),
        after(PROVEN, started(D2, CHANGED)),
    ],
    ids=lambda row: row.state.value,
)
def test_bytes_that_were_ours_before_are_sent_again_where_it_is_not_sure_that_they_are_there(
    on_change: OnChange, row: Row
) -> None:
    assert decide(row, on_change=on_change, digest=D1) == Send(row)


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        (REPLACE, Send(PROVEN)),
        (KEEP_BOTH, Send(a_row(key=beside(KEY, D2).text, wanted_key=KEY.text))),
        (REFUSE, Refuse(PROVEN, 'it changed after it was exported, and on_change is "refuse"')),
    ],
)
def test_other_bytes_are_what_on_change_says(on_change: OnChange, expected: Action) -> None:
    assert decide(PROVEN, on_change=on_change) == expected


@EACH
def test_an_interrupted_replacement_is_repeated(on_change: OnChange) -> None:
    interrupted = after(PROVEN, started(D2, CHANGED))
    assert decide(interrupted, on_change=on_change, digest=D2) == Send(interrupted)


def test_each_version_that_is_kept_has_a_key_of_its_own() -> None:
    action = decide(PROVEN, SECOND, on_change=KEEP_BOTH, digest=D3)
    assert isinstance(action, Send)
    assert action.row.key == beside(KEY, D3).text
    assert action.row.wanted_key == KEY.text
    assert action.row.state is State.NEW


def test_a_version_that_was_kept_is_known_again() -> None:
    assert decide(PROVEN, SECOND, on_change=KEEP_BOTH, digest=D2) == Same(SECOND)
    assert decide(PROVEN, SECOND, on_change=KEEP_BOTH, digest=D1) == Same(PROVEN)
    lost = after(SECOND, Lost("missing"))
    assert decide(PROVEN, lost, on_change=KEEP_BOTH, digest=D2) == Send(lost)


def test_a_version_for_which_no_key_can_be_made_is_refused() -> None:
    long = Key("alice/e0/" + "n" * 250)
    known = replace(PROVEN, key=long.text, wanted_key=long.text)
    action = plan(an_artifact(), Wanted(long, "all"), STORE, [known], (), D2, KEEP_BOTH)
    assert isinstance(action, Refuse)
    assert "no key can be made for another version" in action.reason


CLAIMANT = replace(a_proven_row(1, content=D1), key=KEY.text, wanted_key=KEY.text)


LIVING, LEFT = Claim(CLAIMANT, gone=False), Claim(CLAIMANT, gone=True)


@EACH
def test_another_file_with_the_same_bytes_takes_the_key_over_once_the_first_is_gone(
    on_change: OnChange,
) -> None:
    assert isinstance(decide(on_change=on_change, digest=D1, claims=[LIVING]), Refuse)
    assert decide(on_change=on_change, digest=D1, claims=[LEFT]) == Send(a_row())
    assert isinstance(decide(on_change=on_change, digest=D1, claims=[LEFT, LIVING]), Refuse)


@pytest.mark.parametrize(
    "claim",
    [
        Claim(step(CLAIMANT, started(D2)), gone=True),  # which of the two lies there is not known
        Claim(step(CLAIMANT, Refused("links", CHANGED)), gone=True),  # its end is told first
        Claim(replace(CLAIMANT, key="alice/e0/MOJO.zip"), gone=True),
    ],
)
def test_no_key_is_taken_over_of_which_it_is_not_sure_what_lies_there(claim: Claim) -> None:
    assert isinstance(decide(on_change=REPLACE, digest=D1, claims=[claim]), Refuse)


def test_of_two_that_shared_a_copy_the_one_that_is_left_may_change() -> None:
    """Earlier versions proved both."""
    assert decide(PROVEN, on_change=REPLACE, digest=D2, claims=[LEFT]) == Send(PROVEN)
    assert isinstance(decide(PROVEN, on_change=REPLACE, digest=D2, claims=[LIVING]), Refuse)


@EACH
@pytest.mark.parametrize("rows", [(), (UPLOADING,), (PROVEN,)])
def test_another_file_with_other_bytes_keeps_its_key(on_change: OnChange, rows: tuple[Row, ...]) -> None:
    action = decide(*rows, on_change=on_change, digest=D2, claims=[LIVING])
    assert isinstance(action, Refuse)
    assert "already holds another file" in action.reason
    assert "'all'" in action.reason


def test_the_file_that_holds_the_key_is_named_as_everywhere() -> None:
    living, left = (decide(on_change=REPLACE, digest=D2, claims=[claim]) for claim in (LIVING, LEFT))
    assert isinstance(living, Refuse)
    assert isinstance(left, Refuse)
    holder = "alice/e0/mojo.zip already holds another file, alice/h2oai_experiment_e1/mojo_pipeline/mojo.zip"
    assert living.reason == f"{holder}. Give one of them another name with `as` in rule 'all'"
    assert left.reason == f"{holder}, which is deleted. Give it another name with `as` in rule 'all'"


@EACH
def test_a_copy_that_was_kept_is_proven_again_by_its_old_bytes(on_change: OnChange) -> None:
    assert decide(KEPT, on_change=on_change, digest=D1) == Same(KEPT)
    assert after(KEPT, Unchanged(CHANGED)) == replace(PROVEN, identity=CHANGED)


def test_where_versions_are_kept_the_next_one_goes_beside_whoever_holds_the_key() -> None:
    """After a lost ledger the key itself may hold a version that only the old ledger knew."""
    foreign = after(NEW_ROW, started(D1), Refused("conflict", identity()))
    action = decide(foreign, SECOND, on_change=KEEP_BOTH, digest=D3)
    assert isinstance(action, Send)
    assert action.row.key == beside(KEY, D3).text
    assert decide(foreign, on_change=KEEP_BOTH, digest=D3) == Send(foreign), "nothing was ever exported"


def test_the_row_of_a_copy_has_the_rule_of_today() -> None:
    artifact = an_artifact()
    assert row_of([PROVEN, SECOND], STORE, artifact, Wanted(KEY, "new rule")) == replace(
        PROVEN, rule="new rule"
    )
    assert row_of([SECOND], STORE, artifact, WANTED) == a_row()


# --- what is not done, or no more ---

FAILED = after(PROVEN, Failed("cannot be read", NOW, CHANGED))
REPLACING = after(PROVEN, started(D2, CHANGED))
CONFLICT = after(NEW_ROW, started(D1), Refused("conflict", identity()))
LOST = after(PROVEN, Lost("missing"))
LOST_AGAIN = after(LOST, Replayed(NOW, "bob"))


@pytest.mark.parametrize(
    ("row", "unfit_is", "gone_is"),
    [
        (NEW_ROW, Refused, None),
        (UPLOADING, Refused, Vanished),
        (after(UPLOADING, Failed("disk", NOW)), Refused, Vanished),
        (UNFIT, Refused, Vanished),
        (CONFLICT, Refused, Vanished),
        (PROVEN, Kept, None),
        (FAILED, Kept, Upheld),
        (KEPT, Kept, Upheld),
        (after(PROVEN, Refused("it changed", CHANGED)), Kept, Upheld),
        # Whether the store has the old bytes or the new ones is not known.
        (REPLACING, Refused, Vanished),
        (after(REPLACING, Refused("conflict", CHANGED)), Refused, Vanished),
        # What was found lost is not there because it was asked for again.
        (LOST_AGAIN, Refused, Lost),
        (after(LOST, Failed("cannot be read", NOW, CHANGED)), Refused, Lost),
        (after(LOST, Refused("links", CHANGED)), Refused, Lost),
        (after(LOST, started(D2, CHANGED)), Refused, Lost),
        (LOST, None, None),
        (after(UPLOADING, Vanished("deleted")), Refused, None),
    ],
    ids=lambda value: value.state.value if isinstance(value, Row) else None,
)
def test_what_becomes_of_a_file_says_nothing_of_what_was_proven_of_it(
    row: Row, unfit_is: type[Event] | None, gone_is: type[Event] | None
) -> None:
    if unfit_is is not None:
        assert type(unfit(row, "links", CHANGED)) is unfit_is
        step(row, unfit(row, "links", CHANGED))
    events = [type(change.event) for change in gone([row])]
    assert events == [] if gone_is is None else [gone_is]
    for change in gone([row]):
        ended = {Upheld: State.PROVEN, Lost: State.LOST}.get(type(change.event), State.GONE)
        assert step(row, change.event).state is ended


def test_what_ends_while_something_else_was_proven_of_it_says_so() -> None:
    ended = [step(row, one.event).reason for row in (UPLOADING, REPLACING) for one in gone([row])]
    assert ended == [
        "deleted before it was exported",
        "deleted before it was exported, as it was then; what was proven before it may lie there still",
    ]


@pytest.mark.parametrize("row", [LOST_AGAIN, after(LOST, Refused("links", CHANGED))])
def test_a_loss_ends_with_no_policy_and_with_no_newer_version(row: Row) -> None:
    (unwanted,) = given_up(CHANGED, LeftAlone("rule 'none' ignores it", "none"), [], [row], [STORE])
    (overtaken,) = superseded([row, SECOND], SECOND)
    for change in (unwanted, overtaken):
        ended = step(row, change.event)
        assert (ended.state, ended.lost) == (State.LOST, True)
    assert step(row, unwanted.event).reason == (
        "it was found missing or different, and nothing is to mend that: rule 'none' ignores it"
    )


def test_who_was_refused_the_key_of_a_deleted_file_is_tried_again_once() -> None:
    refused = step(replace(a_row(2), key=KEY.text, wanted_key=KEY.text), Refused("claimed", CHANGED))
    holder, tried = freed([PROVEN], [PROVEN, refused, replace(refused, key="alice/e0/other")], NOW)
    assert (step(PROVEN, holder.event).state, step(refused, tried.event).retry_at) == (State.PROVEN, NOW)
    assert list(freed([step(PROVEN, holder.event)], [refused], NOW)) == [], "it was told"
    assert list(freed([PROVEN], [PROVEN], NOW)) == [], "nobody waits for its key"


@pytest.mark.parametrize("row", [FAILED, KEPT])
def test_a_copy_that_was_kept_while_a_newer_version_found_its_own_key_stays_proven(row: Row) -> None:
    (change,) = superseded([row, SECOND], SECOND)
    kept = step(row, change.event)
    assert (kept.state, kept.digest, kept.proof, kept.reason) == (State.PROVEN, D1, "read_back", "")
    assert look(kept, seen=CHANGED) == Read(), "it does not speak of the newer version"


@pytest.mark.parametrize("state", State)
def test_a_version_that_newer_bytes_have_overtaken_is_open_no_more(state: State) -> None:
    row = replace(after(a_row(key="alice/e0/mojo.d.zip", wanted_key=KEY.text), started(D1)), state=state)
    changes = list(superseded([row, PROVEN], PROVEN))
    assert (len(changes) == 1) == (state in (State.UPLOADING, State.RETRYING, State.REFUSED, State.KEPT))
    assert list(superseded([PROVEN], PROVEN)) == []


SEEN = Identity(1, 2, 3, 4, 5)
LOGS = Artifact(b"alice/h2oai_experiment_e/logs.zip", "alice", "e", b"logs.zip", Kind.LOGS)
LOGS_KEY = "alice/e/logs.zip"
LOGS_ROW = Row("disk", LOGS, LOGS_KEY, LOGS_KEY, "menu")
IGNORED = LeftAlone("rule 'no logs' ignores it", "no logs")
UNNAMED = LeftAlone("no rule names it", None)
BAD_NAME = Unnameable("no key can be made", "menu")
LOGS_WANTED = Wanted(Key(LOGS_KEY), "menu")
STORES = ("disk", "cloud")


def in_state(state: State, reason: str = "") -> Row:
    return replace(LOGS_ROW, state=state, reason=reason)


@pytest.mark.parametrize("state", [State.UPLOADING, State.RETRYING, State.KEPT, State.REFUSED])
@pytest.mark.parametrize("decision", [IGNORED, UNNAMED])
def test_an_unfinished_copy_that_is_not_wanted_any_more_is_given_up_with_the_reason(
    state: State, decision: LeftAlone
) -> None:
    row = in_state(state)
    assert list(given_up(SEEN, decision, [], [row], STORES)) == [Change(row, Skipped(decision.reason, SEEN))]


def test_a_copy_that_is_wanted_under_another_key_is_given_up_and_the_key_is_told() -> None:
    row, other = in_state(State.RETRYING), Wanted(Key("alice/e/other.zip"), "renamed")
    (change,) = given_up(SEEN, other, [other], [row], STORES)
    assert change.event == Skipped("rule 'renamed' wants it as alice/e/other.zip", SEEN)


OPEN = (State.UPLOADING, State.RETRYING, State.REFUSED, State.KEPT)


@pytest.mark.parametrize("state", [state for state in State if state not in OPEN])
def test_a_copy_that_nothing_is_to_be_done_about_is_not_given_up(state: State) -> None:
    assert list(given_up(SEEN, IGNORED, [], [in_state(state)], STORES)) == []


@pytest.mark.parametrize("state", [State.RETRYING, State.REFUSED])
def test_a_copy_that_is_still_wanted_is_not_given_up(state: State) -> None:
    assert list(given_up(SEEN, LOGS_WANTED, [LOGS_WANTED], [in_state(state)], STORES)) == []


@pytest.mark.parametrize("decision", [LOGS_WANTED, UNNAMED])
def test_a_copy_for_a_store_that_is_configured_no_more_is_given_up(decision: Decision) -> None:
    row, wanted = in_state(State.RETRYING), [LOGS_WANTED]
    (change,) = given_up(SEEN, decision, wanted, [row], ("cloud",))
    assert change.event == Skipped("nothing is exported to disk any more", SEEN)


def test_a_name_that_made_no_key_is_refused_until_a_rule_gives_it_one() -> None:
    nameless = replace(LOGS_ROW, key="", wanted_key="", state=State.REFUSED, reason=BAD_NAME.reason)
    assert list(given_up(SEEN, BAD_NAME, [], [nameless], STORES)) == []
    (change,) = given_up(SEEN, LOGS_WANTED, [LOGS_WANTED], [nameless], STORES)
    assert change.event == Skipped("rule 'menu' wants it as alice/e/logs.zip", SEEN)


@pytest.mark.parametrize("state", [State.UPLOADING, State.RETRYING, State.KEPT])
def test_an_unfinished_copy_for_which_no_key_can_be_made_any_more_is_given_up(state: State) -> None:
    row = in_state(state)
    assert list(given_up(SEEN, BAD_NAME, [], [row], STORES)) == [Change(row, Skipped(BAD_NAME.reason, SEEN))]


@pytest.mark.parametrize("decision", [LOGS_WANTED, BAD_NAME, UNNAMED, IGNORED])
def test_a_mistaken_export_by_hand_is_no_work_once_it_was_refused(decision: Decision) -> None:
    row = replace(
        in_state(State.REFUSED, "it is taken"), rule=BY_HAND, key="alice/e/x", wanted_key="alice/e/x"
    )
    (change,) = given_up(SEEN, decision, [], [row], STORES)
    assert change.event == Skipped("asked for by hand, and refused: it is taken", SEEN)
    ended = step(row, change.event)
    assert list(given_up(SEEN, decision, [], [ended], STORES)) == []
    for news in skipped(SEEN, LOGS, decision, [ended], ("disk",)):  # once: nothing goes to and fro
        after_it = [ended, step(news.row, news.event)]
        assert list(given_up(SEEN, decision, [], after_it, STORES)) == []
        assert list(skipped(SEEN, LOGS, decision, after_it, ("disk",))) == []


def test_what_was_proven_of_a_copy_that_is_wanted_no_more_stays_proven() -> None:
    (change,) = given_up(CHANGED, IGNORED, [], [KEPT], (STORE,))
    assert (change.event, step(KEPT, change.event).state) == (Upheld(IGNORED.reason), State.PROVEN)


@pytest.mark.parametrize("decision", [LOGS_WANTED, UNNAMED])
def test_what_is_wanted_or_named_by_no_rule_is_no_skip(decision: Decision) -> None:
    assert list(skipped(SEEN, LOGS, decision, [], STORES)) == []


def test_what_a_rule_ignores_goes_on_record_once_for_each_store() -> None:
    first = list(skipped(SEEN, LOGS, IGNORED, [], STORES))
    assert [(change.row.store, change.row.key, change.event) for change in first] == [
        ("disk", LOGS_KEY, Skipped(IGNORED.reason, SEEN)),
        ("cloud", LOGS_KEY, Skipped(IGNORED.reason, SEEN)),
    ]
    on_record = [replace(change.row, state=State.SKIPPED, reason=IGNORED.reason) for change in first]
    assert list(skipped(SEEN, LOGS, IGNORED, on_record, STORES)) == []


def test_a_name_that_makes_no_key_is_refused_without_one() -> None:
    (change,) = skipped(SEEN, LOGS, BAD_NAME, [], ("disk",))
    assert (change.row.key, change.event) == ("", Refused("no key can be made", SEEN))


@pytest.mark.parametrize("before", [State.SKIPPED, State.REFUSED, State.GONE])
def test_another_reason_is_news(before: State) -> None:
    row = in_state(before, "another reason")
    assert list(skipped(SEEN, LOGS, IGNORED, [row], ("disk",))) == [
        Change(row, Skipped(IGNORED.reason, SEEN))
    ]


@pytest.mark.parametrize("state", [State.PROVEN, State.LOST])
def test_a_copy_that_was_exported_before_the_rule_stays_what_it_is(state: State) -> None:
    assert list(skipped(SEEN, LOGS, IGNORED, [in_state(state)], ("disk",))) == []


def test_of_several_rows_of_a_store_one_that_was_exported_is_enough_to_keep_still() -> None:
    rows = [in_state(State.SKIPPED, "another reason"), replace(in_state(State.PROVEN), key="other/key")]
    assert list(skipped(SEEN, LOGS, IGNORED, rows, ("disk",))) == []


def test_a_skip_of_a_file_whose_own_name_makes_no_key_is_on_record_without_one() -> None:
    odd = replace(LOGS, inside=b"caf\xe9.zip")
    (change,) = skipped(SEEN, odd, IGNORED, [], ("disk",))
    assert (change.row.key, change.event) == ("", Skipped(IGNORED.reason, SEEN))
