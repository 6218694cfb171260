"""The whole mirror on a real directory and a real ledger; only the stores and the clock are ours."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd import mirror as mirrors
from artifactd.lifecycle import Refused, Skipped, State, Vanished
from artifactd.stores.base import Conflict, Corrupt, Denied, StoreError, Unavailable
from artifactd.stores.memory import MemoryStore
from tests.faults import Fault, FaultyStore, after, before, flipped
from tests.rig import ALL_CSV, Rig

LARGE = b"0123456789abcdef" * (20 << 10)
"""More than the reader keeps in memory."""


@pytest.fixture
def live() -> FaultyStore:
    return FaultyStore(MemoryStore("live"))


@pytest.fixture
def shaky() -> FaultyStore:
    return FaultyStore(MemoryStore("shaky"))


@pytest.fixture
def rig(tmp_path: Path, live: FaultyStore) -> Iterator[Rig]:
    yield from a_rig(tmp_path, live)


@pytest.fixture
def pair(tmp_path: Path, live: FaultyStore, shaky: FaultyStore) -> Iterator[Rig]:
    yield from a_rig(tmp_path, live, shaky)


def a_rig(base: Path, *stores: FaultyStore) -> Iterator[Rig]:
    rig = Rig(base, {store.name: store for store in stores})
    yield rig
    for store in stores:
        store.gate.open()
    rig.crash()


def copies(store: FaultyStore) -> dict[str, bytes]:
    assert isinstance(store.inner, MemoryStore)
    return {key.text: content for key, content in store.inner.copies.items()}


# --- what is exported, and when -----------------------------------------------------------------------------------


def test_a_file_that_stays_put_is_exported_once_and_costs_nothing_afterwards(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    head = rig.ledger.head()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.events(path) == ["Started", "Proven"]
    assert (len(live.tried), rig.ledger.head()) == (1, head)


def test_nothing_is_exported_within_the_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    rig.mirror.rescan("test")
    rig.work()
    rig.pass_time(1.0)
    assert not live.tried
    rig.pass_time(1.5)
    assert live.tried


def test_a_file_that_is_held_open_for_writing_is_waited_for_and_shown(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    with rig.file(path).open("ab"):
        rig.finish()
        assert not live.tried
        assert [one.reason for one in rig.mirror.waiting()] == ["open for writing"]
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}


def test_a_change_while_it_is_being_uploaded_is_exported_afterwards(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.write(path, b"another")
    rig.mirror.touched({path: True})
    live.gate.open()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"another"}
    assert [key.text for key, _ in live.tried] == ["alice/one/a.csv"] * 2


def test_a_large_file_that_changes_under_the_upload_is_never_published_as_a_mixture(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", LARGE)
    live.gate.shut()
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    with rig.file(path).open("r+b") as file:
        file.write(b"changed")
    live.gate.open()
    rig.work()
    assert copies(live) == {}
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"changed" + LARGE[7:]}


def test_a_file_deleted_and_made_again_during_its_upload_ends_with_its_last_bytes(
    rig: Rig, live: FaultyStore
) -> None:
    """Two puts of one key at the same time could end with the older bytes and a record of the newer."""
    path = rig.new("a.csv", b"first")
    rig.settle()
    rig.write(path, b"second")
    live.gate.shut()
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.write(path, b"first")
    rig.mirror.touched({path: True})
    rig.time.advance(3.0)
    for _ in range(20):
        rig.mirror.turn(0.01)
    assert live.gate.waiting == 1, "one key, one put at a time"
    live.gate.open()
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"first"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_a_file_that_vanishes_during_its_upload_is_on_record_as_exported_only(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    live.gate.open()
    rig.finish()
    assert rig.events(path) == ["Started", "Proven"]
    assert copies(live) == {"alice/one/a.csv": b"one"}


def test_a_touch_without_a_change_is_one_event_and_no_put(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    os.utime(rig.file(path), (1, 1))
    rig.finish()
    assert rig.events(path) == ["Started", "Proven", "Unchanged"]
    assert len(live.tried) == 1


def test_a_change_that_dates_back_is_a_change(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.write(path, b"two")
    os.utime(rig.file(path), (1, 1))
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"two"}


def test_deletion_at_the_source_leaves_the_copy_and_the_record(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    rig.settle()
    rig.file(path).unlink()
    rig.mirror.touched({path: False})
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.states(path) == {"live": State.PROVEN}


def test_what_is_gone_before_it_was_exported_is_told(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    rig.file(path).unlink()
    live.always = None
    rig.finish()
    assert rig.states(path) == {"live": State.GONE}
    assert isinstance(rig.recorded[-1].event, Vanished)


@pytest.mark.parametrize("how", ["unreadable", "replaced by a file", "moved away"])
def test_a_data_directory_that_cannot_be_seen_is_not_everything_deleted(
    rig: Rig, live: FaultyStore, how: str
) -> None:
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.settle()
    away = rig.data.with_name("away")
    rig.data.rename(away)
    if how == "replaced by a file":
        rig.data.write_bytes(b"")
    elif how == "unreadable":
        rig.data.symlink_to("loop")
        rig.data.with_name("loop").symlink_to("data")
    live.always = None
    rig.finish()
    assert rig.states(path) == {"live": State.RETRYING}
    rig.data.unlink(missing_ok=True)
    away.rename(rig.data)
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}


# --- stores that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable, Denied])
def test_a_dead_store_delays_nothing_in_another_and_is_told_once(
    pair: Rig, live: FaultyStore, shaky: FaultyStore, error: type[StoreError]
) -> None:
    shaky.always = before(error)
    for number in range(300):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.settle()
    assert len(copies(live)) == 300
    assert [line["store"] for line in pair.told("store.unavailable")] == ["shaky"]
    shaky.always = None
    pair.finish()
    assert copies(shaky) == copies(live)
    assert [line["store"] for line in pair.told("store.recovered")] == ["shaky"]
    assert set(pair.written().values()) == {1}


def test_a_store_that_is_out_is_tried_with_one_artifact_at_a_time(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    shaky.always = before(Unavailable)
    for number in range(50):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.settle()
    for _ in range(20):
        before_this, shaky.at_once = len(shaky.tried), 0
        pair.pass_time(601.0)
        pair.settle()
        assert len(shaky.tried) <= before_this + 2, "a probe, and perhaps one after its pause"
        assert shaky.at_once <= 1
    assert len(pair.told("store.unavailable")) == 1


def test_the_pauses_between_probes_grow_to_the_cap(rig: Rig, live: FaultyStore) -> None:
    live.always = before(Unavailable)
    rig.new("a.csv", b"one")
    rig.settle()
    for _ in range(3600):
        rig.pass_time(1.0)
    assert 8 <= len(live.tried) <= 22, "1, 2, 4 … 512 seconds, then every 300 to 600"


def test_a_hanging_store_delays_nothing_in_another(pair: Rig, live: FaultyStore, shaky: FaultyStore) -> None:
    shaky.gate.shut()
    first = pair.new("first.csv", b"first")
    pair.mirror.rescan("test")
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: pair.states(first) == {"live": State.PROVEN, "shaky": State.UPLOADING})
    second = pair.new("second.csv", b"second")
    pair.mirror.touched({second: True})
    pair.time.advance(3.0)
    pair.until(lambda: pair.states(second) == {"live": State.PROVEN, "shaky": State.UPLOADING})
    shaky.gate.open()
    pair.finish()
    assert (
        copies(shaky) == copies(live) == {"alice/one/first.csv": b"first", "alice/one/second.csv": b"second"}
    )


def test_more_than_fits_into_a_hanging_store_is_exported_elsewhere_and_found_when_it_answers(
    pair: Rig, live: FaultyStore, shaky: FaultyStore
) -> None:
    shaky.gate.shut()
    for number in range(1200):
        pair.new(f"{number}.csv", b"%d" % number)
    pair.mirror.rescan("test")
    pair.mirror.turn(0.0)
    pair.time.advance(3.0)
    pair.until(lambda: len(copies(live)) == 1200)
    assert pair.mirror.pipeline.lanes["shaky"].under_way <= 512 + 128
    shaky.gate.open()
    pair.finish()
    assert copies(shaky) == copies(live)
    assert set(pair.written().values()) == {1}


def test_files_that_were_passed_over_during_an_outage_are_no_reason_to_doubt_the_watcher(
    rig: Rig, live: FaultyStore
) -> None:
    rig.mirror.watching_since = rig.clock.now() - 1.0
    live.always = before(Unavailable)
    first = rig.new("first.csv", b"first")
    rig.mirror.touched({first: True})
    rig.pass_time(3.0)
    second = rig.new("second.csv", b"second")
    rig.mirror.touched({second: True})
    rig.pass_time(0.1)
    live.always = None
    rig.finish()
    assert len(copies(live)) == 2
    assert rig.told("watch.missed") == []


@pytest.mark.parametrize(
    "fault", [before(StoreError), after(StoreError), after(Corrupt), after(Unavailable), flipped]
)
def test_a_put_that_failed_or_whose_answer_was_lost_is_proven_by_a_later_one(
    rig: Rig, live: FaultyStore, fault: Fault
) -> None:
    path = rig.new("a.csv", LARGE)
    live.scripted.extend([fault] * 3)
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": LARGE}
    assert rig.states(path) == {"live": State.PROVEN}
    assert len(live.tried) == 4


def test_a_new_version_follows_one_whose_answer_was_lost(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("a.csv", b"one")
    live.scripted.append(after(StoreError))
    rig.settle()
    rig.write(path, b"two")
    rig.finish()
    assert copies(live) == {"alice/one/a.csv": b"two"}


def test_tries_that_are_used_up_end_with_a_person(tmp_path: Path, live: FaultyStore) -> None:
    rig = Rig(tmp_path, {"live": live}, tables="[retry]\ngive_up_after = 3")
    path = rig.new("a.csv", b"one")
    live.always = before(StoreError)
    rig.finish()
    assert rig.states(path) == {"live": State.REFUSED}
    assert rig.rows(path)[0].reason.startswith("given up after 3 tries: ")
    live.always = None
    rig.replay(rig.rows(path))
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    rig.crash()


# --- keys that are taken ------------------------------------------------------------------------------------------


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
        "alice/one/a.csv already holds another file, b'a.csv'. "
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


@pytest.mark.parametrize(
    ("on_change", "expected", "state"),
    [
        ("replace", [b"two"], State.PROVEN),
        ("keep_both", [b"one", b"two"], State.PROVEN),
        ("refuse", [b"one"], State.REFUSED),
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


# --- the policy ---------------------------------------------------------------------------------------------------

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
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
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
    assert [one.event for one in rig.recorded if one.row.artifact.path == path] == [
        Skipped("rule 'none' ignores it", rig.rows(path)[0].identity)  # type: ignore[arg-type] - it has one
    ]
    assert rig.rows(other) == []


def test_a_name_that_makes_no_key_is_refused_with_its_reason(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("-rf.csv", b"one")
    rig.finish()
    (row,) = rig.rows(path)
    assert (row.state, row.key) == (State.REFUSED, "")
    assert "starts with a dash" in row.reason
    assert isinstance(rig.recorded[-1].event, Refused)


# --- by hand ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
def test_a_copy_asked_for_by_hand_is_tried_until_it_is_proven(
    rig: Rig, live: FaultyStore, crash: bool
) -> None:  # noqa: FBT001 - pytest passes it by name
    path = rig.new("notes.txt", b"by hand")
    live.scripted.extend([before(StoreError)] * 2)
    answers: list[object] = []
    rig.by_hand.ask(path, "renamed.txt", "tester", answers.append)
    rig.pass_time(3.0)
    assert rig.states(path) == {"live": State.RETRYING}
    if crash:
        rig.again()
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert copies(live) == {"alice/one/renamed.txt": b"by hand"}


def test_a_rule_that_ignores_ends_an_unfinished_copy_by_hand_too(rig: Rig, live: FaultyStore) -> None:
    path = rig.new("notes.txt", b"by hand")
    live.always = before(StoreError)
    rig.by_hand.ask(path, None, "tester", lambda _answer: None)
    rig.pass_time(3.0)
    rig.crash()
    rig.configure('[[policy]]\nname = "secret"\naction = "ignore"\nmatch = ["*.txt"]\n' + ALL_CSV)
    live.always = None
    rig.open()
    rig.mirror.begin()
    rig.finish()
    assert rig.states(path) == {"live": State.SKIPPED}
    assert copies(live) == {}


# --- hints, scans, bounds -----------------------------------------------------------------------------------------


def test_new_files_that_no_event_told_of_are_counted_and_lead_to_a_doubt(rig: Rig) -> None:
    counts: list[int] = []
    rig.mirror.on_missed = counts.append
    rig.mirror.watching_since = rig.clock.now() - 1.0
    rig.new("told.csv", b"one")
    rig.mirror.touched({rig.path("told.csv"): True})
    rig.new("untold.csv", b"two")
    rig.time.advance(3.0)
    rig.mirror.rescan("timer")
    rig.work()
    assert counts == [1]
    assert [line["count"] for line in rig.told("watch.missed")] == [1]


def test_a_hint_from_driverless_ai_ends_the_quiet_period(rig: Rig, live: FaultyStore) -> None:
    rig.new("a.csv", b"one")
    assert rig.mirror.appeared(b"alice/h2oai_experiment_one", hinted=True) == 1
    rig.work()
    assert copies(live) == {"alice/one/a.csv": b"one"}
    assert rig.rows()[0].evidence == "hinted+no_writer"


def test_what_is_waited_for_at_once_is_bounded_and_nothing_is_lost_by_it(
    tmp_path: Path, live: FaultyStore
) -> None:
    rig = Rig(tmp_path, {"live": live})
    folder = rig.data / "alice/h2oai_experiment_one"
    folder.mkdir(parents=True)
    paths = [rig.path(f"{number}.csv") for number in range(mirrors._WAITED_FOR + 2500)]  # noqa: SLF001 - the bound is what is tested
    for path in paths:
        rig.file(path).touch()
    rig.mirror.rescan("test")
    for _ in range(30):
        rig.mirror.turn(0.0)
    rig.mirror.touched(dict.fromkeys(paths, True))
    rig.mirror.appeared(b"alice")
    assert len(rig.mirror.settler) < mirrors._WAITED_FOR + 1000  # noqa: SLF001 - as above
    rig.pass_time(3.0)
    rig.settle()
    assert len(copies(live)) == len(paths)
    rig.crash()


def test_hints_alone_cannot_break_the_bound(rig: Rig) -> None:
    paths = [rig.path(f"{number}.csv") for number in range(mirrors._WAITED_FOR + 2500)]  # noqa: SLF001 - as above
    rig.new("0.csv", b"")
    for path in paths:
        rig.file(path).touch()
    rig.mirror.touched(dict.fromkeys(paths, False))
    assert len(rig.mirror.settler) < mirrors._WAITED_FOR + 1000  # noqa: SLF001 - as above


def test_an_upload_that_a_crash_interrupted_is_repeated_before_anything_is_scanned(
    rig: Rig, live: FaultyStore
) -> None:
    path = rig.new("a.csv", b"one")
    live.gate.shut()
    rig.mirror.rescan("test")
    rig.mirror.turn(0.0)
    rig.time.advance(3.0)
    rig.until(lambda: live.gate.waiting == 1)
    live.gate.open()
    rig.again()
    assert path in rig.mirror.settler
    rig.finish()
    assert rig.states(path) == {"live": State.PROVEN}
    assert rig.recorded[-1].event.written is False  # type: ignore[union-attr] - a Proven, as the state says


def test_a_conflict_blocks_nothing_else(rig: Rig, live: FaultyStore) -> None:
    live.scripted.append(before(Conflict))
    paths = [rig.new(f"{number}.csv", b"%d" % number) for number in range(3)]
    rig.finish()
    assert sorted(state for path in paths for state in rig.states(path).values()) == [
        State.PROVEN,
        State.PROVEN,
        State.REFUSED,
    ]
