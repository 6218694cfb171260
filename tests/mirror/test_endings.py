"""What ends each state and each refusal: no copy stays in one whose cause is gone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.decisions.lifecycle import State
from artifactd.decisions.plan import REFUSED_SECONDS
from artifactd.decisions.policy import beside
from artifactd.mirror.answers import Principal
from artifactd.stores.base import StoreError
from artifactd.stores.memory import MemoryStore
from tests.support.faults import FaultyStore, before
from tests.support.rig import ALL_CSV, Rig, copies, rigged
from tests.support.rows import digest


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from rigged(tmp_path, live)


def configured(rig: Rig, policy: str = ALL_CSV, *, keys: str = "") -> None:
    """Another start, with another configuration."""
    rig.crash()
    rig.configure(policy, keys=keys)
    rig.open()
    rig.mirror.begin()


def linked(rig: Rig, path: bytes) -> Path:
    """Another name of the file, as `cp -al` makes it, outside of the data directory."""
    other = rig.base / "backup.csv"
    os.link(rig.file(path), other)
    rig.mirror.touched({path: False})
    return other


# --- hard links ---


def test_a_backup_by_hard_links_says_nothing_of_what_was_proven(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    head = rig.ledger.head()
    other = linked(rig, path)
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert rig.ledger.head() == head, "it is no news"
    assert rig.mirror.waiting_files == 0
    other.unlink()
    rig.finish()
    assert rig.events(path) == ["Started", "Proven", "Unchanged"]
    assert len(live.tried) == 1


def test_a_new_version_that_cannot_be_exported_is_told_and_the_old_one_stays_proven(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    other = linked(rig, path)
    rig.write(path, b"two")
    rig.finish()
    (row,) = rig.rows(path)
    assert (row.state, row.digest) == (State.KEPT, digest("one"))
    assert row.reason == "it has more than one name (hard links), and another may lie elsewhere"
    assert rig.events(path) == ["Started", "Proven", "Kept"], "once, however often it is looked at"
    other.unlink()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert copies(live) == {"alice/one/a.csv": b"two"}


@pytest.mark.parametrize("end", ["old bytes", "deleted", "ignored"])
def test_a_copy_that_was_kept_is_proven_again_when_its_newer_version_is_no_more(
    rig: Rig, live: FaultyStore, end: str
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.file(path).unlink()
    rig.file(path).symlink_to("elsewhere.csv")
    rig.finish()
    assert rig.states(path) == {"live": State.KEPT}
    if end == "ignored":
        configured(rig, '[[policy]]\nname = "none"\naction = "ignore"\nmatch = ["*"]\n')
    else:
        rig.file(path).unlink()
    if end == "old bytes":
        rig.write(path, b"one")
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert rig.events(path)[-1] == ("Unchanged" if end == "old bytes" else "Upheld")
    assert copies(live) == {"alice/one/a.csv": b"one"}


# --- refusals ---


@pytest.mark.parametrize("end", ["link gone", "source gone", "a directory in its place", "named no more"])
def test_a_refused_file_is_refused_no_longer_than_its_cause_lasts(
    rig: Rig, live: FaultyStore, end: str
) -> None:
    path = rig.new("a.csv", b"one")
    other = linked(rig, path)
    rig.finish()
    assert rig.states(path) == {"live": State.REFUSED}
    match end:
        case "link gone":
            other.unlink()
        case "source gone":
            rig.file(path).unlink()  # and no event tells of it
        case "a directory in its place":
            rig.file(path).unlink()
            rig.file(path).mkdir()
        case _:
            configured(rig, '[[policy]]\nname = "narrow"\nmatch = ["b.csv"]\n')
    rig.finish()
    ended = {
        "link gone": State.PROVEN,
        "source gone": State.GONE,
        "a directory in its place": State.GONE,
        "named no more": State.SKIPPED,
    }
    assert rig.states(path) == {"live": ended[end]}
    assert bool(copies(live)) == (end == "link gone")


BELOW = '[[policy]]\nname = "mended"\nmatch = ["*.csv"]\nas = "{path}"\n'
KIND = '[[policy]]\nname = "mended"\nmatch = ["*.csv"]\nas = "{kind}{suffix}"\n'


@pytest.mark.parametrize(
    ("name", "mended", "key"), [("-rf.csv", KIND, "other.csv"), ("below/a.csv", BELOW, "below/a.csv")]
)
def test_a_refusal_ends_with_a_rule_that_gives_another_name(
    rig: Rig, live: FaultyStore, name: str, mended: str, key: str
) -> None:
    rig.new("a.csv", b"one")
    rig.settle()
    path = rig.new(name, b"two")
    rig.finish()
    assert rig.states(path) == {"live": State.REFUSED}
    rig.file(rig.path("a.csv")).unlink()
    configured(rig, mended)
    rig.finish()
    assert sorted(row.state for row in rig.rows(path)) == [State.PROVEN, State.SKIPPED]
    assert copies(live)[f"alice/one/{key}"] == b"two"


def test_a_key_that_somebody_else_gives_free_is_found_free_within_a_day(rig: Rig, live: FaultyStore) -> None:
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies[rig.key("a.csv")] = b"foreign"
    path = rig.new("a.csv", b"one")
    rig.finish()
    assert rig.states(path) == {"live": State.REFUSED}
    rig.pass_time(REFUSED_SECONDS + 1)
    rig.settle()
    assert [rig.states(path), len(live.tried)] == [{"live": State.REFUSED}, 2], "one try a day"
    del live.inner.copies[rig.key("a.csv")]
    rig.pass_time(REFUSED_SECONDS + 1)
    rig.settle()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_a_file_whose_put_was_refused_holds_the_key_against_nobody(rig: Rig, live: FaultyStore) -> None:
    """It never had it: what somebody else put there is gone, and so is the file."""
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies[rig.key("a.csv")] = b"foreign"
    first = rig.new("a.csv", b"one")
    rig.settle()
    assert rig.states(first) == {"live": State.REFUSED}
    rig.file(first).unlink()
    del live.inner.copies[rig.key("a.csv")]
    second = rig.new("below/a.csv", b"two")
    rig.finish()
    assert (rig.states(first), rig.states(second)) == ({"live": State.GONE}, {"live": State.PROVEN})


def test_what_was_to_go_to_a_store_that_is_configured_no_more_is_given_up(
    rig: Rig, live: FaultyStore
) -> None:
    refused, retried = rig.new("a.csv", b"one"), rig.new("b.csv", b"two")
    linked(rig, refused)
    live.always = before(StoreError)
    rig.settle()
    assert (rig.states(refused), rig.states(retried)) == ({"live": State.REFUSED}, {"live": State.RETRYING})
    rig.crash()
    rig.stores = {"new": FaultyStore(MemoryStore("new"))}
    rig.open()
    rig.mirror.begin()
    rig.finish()
    assert rig.states(refused) == {"live": State.SKIPPED, "new": State.REFUSED}
    assert rig.states(retried) == {"live": State.SKIPPED, "new": State.PROVEN}


# --- crashes ---


ALL_ZIP = '[[policy]]\nname = "all"\nmatch = ["*.zip"]\n'


@pytest.mark.parametrize("end", ["complete", "deleted"])
def test_what_a_crash_interrupted_is_tried_again_and_says_what_it_waits_for(
    rig: Rig, live: FaultyStore, end: str
) -> None:
    configured(rig, ALL_ZIP)
    path = rig.new("a.zip", EMPTY_ZIP)
    live.gate.shut()
    rig.scan()
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    live.gate.open()
    rig.write(path, b"half of it")
    rig.again()
    assert [(row.state, row.reason) for row in rig.rows()] == [(State.RETRYING, "interrupted")]
    rig.finish()
    (row,) = rig.rows()
    why = "interrupted; now: a zip without its end: cut short, or still being written"
    assert (row.state, row.reason, row.failures) == (State.RETRYING, why, 0)
    assert rig.events() == ["Started", "Postponed", "Postponed"], "once each, however often it is looked at"
    if end == "complete":
        rig.write(path, EMPTY_ZIP)
    else:
        rig.file(path).unlink()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN if end == "complete" else State.GONE}


EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


# --- versions ---


@pytest.fixture
def both(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    rig = Rig(tmp_path, {"live": live}, keys='on_change = "keep_both"')
    yield rig
    rig.crash()


@pytest.mark.parametrize("trouble", ["a link", "unreadable"])
def test_a_moment_of_trouble_between_two_versions_leaves_both_proven(
    both: Rig, live: FaultyStore, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = both.new("a.csv", b"one")
    both.settle()
    both.write(path, b"two")
    if trouble == "a link":
        other = linked(both, path)
        both.settle()
        other.unlink()
    else:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", unreadable)
            both.settle()
        assert both.states(path) == {"live": State.RETRYING}
    both.finish()
    assert sorted(copies(live).values()) == [b"one", b"two"]
    assert [row.state for row in both.rows(path)] == [State.PROVEN] * 2
    assert "Vanished" not in both.events(path), "no copy is gone"


def unreadable(_fd: int, _size: int, _offset: int) -> bytes:
    """What a disk says that is about to die."""
    raise OSError(5, "Input/output error")


def test_after_a_lost_ledger_a_version_is_known_by_the_name_of_its_digest(
    both: Rig, live: FaultyStore
) -> None:
    assert isinstance(live.inner, MemoryStore)
    key = Key("alice/one/a.csv")
    there = {key: b"one", beside(key, digest("two")): b"two"}
    live.inner.copies.update(there)
    path = both.new("a.csv", b"two")
    both.finish()
    assert sorted((row.key, row.state) for row in both.rows(path)) == [
        (beside(key, digest("two")).text, State.PROVEN),
        (key.text, State.SKIPPED),
    ]
    assert live.inner.copies == there, "nothing was written"
    both.write(path, b"three")
    both.finish()
    assert live.inner.copies == there | {beside(key, digest("three")): b"three"}


def test_what_no_ledger_ever_wrote_is_a_conflict_where_versions_are_kept_too(
    both: Rig, live: FaultyStore
) -> None:
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies[Key("alice/one/a.csv")] = b"foreign"
    path = both.new("a.csv", b"two")
    both.finish()
    assert both.states(path) == {"live": State.REFUSED}
    assert copies(live) == {"alice/one/a.csv": b"foreign"}


def test_a_version_that_waits_for_its_try_is_forgotten_when_the_old_bytes_are_back(
    both: Rig, live: FaultyStore
) -> None:
    path = both.new("a.csv", b"one")
    both.settle()
    both.write(path, b"two")
    live.scripted += [before(StoreError)] * 2
    both.settle()
    both.write(path, b"one")
    both.finish()
    assert sorted(row.state for row in both.rows(path)) == [State.GONE, State.PROVEN]


# --- losses ---


@pytest.mark.parametrize("trouble", ["unreadable", "a link", "asked for again"])
def test_a_copy_that_was_lost_is_lost_when_its_file_goes_whatever_came_between(
    rig: Rig, live: FaultyStore, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.verified()
    assert rig.states(path) == {"live": State.PROVEN}
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies.clear()
    rig.verified()
    assert rig.states(path) == {"live": State.LOST}
    live.always = before(StoreError)
    with monkeypatch.context() as patch:
        match trouble:
            case "unreadable":
                patch.setattr(os, "pread", unreadable)
                rig.write(path, b"two")
            case "a link":
                linked(rig, rig.write(path, b"two"))
            case _:
                rig.replay(rig.rows(path))
        rig.settle()
    state = rig.states(path)["live"]
    assert state is (State.REFUSED if trouble == "a link" else State.RETRYING)
    rig.file(path).unlink()
    rig.finish()
    (row,) = rig.rows(path)
    assert (row.state, rig.events(path)[-1]) == (State.LOST, "Lost")
    assert row.reason.endswith("nothing is to mend that: deleted before it was exported")


@pytest.mark.parametrize("on_change", ["refuse", "keep_both"])
def test_a_loss_shows_while_a_newer_version_is_refused(
    tmp_path: Path, live: FaultyStore, on_change: str
) -> None:
    rig = Rig(tmp_path, {"live": live}, keys=f'on_change = "{on_change}"')
    path = rig.new("n" * 251 + ".csv", b"one")  # no digest fits into another version's name
    rig.settle()
    rig.write(path, b"two")
    rig.finish()
    assert rig.states(path) == {"live": State.KEPT}
    assert isinstance(live.inner, MemoryStore)
    live.inner.copies.clear()
    rig.verified()
    assert (rig.states(path), rig.events(path)[-1]) == ({"live": State.LOST}, "Lost")
    rig.crash()


# --- by hand ---


def test_a_mistaken_export_by_hand_is_answered_and_on_record_and_no_work_any_more(
    rig: Rig, live: FaultyStore
) -> None:
    rig.new("a.csv", b"one")
    path = rig.new("notes.txt", b"two")
    rig.settle()
    answers: list[dict[str, object]] = []
    rig.by_hand.ask(path, "a.csv", Principal("tester", 1000), lambda answer: answers.append(dict(answer)))
    rig.finish()
    assert [(answer["ok"], answer["final"]) for answer in answers] == [(False, True)]
    assert str(answers[0]["reason"]).startswith("alice/one/a.csv already holds another file")
    assert str(answers[0]["reason"]).endswith("Give it another name with --as")
    assert rig.events(path) == ["Refused", "Skipped"]
    assert rig.states(path) == {"live": State.SKIPPED}
    assert rig.rows(path)[0].reason.startswith("asked for by hand, and refused: alice/one/a.csv already")
    rig.replay([row for row in rig.rows() if row.state is State.REFUSED])
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
