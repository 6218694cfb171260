from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from artifactd.discovery.named import experiments
from artifactd.mirror.answers import Principal
from artifactd.mirror.by_hand import Place, hint
from artifactd.stores.base import Conflict, StoreError, Unavailable
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before
from tests.support.rig import Rig, copies, rigged


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def other() -> FaultyStore:
    return FaultyStore(MemoryStore("other"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


@pytest.fixture
def pair(tmp_path: Path, live: FaultyStore, other: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live, other)


TESTER = Principal("tester", 1000)


class Answers(list[Mapping[str, Any]]):
    """What a person was answered."""

    @property
    def over(self) -> bool:
        return bool(self) and bool(self[-1]["final"])

    @property
    def actions(self) -> list[Any]:
        return [answer["action"] for answer in self]


def ask(rig: Rig, path: bytes, name: str | None = None) -> Answers:
    answers = Answers()
    rig.by_hand.ask(path, name, TESTER, answers.append)
    return answers


def on_record(rig: Rig) -> list[dict[str, Any]]:
    """The record, without what is the same in every entry."""
    return [dict(entry.fields) for entry in rig.ledger.entries()]


# --- hints ---


def places(rig: Rig, *, vouched: bool = True) -> list[Place]:
    return [Place(folder, vouched) for folder in experiments(rig.data, b"one")]


def test_a_hint_of_somebody_elses_files_ends_no_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"half")
    answers = Answers()
    hint(rig.mirror, rig.recorder, places(rig, vouched=False), b"one", "mallory", answers.append)
    rig.work()
    assert answers == [{"final": True, "ok": True, "artifacts": 1}]
    assert not copies(live)
    rig.pass_time(3.0)
    assert rig.rows()[0].evidence == "quiet+no_writer"


def test_a_hint_does_not_wait_for_a_folder_that_another_user_made_by_the_same_name(rig: Rig) -> None:
    rig.new("a.csv", b"one")
    rig.new("b.csv", b"two", experiment="mallory/h2oai_experiment_one")
    answers = Answers()
    both = [Place(b"mallory/h2oai_experiment_one", vouched=False), Place(b"alice/h2oai_experiment_one")]
    hint(rig.mirror, rig.recorder, both, b"one", "dai", answers.append)
    rig.work()
    assert answers == [{"final": True, "ok": True, "artifacts": 1}]


def test_a_hinted_experiment_is_exported_without_the_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    rig.new("a.csv", b"two", experiment="bob/h2oai_experiment_two")
    answers = Answers()
    hint(rig.mirror, rig.recorder, places(rig), b"one", "dai", answers.append)
    rig.until(lambda: copies(live) == {"alice/one/a.csv": b"one"}, "the export")
    rig.until(lambda: bool(answers), "the answer")
    told = rig.told("hint.received")[0]
    assert (told["experiment_id"], told["artifacts"], told["principal"]) == ("one", 1, "dai")
    assert answers == [{"final": True, "ok": True, "artifacts": 1}]


def test_a_hint_never_exports_what_is_open_for_writing(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"half")
    with rig.file(path).open("ab"):
        hint(rig.mirror, rig.recorder, places(rig), b"one", "dai", Answers().append)
        rig.work()
        assert [line["artifacts"] for line in rig.told("hint.received")] == [1]
        assert not copies(live)


def test_an_unknown_experiment_is_told_and_not_fatal(rig: Rig) -> None:
    answers = Answers()
    hint(rig.mirror, rig.recorder, [], b"\xff\nno", "dai", answers.append)
    assert answers == [{"final": True, "ok": False, "artifacts": None}]
    assert rig.told("hint.unknown")[0]["experiment_id"] == "\\xff\\x0ano"


def test_an_experiment_is_known_by_its_key_or_its_folder_for_every_user(tmp_path: Path) -> None:
    found = {b"alice/h2oai_experiment_k", b"bob/h2oai_experiment_k", b"h2oai_experiment_k"}
    for folder in (*found, b"bob/h2oai_experiment_kk"):
        (tmp_path / folder.decode()).mkdir(parents=True)
    assert set(experiments(tmp_path, b"k")) == set(experiments(tmp_path, b"h2oai_experiment_k")) == found
    assert experiments(tmp_path, b"") == []
    assert experiments(tmp_path, b"../alice") == []


# --- exports by hand ---


def test_whoever_asks_hears_every_outcome_up_to_the_last(rig: Rig, live: FaultyStore) -> None:
    live.scripted.append(before(StoreError))
    answers = ask(rig, rig.new("notes.txt", b"no rule names it"))
    rig.finish()
    assert answers.actions == ["artifact.started", "artifact.failed", "artifact.started", "artifact.exported"]
    assert [answer["final"] for answer in answers] == [False, False, False, True]
    assert answers[-1]["ok"]
    assert answers[-1]["key"] == "alice/one/notes.txt"
    assert copies(live) == {"alice/one/notes.txt": b"no rule names it"}


def test_a_refusal_is_a_last_answer_that_says_why(rig: Rig, live: FaultyStore) -> None:
    live.scripted.append(before(Conflict))
    answers = ask(rig, rig.new("a.csv", b"one"))
    rig.finish()
    assert (answers.over, answers[-1]["ok"]) == (True, False)
    assert "injected" in answers[-1]["reason"]


def test_with_two_stores_the_last_answer_comes_after_both_and_is_good_only_if_both_are(
    pair: Rig, live: FaultyStore, other: FaultyStore
) -> None:
    live.scripted.append(before(Conflict))
    other.gate.shut()
    answers = ask(pair, pair.new("a.csv", b"one"))
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: "artifact.refused" in answers.actions, "the first store's answer")
    assert not answers.over
    other.gate.open()
    pair.finish()
    assert (answers.over, answers[-1]["ok"], answers.actions[-1]) == (True, False, "artifact.exported")


