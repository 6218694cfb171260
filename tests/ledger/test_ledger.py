"""What the ledger keeps and gives back. What disks and deaths do to it: test_ledger_faults."""

import hashlib
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from artifactd.artifact import Artifact, Kind
from artifactd.decisions.lifecycle import (
    Ceded,
    Change,
    Confirmed,
    Event,
    Failed,
    ImpossibleStep,
    Lost,
    Refused,
    Replayed,
    Row,
    Skipped,
    State,
    Unchanged,
    step,
)
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import breaks
from artifactd.ledger.schema import FILE, MIGRATIONS, Damaged, Missing, Newer, Unwritable
from artifactd.ledger.statements import Listing, Order
from tests.support.copies import CONTEXT as CONTEXT_OF_MANY
from tests.support.copies import export
from tests.support.rows import D1, D2, a_row, an_artifact, digest, identity, proven, started

CONTEXT = {"version": "1", "host": "h"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path, CONTEXT)
    yield opened
    opened.close()


def record(ledger: Ledger, row: Row, *events: Event, at: float = 10.0) -> Row:
    """The row after these events, each committed alone."""
    for event in events:
        (recorded,) = ledger.record([Change(row, event)], at)
        row = recorded.row
    return row


def stored(ledger: Ledger, row: Row) -> Row:
    """What the ledger has of the copy."""
    rows = ledger.of_sources([row.artifact.path])[row.artifact.path]
    return next(one for one in rows if (one.store, one.key) == (row.store, row.key))


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


# --- recording ---


def test_a_change_is_the_row_and_its_entry(ledger: Ledger) -> None:
    (recorded,) = ledger.record([Change(a_row(), started())], 10.0)
    assert recorded.row == replace(step(a_row(), started()), changed_at=10.0)
    assert stored(ledger, a_row()) == recorded.row
    assert [entry.line for entry in ledger.entries()] == [recorded.entry.line]
    fields = recorded.entry.fields
    assert (fields["action"], fields["version"], fields["host"]) == ("artifact.started", "1", "h")


def test_what_was_recorded_is_there_when_it_is_opened_again(tmp_path: Path, ledger: Ledger) -> None:
    row = record(ledger, a_row(), started(), proven())
    head = ledger.head()
    ledger.close()
    again = Ledger.open(tmp_path)
    assert stored(again, row) == row
    assert again.head() == head
    again.close()


def test_several_changes_of_one_copy_are_applied_in_order(ledger: Ledger) -> None:
    row = a_row()
    recorded = ledger.record(
        [Change(row, started(D1)), Change(row, proven()), Change(row, Lost("gone"))], 10.0
    )
    assert [one.row.state for one in recorded] == [State.UPLOADING, State.PROVEN, State.LOST]
    assert stored(ledger, row) == recorded[-1].row


def test_one_impossible_step_rolls_all_of_its_batch_back(ledger: Ledger) -> None:
    record(ledger, a_row(), started())
    before = (list(ledger.rows()), list(ledger.entries()))
    with pytest.raises(ImpossibleStep):
        ledger.record([Change(a_row(1), started()), Change(a_row(2), Confirmed())], 20.0)
    assert (list(ledger.rows()), list(ledger.entries())) == before
    record(ledger, a_row(1), started())


def test_a_note_is_an_entry_of_the_chain(ledger: Ledger) -> None:
    record(ledger, a_row(), started())
    entry = ledger.note(11.0, {"action": "copies.verified", "outcome": "success"})
    assert entry.fields["version"] == "1"
    assert ledger.head().hash == entry.hash
    assert list(breaks(ledger.entries())) == []


def test_nothing_is_committed_for_no_change(ledger: Ledger) -> None:
    assert ledger.record([], 10.0) == []
    assert ledger.head().seq == 0


def test_names_that_are_no_text_are_storable(ledger: Ledger) -> None:
    path = b"\xff\xfe/h2oai_experiment_\x80/\xf0.csv"
    odd = Artifact(path, "\udcff\udcfe", "\udc80", b"\xf0.csv", Kind.OTHER)
    row = Row("file_system", odd, "", "", "rule", identity=identity(2**63))
    record(ledger, row, Refused("no key can be made of '\udcff'", identity(5)))
    found = stored(ledger, row)
    assert (found.artifact.path, found.artifact.inside, found.artifact.user) == (
        path,
        b"\xf0.csv",
        "\\xff\\xfe",
    )
    assert [row.artifact.path for row in ledger.rows(user="\\xff\\xfe")] == [path]


