"""All that follows for one file, from what is known of it."""

import stat
from dataclasses import replace

import pytest

from artifactd.artifact import Artifact, Identity, Key, Kind, Sighting
from artifactd.decisions.assessment import Subject, assess, wanted_copies
from artifactd.decisions.lifecycle import Row, Skipped, State
from artifactd.decisions.plan import Moment, Nothing, Read, Wait
from artifactd.decisions.policy import BY_HAND, Decision, LeftAlone, Unnameable, Wanted
from tests.support.rows import a_row

NOW, IDENTITY = 1000.0, Identity(1, 2, 3, 4, 5)
AT = Moment(NOW, 600.0)
PATH = b"alice/h2oai_experiment_e0/mojo_pipeline/mojo.zip"
MOJO = Artifact(PATH, "alice", "e0", b"mojo_pipeline/mojo.zip", Kind.MOJO_PIPELINE)
WANTED = Wanted(Key("alice/e0/mojo.zip"), "all")
UNNAMED = LeftAlone("no rule names it", None)
IGNORED = LeftAlone("rule 'no' ignores it", "no")


def a_subject(decision: Decision = WANTED, *, asked: bool = False) -> Subject:
    return Subject(Sighting(PATH, IDENTITY, stat.S_IFREG | 0o644), MOJO, decision, asked=asked)


def known(store: str, state: State, identity: Identity = IDENTITY, retry_at: float | None = None) -> Row:
    key = WANTED.key.text
    return Row(store, MOJO, key, key, "all", state, identity, retry_at=retry_at)


def by_hand(name: str, state: State) -> Row:
    key = f"alice/e0/{name}" if name else ""
    return replace(a_row(), artifact=MOJO, key=key, wanted_key=key, rule=BY_HAND, state=state)


def test_each_wanted_copy_has_its_outlook_at_each_store() -> None:
    rows = [
        known("done", State.PROVEN),
        known("later", State.RETRYING, retry_at=NOW + 5),
        known("changed", State.PROVEN, replace(IDENTITY, size=9)),
    ]
    found = assess(a_subject(), rows, ["done", "later", "changed", "new"], AT)
    kinds = {copy.store: type(copy.outlook) for copy in found.copies}
    assert kinds == {"done": Nothing, "later": Wait, "changed": Read, "new": Read}
    assert [copy.store for copy in found.unread] == ["changed", "new"]
    assert (found.proven, found.stuck) == (1, 1)
    assert found.changes == ()


def test_what_a_person_asked_for_is_read_for_every_store() -> None:
    rows = [known("done", State.PROVEN), known("refused", State.REFUSED)]
    found = assess(a_subject(asked=True), rows, ["done", "refused"], AT)
    assert [copy.store for copy in found.unread] == ["done", "refused"]
    assert [copy.proven for copy in found.copies] == [True, False]


def test_what_a_rule_ignores_now_is_skipped_on_record_and_what_was_begun_of_it_is_given_up() -> None:
    rows = [known("begun", State.UPLOADING)]
    found = assess(a_subject(IGNORED), rows, ["begun", "other"], AT)
    assert found.copies == ()
    assert [(change.row.store, type(change.event)) for change in found.given_up] == [("begun", Skipped)]
    assert [change.row.store for change in found.skipped] == ["other"]
    assert found.changes == found.given_up + found.skipped


OLD = Unnameable("it ends with a blank", "all", WANTED.key)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], OLD),
        ([replace(known("a", State.PROVEN), proof="read_back")], WANTED),
        ([replace(known("a", State.KEPT), proof="read_back")], WANTED),
        ([known("a", State.REFUSED)], OLD),
        ([replace(known("a", State.PROVEN), proof="read_back", wanted_key="alice/e0/other")], OLD),
    ],
)
def test_a_copy_that_has_a_name_of_earlier_is_wanted_where_it_is(rows: list[Row], expected: Decision) -> None:
    found = assess(a_subject(OLD), rows, ["a"], AT)
    assert found.subject.decision == expected
    assert [copy.wanted for copy in found.copies] == ([WANTED] if expected == WANTED else [])


def test_nothing_is_given_up_where_a_person_decided() -> None:
    other = Wanted(Key("alice/e0/mine.zip"), BY_HAND)
    found = assess(a_subject(other, asked=True), [known("a", State.RETRYING)], ["a"], AT)
    assert len(found.given_up) == 1
    assert found.changes == ()


def test_what_no_rule_names_is_no_concern_of_the_record() -> None:
    found = assess(a_subject(UNNAMED), [], ["a"], AT)
    assert (found.copies, found.changes) == ((), ())
    assert not found.subject.on_record
    assert a_subject(IGNORED).on_record


@pytest.mark.parametrize(
    ("decision", "rows", "names"),
    [
        (WANTED, [], ["mojo.zip"]),
        (UNNAMED, [], []),
        (Unnameable("no key", "all"), [], []),
        (UNNAMED, [by_hand("b", State.RETRYING), by_hand("a", State.UPLOADING)], ["a", "b"]),
        (WANTED, [by_hand("a", State.RETRYING)], ["mojo.zip", "a"]),
        (WANTED, [by_hand("mojo.zip", State.RETRYING)], ["mojo.zip"]),
        (IGNORED, [by_hand("a", State.RETRYING)], []),
        (UNNAMED, [by_hand("a", State.PROVEN), by_hand("b", State.REFUSED)], []),
        (UNNAMED, [by_hand("", State.RETRYING)], []),
        (UNNAMED, [replace(by_hand("a", State.RETRYING), rule="all")], []),
    ],
)
def test_copies_that_a_person_asked_for_are_finished(
    decision: Wanted | LeftAlone | Unnameable, rows: list[Row], names: list[str]
) -> None:
    assert [copy.key.name for copy in wanted_copies(decision, rows)] == names
