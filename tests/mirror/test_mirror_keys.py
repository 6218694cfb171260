"""The whole mirror where keys are taken, policies change, and people ask for more."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import Change, Proven, Refused, Started, State
from artifactd.mirror.answers import Principal
from artifactd.stores.base import StoreError
from artifactd.stores.memory import MemoryStore
from tests.support.faults import Fault, FaultyStore, before
from tests.support.rig import ALL_CSV, Rig, copies, rigged
from tests.support.rows import digest, identity


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


# --- keys that are taken ---


def test_foreign_bytes_at_the_key_are_a_conflict_until_a_person_takes_them_away(
    rig: Rig, live: FaultyStore
) -> None:
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies[rig.key("a.csv")] = b"foreign"
    path = rig.new("a.csv", b"one")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"foreign"}
    assert rig.states(path) == {"live": State.REFUSED}
    assert len(live.tried) == 1, "it is not tried again by itself"
    del live.inner.copies[rig.key("a.csv")]
    rig.replay(rig.rows(path))
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}


def test_two_files_that_want_one_key_are_told_with_the_rule_that_makes_them(
    rig: Rig, live: FaultyStore
) -> None:
    rig.new("a.csv", b"one")
    rig.settle()
    second = rig.new("below/a.csv", b"two")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    (row,) = rig.rows(second)
    assert row.state is State.REFUSED
    assert row.reason == (
        "alice/one/a.csv already holds another file, alice/h2oai_experiment_one/a.csv. "
        "Give one of them another name with `as` in rule 'all'"
    )


def test_two_files_that_want_one_key_in_one_batch_do_not_both_get_it(rig: Rig, live: FaultyStore) -> None:
    both = rig.new("a.csv", b"one"), rig.new("below/a.csv", b"two")
    rig.finish()
    assert sorted(state for path in both for state in rig.states(path).values()) == [
        State.PROVEN,
        State.REFUSED,
    ]
    assert len(live.tried) == 1


TWINS = '[[policy]]\nname = "same"\nmatch = ["*.csv"]\nas = "same.csv"\n'


@pytest.fixture
def twins(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    rig = Rig(tmp_path, {"live": live}, policy=TWINS)
    yield rig
    rig.crash()


def test_a_file_that_is_renamed_keeps_its_copy_and_may_change(twins: Rig, live: FaultyStore) -> None:
    path, renamed = twins.new("p.csv", b"one"), twins.path("q.csv")
    twins.settle()
    twins.file(path).rename(twins.file(renamed))
    twins.finish()
    assert (twins.states(path), twins.states(renamed)) == ({"live": State.GONE}, {"live": State.PROVEN})
    assert [twins.events(one)[-1] for one in (path, renamed)] == ["Ceded", "Proven"]
    (row,) = twins.rows(path)
    assert row.reason == "its file is gone, and alice/h2oai_experiment_one/q.csv has its key now"
    twins.write(renamed, b"two")
    twins.finish()
    assert copies(live) == {"alice/one/same.csv": b"two"}
    twins.verified()
    assert twins.states(renamed) == {"live": State.PROVEN}


@pytest.mark.parametrize("event", [False, True])
def test_two_files_never_share_a_copy_and_the_second_gets_the_key_when_the_first_is_deleted(
    twins: Rig, live: FaultyStore, *, event: bool
) -> None:
    path = twins.new("p.csv", b"one")
    twins.settle()
    twin = twins.new("q.csv", b"one")
    twins.finish()
    assert (twins.states(path), twins.states(twin)) == ({"live": State.PROVEN}, {"live": State.REFUSED})
    twins.write(path, b"two")
    twins.finish()
    assert copies(live) == {"alice/one/same.csv": b"two"}
    twins.write(twin, b"two")
    twins.finish()
    assert twins.states(twin) == {"live": State.REFUSED}
    twins.file(path).unlink()
    if event:
        twins.mirror.touched({path: False})
        twins.pass_time(3.0, 3.0)
    else:
        twins.finish()
    assert (twins.states(path), twins.states(twin)) == ({"live": State.GONE}, {"live": State.PROVEN})
    twins.write(path, b"two")
    twins.finish()
    assert twins.states(path) == {"live": State.REFUSED}, "the key is the other one's now"


def test_a_deleted_file_keeps_its_copy_against_one_with_other_bytes(twins: Rig, live: FaultyStore) -> None:
    path = twins.new("p.csv", b"one")
    twins.settle()
    other = twins.new("q.csv", b"two")
    twins.settle()
    twins.file(path).unlink()
    twins.finish()
    head = twins.ledger.head()
    twins.finish()
    assert twins.ledger.head() == head, "it is told once"
    assert copies(live) == {"alice/one/same.csv": b"one"}
    assert (twins.states(path), twins.states(other)) == ({"live": State.PROVEN}, {"live": State.REFUSED})
    assert "which is deleted. Give it another name" in twins.rows(other)[0].reason


def test_a_file_that_an_earlier_version_let_share_a_copy_may_change_when_the_other_is_gone(
    twins: Rig, live: FaultyStore
) -> None:
    path = twins.new("p.csv", b"one")
    twins.settle()
    (row,) = twins.rows(path)
    twin = replace(row, artifact=replace(row.artifact, path=twins.new("q.csv", b"one"), inside=b"q.csv"))
    started = Started(row.identity or identity(), digest("one"), row.size, row.evidence)
    proof = Proven(row.proof, row.version, written=False, seconds=0.0, uri="")
    new = replace(twin, state=State.NEW, ours=(), proof="", changed_at=0.0)
    twins.recorder.record([Change(new, started), Change(new, proof)])
    twins.write(path, b"two")
    twins.finish()
    assert twins.states(path) == {"live": State.KEPT}
    twins.file(twin.artifact.path).unlink()
    twins.finish()
    assert (twins.states(path), twins.states(twin.artifact.path)) == (
        {"live": State.PROVEN},
        {"live": State.GONE},
    )
    assert copies(live) == {"alice/one/same.csv": b"two"}


@pytest.mark.parametrize(
    ("on_change", "expected", "state"),
    [
        ("replace", [b"two"], State.PROVEN),
        ("keep_both", [b"one", b"two"], State.PROVEN),
        ("refuse", [b"one"], State.KEPT),
    ],
)
def test_a_changed_artifact_is_handled_as_configured(
    tmp_path: Path, live: FaultyStore, on_change: str, expected: list[bytes], state: State
) -> None:
    rig = Rig(tmp_path, {"live": live}, keys=f'on_change = "{on_change}"')
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.write(path, b"two")
    rig.finish()
    assert sorted(copies(live).values()) == expected
    assert state in {row.state for row in rig.rows(path)}
    rig.crash()


def test_under_keep_both_a_failed_read_of_a_new_version_leaves_nothing_to_retry_for_ever(
    tmp_path: Path, live: FaultyStore
) -> None:
    rig = Rig(tmp_path, {"live": live}, keys='on_change = "keep_both"')
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.write(path, b"two")
    live.scripted.append(before(StoreError))
    rig.finish()
    assert {row.state for row in rig.rows(path)} == {State.PROVEN}
    rig.crash()


def test_under_keep_both_a_failed_version_that_newer_bytes_overtake_is_given_up(
    tmp_path: Path, live: FaultyStore
) -> None:
    rig = Rig(tmp_path, {"live": live}, keys='on_change = "keep_both"')
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.write(path, b"two")
    live.scripted += [before(StoreError), before(StoreError)]
    rig.settle()
    rig.write(path, b"three")
    rig.finish()
    assert sorted(row.state for row in rig.rows(path)) == [State.GONE, State.PROVEN, State.PROVEN]
    assert [row.reason for row in rig.rows(path) if row.state is State.GONE] == [
        "another version took its place"
    ]
    rig.crash()


# --- the policy ---


IGNORE = '[[policy]]\nname = "none"\naction = "ignore"\nmatch = ["a.csv"]\n'
RENAME = '[[policy]]\nname = "other name"\nmatch = ["*.csv"]\nas = "other-{name}"\n'
NARROW = '[[policy]]\nname = "narrow"\nmatch = ["b.csv"]\n'


@pytest.mark.parametrize(
    "policy", [IGNORE, NARROW, RENAME], ids=["ignored", "named by no rule", "other name"]
)
@pytest.mark.parametrize("fault", [before(StoreError), None], ids=["after a failed try", "after a crash"])
def test_an_unfinished_copy_that_the_policy_stops_wanting_is_given_up(
    rig: Rig, live: FaultyStore, policy: str, fault: Fault | None
) -> None:
    path = rig.new("a.csv", b"one")
    live.always = fault
    if fault is None:
        live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: bool(rig.rows(path)))
    live.gate.open()
    rig.crash()
    rig.configure(policy)
    live.always = None
    rig.open()
    rig.mirror.begin()
    rig.finish()
    old = next(row for row in rig.rows(path) if row.key == "alice/one/a.csv")
    assert old.state is State.SKIPPED
    if policy is RENAME:
        assert copies(live)["alice/one/other-a.csv"] == b"one"


def test_a_rule_that_ignores_is_on_record_once_and_what_no_rule_names_is_not(rig: Rig) -> None:
    rig.crash()
    rig.configure(IGNORE)
    rig.open()
    path, other = rig.new("a.csv", b"one"), rig.new("b.csv", b"two")
    rig.finish()
    assert rig.events(path) == ["Skipped"]
    assert rig.rows(path)[0].reason == "rule 'none' ignores it"
    assert rig.rows(other) == []


def test_a_name_that_makes_no_key_is_refused_with_its_reason(rig: Rig) -> None:
    path = rig.new("-rf.csv", b"one")
    rig.finish()
    (row,) = rig.rows(path)
    assert (row.state, row.key) == (State.REFUSED, "")
    assert "starts with a dash" in row.reason
    assert isinstance(rig.recorded[-1].event, Refused)


# --- names that deceive, and names that differ only in case ---


def test_a_copy_of_earlier_under_a_name_that_no_new_one_gets_stays_where_it_is(
    rig: Rig, live: FaultyStore
) -> None:
    old, new = rig.new("old.csv ", b"one"), rig.new("new.csv ", b"two")
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr("artifactd.artifact._DECEPTIVE", re.compile(r"(?!)"))  # as names were looked at once
        rig.crash()
        rig.configure('[[policy]]\nname = "all"\nmatch = ["old.csv "]\n')
        rig.open()
        rig.settle()
    rig.crash()
    rig.configure('[[policy]]\nname = "all"\nmatch = ["*"]\n')
    rig.open()
    rig.finish()
    assert (rig.states(old), rig.states(new)) == ({"live": State.PROVEN}, {"live": State.REFUSED})
    assert rig.events(old) == ["Started", "Proven"]
    rig.write(old, b"three")
    rig.finish()
    assert copies(live) == {"alice/one/old.csv ": b"three"}
    assert "ends with a blank" in rig.rows(new)[0].reason


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_two_names_that_differ_only_in_case_are_a_conflict_where_case_is_ignored(
    tmp_path: Path, live: FaultyStore, *, ignored: bool, at_once: bool
) -> None:
    rig = Rig(tmp_path, {"live": live}, keys=f"ignore_case = {str(ignored).lower()}")
    first = rig.new("straße.csv", b"one")
    if not at_once:
        rig.settle()
    second = rig.new("below/STRASSE.csv", b"one")
    rig.finish()
    rows = sorted((row for path in (first, second) for row in rig.rows(path)), key=lambda row: row.state)
    assert [row.state for row in rows] == [State.PROVEN, State.REFUSED if ignored else State.PROVEN]
    assert len(copies(live)) == (1 if ignored else 2)
    if ignored:
        assert "differs only in case from alice/one/" in rows[1].reason
    rig.crash()


# --- by hand ---


@pytest.mark.parametrize("deaths", [0, 1])
def test_a_copy_asked_for_by_hand_is_tried_until_it_is_proven(
    rig: Rig, live: FaultyStore, deaths: int
) -> None:
    path = rig.new("notes.txt", b"by hand")
    live.scripted.extend([before(StoreError)] * 2)
    answers: list[object] = []
    rig.by_hand.ask(path, "renamed.txt", Principal("tester", 1000), answers.append)
    rig.pass_time(3.0)
    assert rig.states(path) == {"live": State.RETRYING}
    for _ in range(deaths):
        rig.again()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert copies(live) == {"alice/one/renamed.txt": b"by hand"}


def test_a_rule_that_ignores_ends_an_unfinished_copy_by_hand_too(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("notes.txt", b"by hand")
    live.always = before(StoreError)
    rig.by_hand.ask(path, None, Principal("tester", 1000), lambda _answer: None)
    rig.pass_time(3.0)
    rig.crash()
    rig.configure('[[policy]]\nname = "secret"\naction = "ignore"\nmatch = ["*.txt"]\n' + ALL_CSV)
    live.always = None
    rig.open()
    rig.mirror.begin()
    rig.finish()
    assert rig.states(path) == {"live": State.SKIPPED}
    assert copies(live) == {}