# --- two who know different things of one copy ---


def test_no_digest_that_may_be_in_the_store_is_forgotten(ledger: Ledger) -> None:
    outdated = record(ledger, a_row(), started(D1), proven(), Lost("missing"))
    record(ledger, outdated, started(D2))
    row = record(ledger, outdated, started(digest("three")))
    assert set(row.ours) == {D1, D2, digest("three")}
    assert stored(ledger, row) == row


def test_what_the_store_proved_holds_whatever_was_written_meanwhile(ledger: Ledger) -> None:
    uploading = record(ledger, a_row(), started(D1))
    record(ledger, uploading, Skipped("rule", identity()))
    assert record(ledger, uploading, proven()).state is State.PROVEN


@pytest.mark.parametrize("event", [Lost("missing"), Replayed(5.0, "bob"), Confirmed(), Ceded("renamed")])
def test_who_comes_too_late_from_another_process_changes_nothing(ledger: Ledger, event: Event) -> None:
    row = record(ledger, a_row(), started(D1), proven())
    read = record(ledger, row, Lost("missing"))
    now = record(ledger, read, started(D1), proven(), at=11.0)
    head = ledger.head()
    assert ledger.record([Change(read, event)], 12.0) == []
    assert stored(ledger, row) == now
    assert ledger.head() == head


def test_who_comes_in_time_from_another_process_is_heard(ledger: Ledger) -> None:
    row = record(ledger, a_row(), started(D1), proven(), Lost("missing"))
    assert record(ledger, row, Replayed(5.0, "bob")).state is State.RETRYING


# --- asking ---


def test_rows_are_found_by_path_however_many(ledger: Ledger) -> None:
    ledger.record([Change(a_row(number), started()) for number in range(1200)], 10.0)
    paths = [an_artifact(number).path for number in range(1300)]
    found = ledger.of_sources(paths)
    assert len(found) == 1200
    assert [row.key for row in found[paths[7]]] == ["alice/e7/mojo.zip"]
    assert ledger.of_sources([]) == {}


def test_rows_are_chosen_by_user_experiment_state_and_store(ledger: Ledger) -> None:
    mine = record(ledger, a_row(0), started())
    bob = replace(a_row(1), artifact=replace(an_artifact(1), user="bob"), store="s3")
    bobs = record(ledger, bob, Refused("no", identity()))
    assert list(ledger.rows()) == [mine, bobs]
    assert list(ledger.rows(user="bob")) == [bobs]
    assert list(ledger.rows(experiment_id="e0")) == [mine]
    assert list(ledger.rows(states=[State.UPLOADING, State.GONE])) == [mine]
    assert list(ledger.rows(states=[])) == []
    assert list(ledger.rows(store="s3", user="bob", states=[State.REFUSED])) == [bobs]
    assert ledger.count() == {State.UPLOADING: 1, State.REFUSED: 1}


@pytest.mark.parametrize(
    ("listing", "numbers"),
    [
        (Listing(), [0, 1, 2]),
        (Listing(order=Order.TIME), [1, 2, 0]),
        (Listing(order=Order.TIME, limit=2), [1, 2]),
        (Listing(order=Order.SIZE), [2, 0, 1]),
        (Listing(order=Order.STATE), [1, 2, 0]),
        (Listing(order=Order.NAME, states={State.REFUSED}), [1]),
        (Listing(kinds=[Kind.LOGS]), [1]),
        (Listing(kinds=[Kind.MOJO_PIPELINE], since=11.0), [2]),
        (Listing(rule="other"), [2]),
        (Listing(since=11.0, until=12.0), [2]),
        (Listing(until=10.0), []),
        (Listing(kinds=[]), []),
        (Listing(states=[]), []),
    ],
)
def test_rows_are_listed_in_any_order_by_what_is_known_of_them(
    ledger: Ledger, listing: Listing, numbers: list[int]
) -> None:
    logs = replace(an_artifact(1), kind=Kind.LOGS)
    begun, refused = replace(started(), size=1000), Refused("no", identity())
    ledger.record([Change(a_row(0), started())], 10.0)
    ledger.record([Change(replace(a_row(1), artifact=logs), refused)], 12.0)
    ledger.record([Change(replace(a_row(2), rule="other"), begun)], 11.0)
    artifacts = (an_artifact(0), logs, an_artifact(2))
    assert [row.artifact for row in ledger.listed(listing)] == [artifacts[number] for number in numbers]


