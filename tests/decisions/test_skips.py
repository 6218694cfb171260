from dataclasses import replace

import pytest

from artifactd.artifact import Artifact, Identity, Key, Kind
from artifactd.decisions.lifecycle import Change, Refused, Row, Skipped, State
from artifactd.decisions.policy import Decision, LeftAlone, Unnameable, Wanted
from artifactd.decisions.skips import given_up, skipped

NOW = Identity(1, 2, 3, 4, 5)
FOUND = Artifact(b"alice/h2oai_experiment_e/logs.zip", "alice", "e", b"logs.zip", Kind.LOGS)
KEY = "alice/e/logs.zip"
ROW = Row("disk", FOUND, KEY, KEY, "menu")
IGNORED = LeftAlone("rule 'no logs' ignores it", "no logs")
UNNAMED = LeftAlone("no rule names it", None)
BAD_NAME = Unnameable("no key can be made", "menu")
WANTED = Wanted(Key(KEY), "menu")
STORES = ("disk", "cloud")


def in_state(state: State, reason: str = "") -> Row:
    return replace(ROW, state=state, reason=reason)


@pytest.mark.parametrize("state", [State.UPLOADING, State.RETRYING])
@pytest.mark.parametrize("decision", [IGNORED, UNNAMED, BAD_NAME])
def test_an_unfinished_copy_that_is_not_wanted_any_more_is_given_up_with_the_reason(
    state: State, decision: LeftAlone | Unnameable
) -> None:
    row = in_state(state)
    assert list(given_up(NOW, decision, [], [row], STORES)) == [Change(row, Skipped(decision.reason, NOW))]


def test_a_copy_that_is_wanted_under_another_key_is_given_up_and_the_key_is_told() -> None:
    row, other = in_state(State.RETRYING), Wanted(Key("alice/e/other.zip"), "renamed")
    (change,) = given_up(NOW, other, [other], [row], STORES)
    assert change.event == Skipped("rule 'renamed' wants it as alice/e/other.zip", NOW)


@pytest.mark.parametrize(
    "state", [state for state in State if state not in (State.UPLOADING, State.RETRYING)]
)
def test_a_copy_that_is_not_under_way_is_not_given_up(state: State) -> None:
    assert list(given_up(NOW, IGNORED, [], [in_state(state)], STORES)) == []


def test_a_copy_that_is_still_wanted_and_one_of_another_store_are_not_given_up() -> None:
    row = in_state(State.RETRYING)
    assert list(given_up(NOW, WANTED, [WANTED], [row], STORES)) == []
    assert list(given_up(NOW, IGNORED, [], [row], ("cloud",))) == []


@pytest.mark.parametrize("decision", [WANTED, UNNAMED])
def test_what_is_wanted_or_named_by_no_rule_is_no_skip(decision: Decision) -> None:
    assert list(skipped(NOW, FOUND, decision, [], STORES)) == []


def test_what_a_rule_ignores_goes_on_record_once_for_each_store() -> None:
    first = list(skipped(NOW, FOUND, IGNORED, [], STORES))
    assert [(change.row.store, change.row.key, change.event) for change in first] == [
        ("disk", KEY, Skipped(IGNORED.reason, NOW)),
        ("cloud", KEY, Skipped(IGNORED.reason, NOW)),
    ]
    on_record = [replace(change.row, state=State.SKIPPED, reason=IGNORED.reason) for change in first]
    assert list(skipped(NOW, FOUND, IGNORED, on_record, STORES)) == []


def test_a_name_that_makes_no_key_is_refused_without_one() -> None:
    (change,) = skipped(NOW, FOUND, BAD_NAME, [], ("disk",))
    assert (change.row.key, change.event) == ("", Refused("no key can be made", NOW))


@pytest.mark.parametrize("before", [State.SKIPPED, State.REFUSED, State.GONE])
def test_another_reason_is_news(before: State) -> None:
    row = in_state(before, "another reason")
    assert list(skipped(NOW, FOUND, IGNORED, [row], ("disk",))) == [Change(row, Skipped(IGNORED.reason, NOW))]


@pytest.mark.parametrize("state", [State.PROVEN, State.LOST])
def test_a_copy_that_was_exported_before_the_rule_stays_what_it_is(state: State) -> None:
    assert list(skipped(NOW, FOUND, IGNORED, [in_state(state)], ("disk",))) == []


def test_a_skip_of_a_file_whose_own_name_makes_no_key_is_on_record_without_one() -> None:
    odd = replace(FOUND, inside=b"caf\xe9.zip")
    (change,) = skipped(NOW, odd, IGNORED, [], ("disk",))
    assert (change.row.key, change.event) == ("", Skipped(IGNORED.reason, NOW))
