"""A ledger of schema 2, made by its own SQL, becomes one of schema 3 that says the same rows and lines."""

import shutil
import sqlite3
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Artifact, Kind
from artifactd.decisions.lifecycle import Change, Event, Failed, Lost, Refused, Row, Skipped, State, step
from artifactd.ledger import record
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Entry, Head, breaks
from artifactd.ledger.rows import COLUMNS, encoded
from artifactd.ledger.schema import FILE, MIGRATIONS, Damaged, Unwritable, version_of
from artifactd.linux.room import room
from benchmarks.ledger import as_schema_2
from tests.ledger.test_ledger_faults import check_all, environment, python, strace
from tests.support.copies import CONTEXT, copy, proven, started
from tests.support.rows import D2, a_row, identity
from tests.support.rows import started as begun

PATIENCE = 120


class Old:
    """A ledger of schema 2, as the program of that time wrote it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        self.rows: dict[tuple[bytes, str, str, str], Row] = {}
        self.entries: list[Entry] = []
        with closing(sqlite3.connect(self.file)) as db:
            for script in MIGRATIONS[:2]:
                assert isinstance(script, str)
                db.executescript(script)
            db.execute("PRAGMA user_version = 2")
            db.execute("PRAGMA journal_mode=WAL")
            db.commit()

    def record(self, happened: Sequence[tuple[Row, Sequence[Event]]]) -> None:
        """Put these events on record."""
        for row, events in happened:
            after = row
            for event in events:
                before, after = after, step(after, event, float(len(self.entries)))
                head = Head(len(self.entries), self.entries[-1].hash) if self.entries else Head()
                fields = {**CONTEXT, **record.account(before, after, event)}
                self.entries.append(record.append(head, after.changed_at, fields))
            self.rows[after.artifact.path, after.store, after.key, after.wanted_key] = after

    def write(self) -> None:
        """Commit all that is on record."""
        with closing(sqlite3.connect(self.file)) as db, db:
            write = f"INSERT INTO copies ({COLUMNS}, hash) VALUES ({'?, ' * 21}?)"  # noqa: S608 - constants
            db.executemany(write, [encoded(row) for row in self.rows.values()])
            lines = [(entry.seq, entry.line, entry.hash) for entry in self.entries]
            db.executemany("INSERT INTO events VALUES (?, ?, ?)", lines)

    def execute(self, *statements: str) -> None:
        """What somebody does who can write the file."""
        with closing(sqlite3.connect(self.file)) as db, db:
            db.execute("DROP TRIGGER events_are_never_changed")
            db.execute("DROP TRIGGER events_are_never_deleted")
            for statement in statements:
                assert db.execute(statement).rowcount == 1


def many(count: int) -> list[tuple[Row, Sequence[Event]]]:
    return [(copy(number), (started(number), proven(number))) for number in range(count)]


def odd() -> Iterator[tuple[Row, Sequence[Event]]]:
    """A copy in every state, and names that are no text."""
    failed = Failed("disk", 30.0)
    yield a_row(1), (begun(),)
    yield a_row(2), (failed,)
    yield a_row(3), (Refused("no", identity()),)
    yield a_row(4), (Skipped("rule", identity()),)
    yield a_row(5), (begun(), proven(5), Lost("missing"), begun(D2))
    yield replace(a_row(6), store="azure"), (begun(), proven(6), Lost("missing"))
    odd_names = Artifact(b"\xff/h2oai_experiment_\x80/\xf0.csv", "\udcff", "\udc80", b"\xf0.csv", Kind.OTHER)
    yield replace(a_row(7), artifact=odd_names, key=""), (Refused("no key", identity(7)),)


@pytest.fixture
def old(tmp_path: Path) -> Old:
    made = Old(tmp_path)
    made.record([*odd(), *many(100)])
    made.write()
    return made


def entries(found: Sequence[Entry]) -> list[tuple[int, str, str]]:
    return [(entry.seq, entry.line, entry.hash) for entry in found]


def assert_says_the_same(ledger: Ledger, old: Old) -> None:
    assert {encoded(row) for row in ledger.rows()} == {encoded(row) for row in old.rows.values()}
    assert entries(list(ledger.entries())) == entries(old.entries)
    check_all(ledger)


def test_it_says_the_same_rows_and_lines_and_goes_on(tmp_path: Path, old: Old) -> None:
    ledger = Ledger.open(tmp_path, CONTEXT)
    assert_says_the_same(ledger, old)
    counts: dict[tuple[str, State], int] = {}
    for row in old.rows.values():
        counts[row.store, row.state] = counts.get((row.store, row.state), 0) + 1
    assert ledger.count_by_store() == counts
    assert (ledger.used("s3"), ledger.used("azure"), ledger.used("git")) == (True, True, False)
    assert [row.key for row in ledger.due(30.0, ["file_system"], 9)] == [a_row(2).key]
    row = ledger.of_sources([copy(7).artifact.path])[copy(7).artifact.path][0]
    ledger.record([Change(row, Lost("missing"))], 99.0)
    assert list(breaks(ledger.entries())) == []
    ledger.close()


def test_the_benchmarks_old_ledger_is_one_that_says_the_same(tmp_path: Path, old: Old) -> None:
    ledger = Ledger.open(tmp_path, CONTEXT)
    as_schema_2(ledger, tmp_path / "again")
    ledger.close()
    again = Ledger.open(tmp_path / "again")
    assert_says_the_same(again, old)
    again.close()


def test_an_empty_one_becomes_an_empty_one(tmp_path: Path) -> None:
    Old(tmp_path)
    ledger = Ledger.open(tmp_path)
    assert [*ledger.rows(), *ledger.entries()] == []
    ledger.close()


def test_what_was_taken_up_is_given_back_to_the_disk(tmp_path: Path) -> None:
    made = Old(tmp_path)
    made.record(many(1000))
    made.write()
    before = made.file.stat().st_size
    Ledger.open(tmp_path).close()
    assert made.file.stat().st_size < before / 3
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_it_takes_little_memory_and_says_that_it_goes_on(tmp_path: Path) -> None:
    made = Old(tmp_path)
    made.record(many(6000))
    made.write()
    words: list[int] = []
    tracemalloc.start()
    ledger = Ledger.open(tmp_path, working=lambda: words.append(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ledger.close()
    assert peak < 2_000_000
    assert len(words) > 12000 / 64


def test_what_breaks_off_on_the_way_leaves_the_old_one(tmp_path: Path, old: Old) -> None:
    words: list[int] = []
    Ledger.open(copied(tmp_path), working=lambda: words.append(1)).close()
    for number in {1, 2, len(words) // 2, len(words) - 2}:
        directory = copied(tmp_path)
        stop = iter([None] * number).__next__
        with pytest.raises(
            (StopIteration, Unwritable, RuntimeError)
        ):  # SQLite is interrupted where it is at work
            Ledger.open(directory, working=stop)
        with closing(sqlite3.connect(directory / FILE)) as db:
            assert version_of(db) == 2
            assert db.execute("SELECT count(*) FROM copies").fetchone() == (len(old.rows),)
            assert db.execute("SELECT count(*) FROM events").fetchone() == (len(old.entries),)
        ledger = Ledger.open(directory)
        assert_says_the_same(ledger, old)
        ledger.close()


def test_on_a_full_disk_the_old_one_stays_and_the_room_is_told(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    directory = tmpfs(tmp_path / "small", "4m")
    made = Old(directory)
    made.record(many(300))
    made.write()
    (directory / "ballast").write_bytes(bytes(room(directory).free - (100 << 10)))
    with pytest.raises(
        Unwritable, match=rf"no room: the file system of {directory} has .* of 4\.0 MiB\. Make room"
    ):
        Ledger.open(directory)
    (directory / "ballast").unlink()
    ledger = Ledger.open(directory)
    assert_says_the_same(ledger, made)
    ledger.close()


@pytest.mark.parametrize("name", ["fdatasync", "pwrite64"])
def test_killed_at_any_call_nothing_is_lost(tmp_path: Path, old: Old, name: str) -> None:
    migrating = python(
        "import sys; from pathlib import Path; from artifactd.ledger.ledger import Ledger;"
        "Ledger.open(Path(sys.argv[1])).close()",
        copied(tmp_path),
    )
    whole = subprocess.run(
        [*strace("-e", f"trace={name}"), *migrating],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    total = whole.stderr.count(f"{name}(")
    assert total > 3
    for number in sorted({1 + total * part // 6 for part in range(6)} | {total}):
        directory = copied(tmp_path)
        kill = strace("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}")
        done = subprocess.run(
            [*kill, *migrating], env=environment(), capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.returncode != 0
        ledger = Ledger.open(directory)
        assert_says_the_same(ledger, old)
        ledger.close()


def copied(directory: Path) -> Path:
    """The old ledger, once more."""
    target = directory / "copy"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(directory / FILE, target)
    return target


DAMAGED = {
    "a row": "UPDATE copies SET size = size + 1 WHERE key = 'alice/e3/mojo.zip'",
    "a line that can be none": "UPDATE events SET line = replace(line, ',', char(10)) WHERE seq = 9",
    "a hash that can be none": "UPDATE events SET hash = 'x' WHERE seq = 9",
}


@pytest.mark.parametrize("statement", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one_is_told_and_left_as_it_is(tmp_path: Path, old: Old, statement: str) -> None:
    old.execute(statement)
    with pytest.raises(Damaged, match="not the one that was written"):
        Ledger.open(tmp_path)
    with closing(sqlite3.connect(old.file)) as db:
        assert version_of(db) == 2


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE events SET line = replace(line, 'user', 'loser') WHERE seq = 70", [70]),
        ("UPDATE events SET line = CAST(CAST(line AS BLOB) || x'ff' AS TEXT) WHERE seq = 70", [70]),
        ("DELETE FROM events WHERE seq = 70", [71]),
    ],
)
def test_where_the_record_was_altered_shows_as_before(
    tmp_path: Path, old: Old, statement: str, broken: list[int]
) -> None:
    old.execute(statement)
    ledger = Ledger.open(tmp_path)
    assert [one.seq for one in breaks(ledger.entries())] == broken
    ledger.close()