def test_due_are_the_oldest_whose_time_has_come_at_the_stores_that_are_asked(ledger: Ledger) -> None:
    for number, at in enumerate((30.0, 10.0, 20.0, 40.0)):
        record(ledger, a_row(number), Failed("disk", at))
    record(ledger, replace(a_row(4), store="s3"), Failed("disk", 1.0))
    record(ledger, a_row(5), started())

    def due(now: float, *stores: str, limit: int = 9, skip: int = 0) -> list[str]:
        return [row.artifact.experiment_id for row in ledger.due(now, stores, limit, skip)]

    assert due(30.0, "file_system") == ["e1", "e2", "e0"]
    assert due(30.0, "file_system", limit=2) == ["e1", "e2"]
    assert due(30.0, "file_system", limit=2, skip=1) == ["e2", "e0"]
    assert due(30.0, "file_system", "s3") == ["e4", "e1", "e2", "e0"]
    assert due(9.0, "file_system") == due(99.0) == []


def test_a_try_that_is_to_come_later_than_any_is_due_because_the_clock_was_ahead(ledger: Ledger) -> None:
    for number, at in enumerate((5.0, 615.0, 615.5, 1e9)):
        record(ledger, a_row(number), Failed("disk", at))
    found = ledger.due(15.0, ["file_system"], 9, longest=600.0)
    assert [row.artifact.experiment_id for row in found] == ["e0", "e2", "e3"]
    assert [row.retry_at for row in ledger.due(15.0, ["file_system"], 2, longest=600.0)] == [5.0, 615.5]


def test_a_key_is_claimed_by_the_files_that_may_have_bytes_there(ledger: Ledger) -> None:
    key, store = "alice/e0/mojo.zip", "file_system"
    other = replace(a_row(1), key=key)
    row = record(ledger, other, Refused("no", identity()))
    assert ledger.of_keys(store, [key]) == {key: [row]}
    row = record(ledger, row, started())
    assert ledger.of_keys(store, ["alice/e1/mojo.zip", key]) == {key: [row]}
    assert ledger.of_keys("s3", [key]) == {}
    assert ledger.of_keys(store, ["alice/e1/mojo.zip"]) == {}


def test_a_store_is_used_once_a_copy_was_proven_there(ledger: Ledger) -> None:
    row = record(ledger, a_row(), started())
    assert not ledger.used("file_system")
    record(ledger, row, proven())
    assert ledger.used("file_system")
    assert not ledger.used("s3")
    assert ledger.knows("file_system", row.key)
    assert not ledger.knows("s3", row.key)


def test_a_store_is_used_once_an_anchor_lies_there(ledger: Ledger) -> None:
    """Else a share that is not mounted after the first day would be taken for one that was never used."""
    ledger.note(1.0, {"action": "audit.anchored", "outcome": "success", "store": "file_system"})
    assert ledger.used("file_system")
    assert not ledger.used("s3")
    assert ledger.count_by_store() == {}
    record(ledger, a_row(), started(), proven())
    assert ledger.count_by_store() == {("file_system", State.PROVEN): 1}


