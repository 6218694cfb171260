"""The step from schema 2 to 3: the same rows and the same lines, in a third of the space.

It is one transaction, so a death on the way leaves the ledger as it was. It needs about 100 MB of memory, and
while it works as much space again as the new ledger takes.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from artifactd.ledger.compact import Place, compact
from artifactd.ledger.packed import LINES, packed
from artifactd.ledger.record import START, Entry
from artifactd.ledger.rows import COLUMNS, Altered, check

_ROWS_A_WORD: Final = 5_000
"""From one word that work goes on to the next."""

_CACHE_KIB: Final = 24 << 10
"""Indexes are sorted in it."""

_TABLES: Final = (
    "ALTER TABLE copies RENAME TO copies_2",
    """CREATE TABLE places (
        id INTEGER PRIMARY KEY, user TEXT NOT NULL, experiment_id TEXT NOT NULL, folder BLOB NOT NULL,
        UNIQUE (user, experiment_id, folder)
    ) STRICT""",
    """CREATE TABLE copies (
        id INTEGER PRIMARY KEY, place INTEGER NOT NULL, path BLOB NOT NULL, inside BLOB,
        source_hash INTEGER NOT NULL, store TEXT NOT NULL, key TEXT NOT NULL, wanted_key TEXT,
        key_hash INTEGER NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, identity ANY,
        digest BLOB, size INTEGER NOT NULL, ours BLOB, failures INTEGER NOT NULL, retry_at REAL,
        reason TEXT NOT NULL, evidence TEXT NOT NULL, proof TEXT NOT NULL, version TEXT NOT NULL,
        changed_at REAL NOT NULL, hash BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE entries (first INTEGER PRIMARY KEY, lines BLOB NOT NULL, hashes BLOB NOT NULL) STRICT",
    """CREATE TABLE counts (
        store TEXT NOT NULL, state TEXT NOT NULL, copies INTEGER NOT NULL, PRIMARY KEY (store, state)
    ) STRICT, WITHOUT ROWID""",
)
_REST: Final = (
    "INSERT INTO counts SELECT store, state, count(*) FROM copies GROUP BY 1, 2",
    "INSERT OR IGNORE INTO counts SELECT DISTINCT store, 'proven', 0 FROM copies WHERE proof <> ''",
    "DROP TABLE copies_2",
    "DROP TABLE events",
    "CREATE INDEX copies_by_source ON copies (source_hash)",
    "CREATE INDEX copies_by_key ON copies (key_hash)",
    "CREATE INDEX copies_by_place ON copies (place)",
    "CREATE INDEX copies_unproven ON copies (state, retry_at) WHERE state <> 'proven'",
    """CREATE TRIGGER copies_are_counted AFTER INSERT ON copies BEGIN
        INSERT INTO counts VALUES (NEW.store, NEW.state, 1) ON CONFLICT DO UPDATE SET copies = copies + 1;
    END""",
    """CREATE TRIGGER copies_are_counted_on AFTER UPDATE OF state ON copies WHEN OLD.state <> NEW.state BEGIN
        UPDATE counts SET copies = copies - 1 WHERE store = OLD.store AND state = OLD.state;
        INSERT INTO counts VALUES (NEW.store, NEW.state, 1) ON CONFLICT DO UPDATE SET copies = copies + 1;
    END""",
    """CREATE TRIGGER copies_are_counted_off AFTER DELETE ON copies BEGIN
        UPDATE counts SET copies = copies - 1 WHERE store = OLD.store AND state = OLD.state;
    END""",
    """CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
    """CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
)
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")
_PLACED: Final = f"INSERT INTO copies VALUES (NULL, ?, {', '.join('?' * 22)})"  # noqa: S608 - constants


def migrate(db: sqlite3.Connection, working: Callable[[], object]) -> None:
    """Within a transaction of the caller's. `working` is called again and again.

    Raises:
        Altered: a row, or a line of the record, is not the one that was written.
    """
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    for statement in _TABLES:
        db.execute(statement)
    db.executemany(_PLACED, _rows(db, working))
    db.executemany("INSERT INTO entries VALUES (?, ?, ?)", _blocks(db, working))
    for statement in _REST:
        working()
        db.execute(statement)


def _rows(db: sqlite3.Connection, working: Callable[[], object]) -> Iterator[tuple[Any, ...]]:
    """The rows by their paths, so that neighbours lie together."""
    last: tuple[Place, int] | None = None
    for number, found in enumerate(db.execute(f"SELECT {COLUMNS}, hash FROM copies_2")):  # noqa: S608 - constants
        if number % _ROWS_A_WORD == 0:
            working()
        check(found)
        place, fixed, changing = compact(found)
        if last is None or last[0] != place:
            last = place, _placed(db, place)
        yield last[1], *fixed, *changing


def _placed(db: sqlite3.Connection, place: Place) -> int:
    query = "INSERT INTO places (user, experiment_id, folder) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    db.execute(query, place)
    query = "SELECT id FROM places WHERE user = ? AND experiment_id = ? AND folder = ?"
    number: int = db.execute(query, place).fetchone()[0]
    return number


def _blocks(db: sqlite3.Connection, working: Callable[[], object]) -> Iterator[tuple[int, bytes, bytes]]:
    """The record as it is, damaged lines and gaps included: `breaks` finds the same as before."""
    previous = START
    entries = _entries(db)
    while some := list(islice(entries, LINES)):
        working()
        run = [some[0]]
        for entry in some[1:]:
            if entry.seq != run[-1].seq + 1:
                yield from packed(run, previous)
                previous, run = run[-1].hash, []
            run.append(entry)
        yield from packed(run, previous)
        previous = run[-1].hash


def _entries(db: sqlite3.Connection) -> Iterator[Entry]:
    columns = "seq, CAST(line AS BLOB), CAST(hash AS BLOB)"
    for seq, line, digest in db.execute(f"SELECT {columns} FROM events ORDER BY seq"):  # noqa: S608 - constants
        if not _DIGEST.fullmatch(digest):
            raise Altered(f"the hash of entry {seq} is not the one that was written")
        yield Entry(seq, line.decode("utf-8", "surrogateescape"), digest.decode())
