"""What is known of every copy, and the record of what happened: SQLite, one transaction for both.

WAL with synchronous=FULL: a committed transaction survives a power cut. One commit carries many rows.
Each row carries a hash of its own, because a flipped byte can pass SQLite's own check; each event names the hash of the
one before it (`chain`). Several processes may use one ledger; only the holder of the state's lock exports.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from artifactd import chain
from artifactd.chain import Entry, Fields, Head
from artifactd.columns import COLUMNS, Altered, decoded, encoded
from artifactd.lifecycle import Event, Row, State, step

FILE: Final = "ledger.sqlite3"


class LedgerError(Exception):
    """The ledger cannot be used. The message says what to do."""


class Newer(LedgerError):
    """A newer artifactd wrote this ledger; nothing was changed."""


class Damaged(LedgerError):
    """The ledger's bytes are not what was written; nothing in it is to be trusted."""


class Unwritable(LedgerError):
    """The record cannot be written now (no space, no permission, an error of the disk). Nothing was committed."""


class InUse(LedgerError):
    """Another artifactd works on this state."""


MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE copies (
        source BLOB NOT NULL, store TEXT NOT NULL, key TEXT NOT NULL, wanted_key TEXT NOT NULL,
        user TEXT NOT NULL, experiment_id TEXT NOT NULL, inside BLOB NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL,
        state TEXT NOT NULL, identity TEXT, digest TEXT, size INTEGER NOT NULL, ours TEXT NOT NULL,
        failures INTEGER NOT NULL, retry_at REAL, reason TEXT NOT NULL, evidence TEXT NOT NULL,
        proof TEXT NOT NULL, version TEXT NOT NULL, changed_at REAL NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (source, store, key, wanted_key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX copies_by_key ON copies (store, key);
    CREATE INDEX copies_by_experiment ON copies (user, experiment_id);
    CREATE INDEX copies_retrying ON copies (retry_at) WHERE state = 'retrying';
    CREATE INDEX copies_uploading ON copies (store) WHERE state = 'uploading';
    CREATE TABLE events (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
    CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    """,
)
"""From schema version n to n + 1. The first makes the schema. A step that was released is never changed."""

_WRITE: Final = f"INSERT OR REPLACE INTO copies ({COLUMNS}, hash) VALUES ({'?, ' * 21}?)"  # noqa: S608 - constants
_READ: Final = f"SELECT {COLUMNS}, hash FROM copies"  # noqa: S608 - constants
_AT_A_TIME: Final = 500  # placeholders of one query, well below SQLITE_MAX_VARIABLE_NUMBER


@dataclass(frozen=True, slots=True)
class Change:
    """An event that happens to a copy; `row` is what was known of it before."""

    row: Row
    event: Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change that is on record."""

    row: Row
    event: Event
    entry: Entry


@contextmanager
def lock(state_directory: Path) -> Iterator[None]:
    """Be the only one who exports from this state, for the length of the block.

    Raises:
        InUse: another process is. Nothing was written.
        Unwritable: the state directory cannot be written.
    """
    try:
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unwritable(
            f"{state_directory}: {error.strerror}. The state directory has to be writable"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield
    except BlockingIOError:
        owner = os.pread(fd, 20, 0).decode(errors="replace").strip()
        raise InUse(f"another artifactd (process {owner}) already works on {state_directory}") from None
    finally:
        os.close(fd)


class Ledger:
    """An open ledger. One thread at a time uses it."""

    def __init__(self, connection: sqlite3.Connection, context: Fields) -> None:
        self._db = connection
        self._context = context

    # --- opening ----------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls, state_directory: Path, context: Fields | None = None, migrations: Sequence[str] = MIGRATIONS
    ) -> "Ledger":
        """The ledger of this state, made or migrated where needed. `context` is said in every event.

        Raises:
            Newer: its schema is newer than this program.
            Damaged: SQLite's check fails or a row is not the one that was written.
            Unwritable: it cannot be written.
        """
        with _sqlite_errors():
            path = state_directory / FILE
            state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                path.chmod(0o600)
                _migrate(connection, migrations)
                ledger = cls(connection, context or {})
                ledger._check()
            except BaseException:
                connection.close()
                raise
            return ledger

    @classmethod
    def look(cls, state_directory: Path) -> "Ledger":
        """The ledger of this state, for reading only; an empty one where there is none. Nothing is written.

        Raises:
            Newer, Damaged, Unwritable: as `open`.
        """
        path = state_directory / FILE
        with _sqlite_errors():
            if not path.exists():
                connection = sqlite3.connect(":memory:", isolation_level=None)
                _migrate(connection, MIGRATIONS)
            else:
                connection = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
                )
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version != len(MIGRATIONS):
                    connection.close()
                    raise _other_version(version, len(MIGRATIONS))
            return cls(connection, {})

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def _check(self) -> None:
        if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise Damaged("SQLite finds the ledger damaged")
        for _ in self.rows():
            pass  # reading a row checks its hash
        last = self._db.execute("SELECT seq, line, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        if last and chain.hash_of(last[1]) != last[2]:
            raise Damaged("the last event is not the one that was written")

    # --- reading ----------------------------------------------------------------------------------------------

    def of_sources(self, sources: Sequence[bytes]) -> dict[bytes, list[Row]]:
        """The rows of these paths, by path."""
        found: dict[bytes, list[Row]] = {}
        for start in range(0, len(sources), _AT_A_TIME):
            some = sources[start : start + _AT_A_TIME]
            for row in self._select(f"WHERE source IN ({', '.join('?' * len(some))})", some):
                found.setdefault(row.artifact.path, []).append(row)
        return found

    def claimant(self, store: str, key: str, source: bytes) -> Row | None:
        """The row of another file that has, or may have, bytes at `key`."""
        found = self._select(
            "WHERE store = ? AND key = ? AND source <> ? AND ours <> '[]' LIMIT 1", (store, key, source)
        )
        return next(found, None)

    def due(self, now: float, stores: Sequence[str], limit: int) -> list[Row]:
        """Copies to these stores whose next try has come by `now` (seconds since the epoch), the oldest first."""
        where = f"WHERE state = 'retrying' AND retry_at <= ? AND store IN ({', '.join('?' * len(stores))})"
        return list(self._select(f"{where} ORDER BY retry_at LIMIT ?", (now, *stores, limit)))

    def rows(
        self,
        *,
        user: str | None = None,
        experiment_id: str | None = None,
        states: Iterable[State] | None = None,
        store: str | None = None,
    ) -> Iterator[Row]:
        """The rows that fit, by user, experiment and path."""
        where, values = ["1"], []
        for column, value in (("user", user), ("experiment_id", experiment_id), ("store", store)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if states is not None:
            chosen = [state.value for state in states]
            where.append(f"state IN ({', '.join('?' * len(chosen))})")
            values += chosen
        yield from self._select(f"WHERE {' AND '.join(where)} ORDER BY user, experiment_id, source", values)

    def count(self) -> dict[State, int]:
        """How many copies are in each state."""
        with _sqlite_errors():
            return {
                State(state): n
                for state, n in self._db.execute("SELECT state, count(*) FROM copies GROUP BY 1")
            }

    def used(self, store: str) -> bool:
        """Whether a copy was ever proven in `store`."""
        with _sqlite_errors():
            query = "SELECT 1 FROM copies WHERE store = ? AND proof <> '' LIMIT 1"
            return self._db.execute(query, (store,)).fetchone() is not None

    def knows(self, store: str, key: str) -> bool:
        """Whether any copy is on record at `key` of `store`."""
        with _sqlite_errors():
            query = "SELECT 1 FROM copies WHERE store = ? AND key = ? LIMIT 1"
            return self._db.execute(query, (store, key)).fetchone() is not None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The record, from the entry after number `after`."""
        with _sqlite_errors():
            for seq, line, stored in self._db.execute(
                "SELECT seq, line, hash FROM events WHERE seq > ? ORDER BY seq", (after,)
            ):
                yield Entry(seq, line, stored)

    def head(self) -> Head:
        """The end of the record."""
        with _sqlite_errors():
            found = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            return Head(*found) if found else Head()

    def _select(self, where: str, values: Sequence[object]) -> Iterator[Row]:
        with _sqlite_errors():
            for found in self._db.execute(f"{_READ} {where}", values):
                yield decoded(found)

    # --- writing ----------------------------------------------------------------------------------------------

    def record(self, changes: Sequence[Change], at: float) -> list[Recorded]:
        """Commit these changes and their events, at the time `at` (seconds since the epoch): all of them, or none.

        A change's row may be older than the ledger's when several concern one copy; they are applied in order.

        Raises:
            Unwritable: nothing was committed.
            ImpossibleStep: nothing was committed.
        """
        recorded: list[Recorded] = []
        latest: dict[tuple[object, ...], Row] = {}
        with self._transaction() as head:
            for change in changes:
                before = latest.get(_name(change.row), change.row)
                after = replace(step(before, change.event), changed_at=at)
                latest[_name(after)] = after
                entry = chain.append(
                    head, at, {**self._context, **chain.account(before, after, change.event)}
                )
                head = Head(entry.seq, entry.hash)
                recorded.append(Recorded(after, change.event, entry))
            self._db.executemany(_WRITE, [encoded(row) for row in latest.values()])
            self._append(item.entry for item in recorded)
        return recorded

    def note(self, at: float, fields: Fields) -> Entry:
        """Commit an event that concerns no copy; `fields` name its `action` and its `outcome`.

        Raises:
            Unwritable: nothing was committed.
        """
        with self._transaction() as head:
            entry = chain.append(head, at, {**self._context, **fields})
            self._append([entry])
        return entry

    def _append(self, entries: Iterable[Entry]) -> None:
        rows = [(entry.seq, entry.line, entry.hash) for entry in entries]
        self._db.executemany("INSERT INTO events (seq, line, hash) VALUES (?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[Head]:
        """One transaction, given the end of the record as it is now, whoever wrote it."""
        with _sqlite_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self.head()
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # what made the commit fail may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise


def set_aside(state_directory: Path, stamp: str) -> Path:
    """Move a damaged ledger out of the way, to be looked at by a person. Returns where it is now.

    Raises:
        OSError: it cannot be moved.
    """
    target = state_directory / f"{FILE}.damaged-{stamp}"
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.rename(state_directory / (FILE + suffix), f"{target}{suffix}")
    return target


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise _other_version(version, len(migrations))
    for number, script in enumerate(migrations[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def _other_version(version: int, known: int) -> LedgerError:
    if version > known:
        return Newer(
            f"the ledger has schema {version}, this artifactd knows {known}: install the newer artifactd again"
        )
    return Unwritable(
        f"the ledger has the older schema {version}: `artifactd run` or `artifactd sync` migrates it"
    )


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    """What SQLite raises, in this file's words."""
    try:
        yield
    except Altered as error:
        raise Damaged(f"the ledger: {error}") from error
    except sqlite3.OperationalError as error:
        raise Unwritable(f"the ledger: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"the ledger: {error}") from error


def _name(row: Row) -> tuple[object, ...]:
    return row.artifact.path, row.store, row.key, row.wanted_key