def test_a_state_disk_without_inodes_is_called_full(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    """SQLite says that it cannot open the file, as it does where rights are missing."""
    state = tmpfs(tmp_path / "small", "1m,nr_inodes=4")
    Ledger.open(state).close()
    for number in range(2):
        (state / str(number)).touch()
    with pytest.raises(Unwritable, match=r"no room: .* its inodes have run out"):
        Ledger.open(state)


def test_the_record_is_given_from_any_number_on(ledger: Ledger) -> None:
    record(ledger, a_row(), started(), proven(), Unchanged(identity(2)))
    assert [entry.seq for entry in ledger.entries(1)] == [2, 3]
    assert next(ledger.entries(3), None) is None
    entries = list(ledger.entries())
    assert all(hashlib.sha256(entry.line.encode()).hexdigest() == entry.hash for entry in entries)


def test_the_questions_of_every_second_look_at_no_more_than_they_find(tmp_path: Path, ledger: Ledger) -> None:
    """Without an index each would walk through a million rows."""
    seen: list[str] = []
    ledger._db.set_trace_callback(seen.append)  # noqa: SLF001 - the plan shows nowhere else
    ledger.due(10.0, ["file_system", "s3"], 5, longest=600.0)
    ledger.of_keys("file_system", ["k", "l"])
    ledger.of_sources([b"a", b"b"])
    ledger.knows("file_system", "k")
    ledger.used("s3")
    list(ledger.rows(states=[State.UPLOADING]))
    list(ledger.standing(State.REFUSED))
    record(ledger, a_row(), started(), proven())
    ledger.head()
    plans = plans_of(tmp_path, seen)
    assert len(plans) > 20
    found = ("SEARCH", "USE TEMP B-TREE", "SCAN entries")  # the last is the end of the record, read backwards
    assert all(plan.startswith(found) for plan in plans), plans
    assert "copies_unproven (state=? AND retry_at<?)" in plans[0]


def test_counting_copies_reads_none(tmp_path: Path, ledger: Ledger) -> None:
    seen: list[str] = []
    ledger._db.set_trace_callback(seen.append)  # noqa: SLF001 - as above
    ledger.count()
    ledger.count_by_store()
    assert not any("copies" in plan for plan in plans_of(tmp_path, seen))


def plans_of(state: Path, queries: list[str]) -> list[str]:
    """How SQLite goes about these."""
    with closing(sqlite3.connect(state / FILE)) as db:
        reads = [query for query in queries if query.startswith(("SELECT", "UPDATE"))]
        return [row[3] for query in reads for row in db.execute(f"EXPLAIN QUERY PLAN {query}")]


def test_the_copies_that_no_next_try_is_due_for_are_all_found_though_some_leave_meanwhile(
    ledger: Ledger,
) -> None:
    rows = [record(ledger, a_row(number), Refused("no", identity())) for number in range(250)]
    record(ledger, a_row(999), started())
    standing = ledger.standing(State.REFUSED)
    found = [next(standing)]
    for row in rows[:100]:
        record(ledger, row, started())
    found += standing
    assert [row.artifact.path for row in found] == [row.artifact.path for row in rows]


@pytest.mark.parametrize("at_once", [1, 64])
def test_a_copy_with_its_entries_takes_at_most_1200_bytes(tmp_path: Path, at_once: int) -> None:
    ledger = Ledger.open(tmp_path, CONTEXT_OF_MANY)
    assert sum(1 for _ in export(ledger, range(1000), at_once)) == 2000
    ledger.close()
    assert (tmp_path / FILE).stat().st_size / 1000 <= 1200


def test_copies_are_counted_as_they_are_written(ledger: Ledger) -> None:
    row = record(ledger, a_row(0), started())
    record(ledger, a_row(1), Refused("no", identity()))
    record(ledger, replace(a_row(2), store="s3"), started(), proven())
    assert ledger.count_by_store() == {
        ("file_system", State.UPLOADING): 1,
        ("file_system", State.REFUSED): 1,
        ("s3", State.PROVEN): 1,
    }
    record(ledger, row, proven(), Lost("gone"))
    ledger.record([Change(a_row(1), started()), Change(a_row(3), Skipped("rule", identity()))], 9.0)
    with pytest.raises(ImpossibleStep):
        ledger.record([Change(a_row(4), started()), Change(a_row(5), Confirmed())], 20.0)
    counted: dict[tuple[str, State], int] = {}
    for one in ledger.rows():
        counted[one.store, one.state] = counted.get((one.store, one.state), 0) + 1
    assert ledger.count_by_store() == counted
    assert ledger.used("file_system"), "it once was"


def test_a_file_whose_owner_changed_is_found_under_the_new_one(ledger: Ledger) -> None:
    row = record(ledger, a_row(), started())
    bobs = replace(row, artifact=replace(row.artifact, user="bob"))
    row = record(ledger, bobs, proven())
    assert list(ledger.rows(user="bob")) == [row]
    assert list(ledger.rows(user="alice")) == []
    assert ledger.of_sources([row.artifact.path]) == {row.artifact.path: [row]}


def test_rows_come_by_user_experiment_and_path(ledger: Ledger) -> None:
    made = []
    for user, experiment, name in product(("bob", "al", "alice"), ("e2", "e10"), ("b", "a", "a/z")):
        path = f"{user}/h2oai_experiment_{experiment}/{name}".encode()
        artifact = Artifact(path, user, experiment, name.encode(), Kind.OTHER)
        key = f"{user}/{experiment}/{name}"
        made.append(record(ledger, Row("s3", artifact, key, key, "all"), started()))
    made.sort(key=lambda row: (row.artifact.user, row.artifact.experiment_id, row.artifact.path))
    assert list(ledger.rows()) == made
    assert list(ledger.rows(states=[State.UPLOADING])) == made


def test_rows_stream_in_little_memory(ledger: Ledger) -> None:
    ledger.record([Change(a_row(number), started()) for number in range(10_000)], 10.0)
    tracemalloc.start()
    assert sum(1 for _ in ledger.rows(store="file_system")) == 10_000
    assert sum(1 for _ in ledger.entries()) == 10_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000, "all of them would take 20 MB"


@pytest.mark.parametrize("read", [Ledger.entries, Ledger.rows], ids=["entries", "rows"])
def test_a_reader_that_stops_on_the_way_does_not_keep_the_log_from_being_taken_up(
    tmp_path: Path, ledger: Ledger, read: Callable[[Ledger], Iterator[object]]
) -> None:
    """`artifactd audit | less`, left open for a day."""
    for _ in export(ledger, range(1000), 20):
        pass
    looking = Ledger.look(tmp_path)
    reader = read(looking)
    next(reader)
    for _ in export(ledger, range(1000, 2000), 20):
        pass
    busy, _, _ = ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # noqa: SLF001 - shows nowhere else
    assert busy == 0
    assert (tmp_path / f"{FILE}-wal").stat().st_size == 0
    assert sum(1 for _ in reader) >= 999
    looking.close()


@pytest.mark.parametrize("read", [Ledger.entries, Ledger.rows], ids=["entries", "rows"])
def test_a_reader_that_began_while_nobody_wrote_reads_on_when_somebody_does(
    tmp_path: Path, read: Callable[[Ledger], Iterator[object]]
) -> None:
    """`artifactd audit`, and a daemon that starts beside it and ends again."""
    first = Ledger.open(tmp_path)
    for _ in export(first, range(2000), 100):
        pass
    first.close()
    looking = Ledger.look(tmp_path)
    reader = read(looking)
    next(reader)
    second = Ledger.open(tmp_path)
    for _ in export(second, range(2000, 6000), 100):
        pass
    second.close()
    assert sum(1 for _ in reader) >= 1999
    looking.close()


def test_who_does_not_hold_the_lock_migrates_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="no such table"):  # the schema is made; this program knows another
        Ledger.open(tmp_path, migrations=MIGRATIONS[:2])
    with pytest.raises(Unwritable, match="older schema 2"):
        Ledger.open(tmp_path, as_it_is=True)
    Ledger.open(tmp_path).close()
    Ledger.open(tmp_path, as_it_is=True).close()