def test_a_copy_under_another_key_is_no_answer(rig: Rig, live: FaultyStore) -> None:
    """The policy's own copy is under way while somebody asks for one under another name."""
    live.gate.shut()
    live.scripted.append(before(StoreError))
    path = rig.new("a.csv", b"one")
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1, "the policy's put")
    answers = ask(rig, path, "mine.csv")
    live.gate.open()
    rig.finish()
    assert {answer["key"] for answer in answers} == {"alice/one/mine.csv"}
    assert answers.over
    assert set(copies(live)) == {"alice/one/a.csv", "alice/one/mine.csv"}


def test_everyone_who_asked_for_the_same_artifact_is_answered(rig: Rig) -> None:
    path = rig.new("a.csv", b"one")
    first, second = ask(rig, path), ask(rig, path)
    rig.finish()
    assert first.over
    assert second.over


def test_what_was_exported_before_is_answered_at_once(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    answers = ask(rig, path)
    assert (answers.over, answers[-1]["ok"], answers[-1]["key"]) == (True, True, "alice/one/a.csv")
    assert len(live.tried) == 1


def test_what_cannot_be_exported_is_answered_at_once(rig: Rig) -> None:
    rig.new("a.csv", b"one")
    (rig.data / "neighbour").write_bytes(b"")
    for path, reason in {
        b"neighbour": "no part of an experiment",
        b"": "does not lie below the data directory",
        b"/h2oai_experiment_one/a.csv": "does not lie below the data directory",
        b"alice/h2oai_experiment_one/missing.csv": "no file is at",
        b"alice/h2oai_experiment_one": "no part of an experiment",
    }.items():
        answers = ask(rig, path)
        assert answers.over, path
        assert not answers[-1]["ok"]
        assert reason in answers[-1]["reason"]
    answers = ask(rig, b"alice/h2oai_experiment_one/a.csv", "../../bob/x")
    assert "no key can be made" in answers[-1]["reason"]
    assert rig.mirror.selection.asked == {}


def test_while_the_only_store_is_out_the_answer_says_so(rig: Rig, live: FaultyStore) -> None:
    live.always = before(Unavailable)
    rig.new("b.csv", b"two")
    rig.settle()
    answers = ask(rig, rig.new("a.csv", b"one"))
    assert (answers.over, answers[-1]["ok"]) == (True, False)
    assert answers[-1]["reason"].startswith("live is out: ")


# --- who asked, on record ---


def test_who_asked_for_what_is_on_record_before_anything_is_done_and_on_every_entry_of_the_copy(
    rig: Rig, live: FaultyStore
) -> None:
    live.scripted.append(before(StoreError))
    path = rig.new("notes.txt", b"no rule names it")
    answers = Answers()
    rig.by_hand.ask(path, "mine.txt", Principal("root", 0, "ali\nce"), answers.append)
    rig.finish()
    rig.new("a.csv", b"the policy's")
    rig.finish()
    entries = on_record(rig)
    requested = {
        "action": "export.requested",
        "outcome": "pending",
        "principal": "root",
        "principal_uid": 0,
        "sudo_user": "ali\\x0ace",
        "source": "alice/h2oai_experiment_one/notes.txt",
        "as": "mine.txt",
        "key": "alice/one/mine.txt",
        "store": "live",
        "rule": "by hand",
        "user": "alice",
        "experiment_id": "one",
        "kind": "other",
    }
    assert requested.items() <= entries[0].items()
    assert rig.told("export.requested")[0]["seq"] == 1
    its = [entry for entry in entries[1:] if entry["key"] == "alice/one/mine.txt"]
    assert [entry["action"] for entry in its] == answers.actions
    assert len(its) == 4, "a try that failed, and another"
    assert {entry.get("principal") for entry in its} == {"root"}
    assert {entry.get("principal") for entry in entries[1:] if entry not in its} == {None}


def test_a_request_that_nothing_comes_of_is_on_record_with_the_reason(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    ask(rig, b"alice/h2oai_experiment_one/missing.csv")
    ask(rig, b"alice/h2oai_experiment_one/a.csv", "../../bob/x")
    first, second = on_record(rig)
    assert (first["outcome"], first["principal"]) == ("failure", "tester")
    assert first["reason"] == "no file is at alice/h2oai_experiment_one/missing.csv"
    assert (second["outcome"], second["as"]) == ("failure", "../../bob/x")
    assert "no key can be made" in second["reason"]
    assert not live.tried


def test_a_request_that_ends_at_once_as_its_store_is_out_has_its_end_on_record(
    rig: Rig, live: FaultyStore
) -> None:
    live.always = before(Unavailable)
    rig.new("b.csv", b"two")
    rig.settle()
    assert ask(rig, rig.new("a.csv", b"one")).over
    begun, ended = [one for one in on_record(rig) if one["action"] == "export.requested"]
    assert (begun["outcome"], ended["outcome"]) == ("pending", "failure")
    assert str(ended["reason"]).startswith("live is out: ")
    same = ("source", "key", "principal", "principal_uid")
    assert [begun[one] for one in same] == [ended[one] for one in same]


def test_requests_in_vain_do_not_fill_the_record(rig: Rig) -> None:
    for number in range(300):
        rig.by_hand.deny(b"/etc/passwd", "x" * 9_000, TESTER, f"no {number}", Answers().append)
    entries = on_record(rig)
    assert len(entries) == 101
    assert entries[0] | {"source": "/etc/passwd", "outcome": "failure", "reason": "no 0"} == entries[0]
    assert len(str(entries[0]["as"])) == 255
    assert (
        entries[-1]["reason"]
        == "no 100; what else this account asks for in vain within the hour is not on record"
    )
    rig.by_hand.deny(b"/etc/shadow", None, Principal("other", 1001), "no", Answers().append)
    assert on_record(rig)[-1]["source"] == "/etc/shadow", "nobody takes another's place"
    rig.time.advance(3600.0)
    rig.by_hand.deny(b"/etc/passwd", None, TESTER, "no", Answers().append)
    assert len(on_record(rig)) == 103


def test_a_request_for_what_was_proven_before_has_its_outcome_on_record_at_once(rig: Rig) -> None:
    path = rig.new("a.csv", b"one")
    rig.finish()
    assert ask(rig, path).over
    rig.finish()
    last = on_record(rig)[-1]
    assert (last["action"], last["outcome"]) == ("export.requested", "success")
    assert last["reason"] == "it was proven before"


def test_the_principal_stays_with_the_copy_when_another_mirror_takes_it_over(rig: Rig) -> None:
    path = rig.new("a.csv", b"one")
    with rig.file(path).open("ab"):
        answers = ask(rig, path, "mine.csv")
        rig.work()
        pending = rig.by_hand.hand_over()
    rig.crash()
    rig.open()
    rig.by_hand.take_over(pending)
    rig.finish()
    assert answers.over
    requested, *entries = [one for one in on_record(rig) if one["key"] == "alice/one/mine.csv"]
    assert requested["action"] == "export.requested"
    assert [one["principal"] for one in entries] == ["tester", "tester"]


def test_the_principal_stays_with_the_copy_after_a_restart_and_up_to_its_outcome(
    rig: Rig, live: FaultyStore
) -> None:
    live.always = before(StoreError)
    path = rig.new("a.csv", b"one")
    ask(rig, path, "mine.csv")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: len(rig.told("artifact.failed")) == 1, "a try that fails")
    rig.crash()
    rig.open()
    live.always = None
    rig.finish()
    rig.write(path, b"another version")
    rig.finish()
    its = [one for one in on_record(rig) if one["key"] == "alice/one/mine.csv"]
    told = [(one["action"].removeprefix("artifact."), one.get("principal")) for one in its]
    assert told[:5] == [
        ("export.requested", "tester"),
        ("started", "tester"),
        ("failed", "tester"),
        ("started", "tester"),
        ("exported", "tester"),
    ]
    assert {who for _, who in told[5:]} <= {None}