def test_the_record_is_read_across_the_ends_of_pages_and_from_any_number(ledger: Ledger) -> None:
    for _ in export(ledger, range(600), 50):
        pass
    for _ in export(ledger, range(600, 640), 1):
        pass
    entries = list(ledger.entries())
    assert [entry.seq for entry in entries] == list(range(1, 1281))
    assert list(breaks(entries)) == []
    for after in (0, 1, 49, 50, 51, 63, 64, 1199, 1200, 1201, 1279, 1280, 2000):
        assert list(ledger.entries(after)) == entries[after:]


# --- the file ---


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "a/b"
    ledger = Ledger.open(directory)
    record(ledger, a_row(), started())
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        FILE: 0o600,
        f"{FILE}-wal": 0o600,
        f"{FILE}-shm": 0o600,
    }
    assert directory.stat().st_mode & 0o777 == 0o700
    ledger.close()


def test_a_commit_survives_a_power_cut(ledger: Ledger) -> None:
    def pragma(name: str) -> object:
        return ledger._db.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001 - shows nowhere else

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)


@pytest.mark.parametrize("change", ["UPDATE entries SET lines = x'00'", "DELETE FROM entries"])
def test_the_record_is_append_only(tmp_path: Path, ledger: Ledger, change: str) -> None:
    record(ledger, a_row(), started())
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(change)
    other.close()
    assert ledger.head().seq == 1


ADD_COLUMN = (
    "CREATE TABLE more (a TEXT); CREATE TRIGGER t BEFORE DELETE ON more BEGIN SELECT 1; SELECT 2; END;"
)


def test_an_older_schema_is_migrated_and_keeps_what_it_has(tmp_path: Path, ledger: Ledger) -> None:
    row = record(ledger, a_row(), started())
    ledger.close()
    newer = Ledger.open(tmp_path, migrations=(*MIGRATIONS, ADD_COLUMN))
    assert stored(newer, row) == row
    record(newer, row, proven())
    newer.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path, ledger: Ledger) -> None:
    ledger.close()
    Ledger.open(tmp_path, migrations=(*MIGRATIONS, ADD_COLUMN)).close()
    before = contents(tmp_path)
    for opening in (Ledger.open, Ledger.look):
        known = len(MIGRATIONS)
        with pytest.raises(Newer, match=f"has schema {known + 1}, this artifactd knows {known}"):
            opening(tmp_path)
    assert contents(tmp_path) == before


def test_a_migration_that_fails_leaves_the_older_schema(tmp_path: Path, ledger: Ledger) -> None:
    record(ledger, a_row(), started())
    ledger.close()
    with pytest.raises(Unwritable, match="no such table"):
        Ledger.open(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE more (a TEXT); DROP TABLE nowhere;"))
    again = Ledger.open(tmp_path)
    assert again.head().seq == 1
    again.close()


def test_a_first_start_that_dies_half_way_leaves_no_ledger_that_is_half_made(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="no such table"):
        Ledger.open(tmp_path, migrations=(*MIGRATIONS[:2], "DROP TABLE nowhere;"))
    with pytest.raises(Missing, match="there is no ledger"):
        Ledger.look(tmp_path)


# --- looking ---


def test_a_look_writes_nothing(tmp_path: Path, ledger: Ledger) -> None:
    row = record(ledger, a_row(), started())
    ledger.close()
    before = (contents(tmp_path), tmp_path.stat().st_mtime_ns)
    looking = Ledger.look(tmp_path)
    assert list(looking.rows()) == [row]
    with pytest.raises(Unwritable, match="readonly"):
        record(looking, row, proven())
    looking.close()
    assert (contents(tmp_path), tmp_path.stat().st_mtime_ns) == before


def test_a_look_sees_what_a_writer_at_work_has_committed(tmp_path: Path, ledger: Ledger) -> None:
    row = record(ledger, a_row(), started())
    looking = Ledger.look(tmp_path)
    assert list(looking.rows()) == [row]
    row = record(ledger, row, proven())
    assert list(looking.rows()) == [row]
    looking.close()
    record(ledger, row, Lost("missing"))


@pytest.mark.parametrize("made", [False, True])
def test_a_look_where_there_is_no_ledger_says_so_and_makes_none(tmp_path: Path, made: bool) -> None:  # noqa: FBT001 - a column
    directory = tmp_path / "state"
    if made:
        directory.mkdir()
        (directory / FILE).touch()
    with pytest.raises(
        Missing, match=f"no ledger in {directory}: .* `artifactd sync` first, or mend artifactd.st"
    ):
        Ledger.look(directory)
    assert directory.exists() is made
    if not made:
        with pytest.raises(Missing):
            Ledger.open(directory, as_it_is=True)
        assert not directory.exists()


def test_a_look_at_an_older_schema_says_who_migrates_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = -1")
    connection.close()
    with pytest.raises(Unwritable, match="older schema"):
        Ledger.look(tmp_path)


def test_a_look_at_garbage_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(Damaged, match="not a database"):
        Ledger.look(tmp_path)
