"""What is known of every copy, and the record of what happened: SQLite, one transaction for both.

WAL with synchronous=FULL: a committed transaction survives a power cut. One commit carries many rows.
Each row carries a hash of its own, because a flipped byte can pass SQLite's own check; each event names the
hash of the one before it (`chain`). Several processes may use one ledger; only the lock's holder exports.
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
from artifactd.columns import COLUMNS, Altered, check, decoded, encoded
from artifactd.lifecycle import Confirmed, Event, Lost, Replayed, Row, State, step

FILE: Final = "ledger.sqlite3"


class LedgerError(Exception):
    """The ledger cannot be used. The message says what to do."""


class Newer(LedgerError):  # noqa: N818 - says an outcome, not a mistake
    """A newer artifactd wrote this ledger; nothing was changed."""


class Damaged(LedgerError):  # noqa: N818 - as Newer
    """The ledger's bytes are not what was written; nothing in it is to be trusted."""


class Unwritable(LedgerError):  # noqa: N818 - as Newer
    """The record cannot be used now: no space, no permission, an error of the disk. Nothing was committed."""


class InUse(LedgerError):  # noqa: N818 - as Newer
    """Another artifactd works on this state."""


MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE copies (
        source BLOB NOT NULL, store TEXT NOT NULL, key TEXT NOT NULL, wanted_key TEXT NOT NULL,
        user TEXT NOT NULL, experiment_id TEXT NOT NULL, inside BLOB NOT NULL,
        kind TEXT NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL, identity TEXT, digest TEXT,
        size INTEGER NOT NULL, ours TEXT NOT NULL,
        failures INTEGER NOT NULL, retry_at REAL, reason TEXT NOT NULL, evidence TEXT NOT NULL,
        proof TEXT NOT NULL, version TEXT NOT NULL, changed_at REAL NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (source, store, key, wanted_key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX copies_by_key ON copies (store, key);
    CREATE INDEX copies_by_experiment ON copies (user, experiment_id);
    CREATE INDEX copies_retrying ON copies (retry_at) WHERE state = 'retrying';
    CREATE TABLE events (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
    CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    """,
)
"""From schema version n to n + 1. The first makes the schema. A step that was released is never changed."""

_KEPT: Final = ("source", "store", "key", "wanted_key")  # the primary key of `copies`
_CHANGED: Final = ", ".join(
    f"{name} = excluded.{name}" for name in (*COLUMNS.split(", "), "hash") if name not in _KEPT
)
_WRITE: Final = (
    f"INSERT INTO copies ({COLUMNS}, hash) VALUES ({'?, ' * 21}?) ON CONFLICT DO UPDATE SET {_CHANGED}"  # noqa: S608 - constants
)
_CACHE_KIB: Final = 8 << 10
_LOG_PAGES: Final = 4_000
"""A log of 16 MB before its pages go to their places: neighbouring rows of a first sync share that work."""

_READ: Final = f"SELECT {COLUMNS}, hash FROM copies"  # noqa: S608 - constants
_ONE: Final = "WHERE source = ? AND store = ? AND key = ? AND wanted_key = ?"
_STANDS: Final = f"SELECT state, changed_at, ours FROM copies {_ONE}"  # noqa: S608 - constants
_AT_A_TIME: Final = 500  # placeholders of one query, well below SQLITE_MAX_VARIABLE_NUMBER


_FROM_OUTSIDE: Final = (Replayed, Lost, Confirmed)
"""What other processes than the exporting one put on record, about rows that they read some time ago."""


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
    """Be the only one who exports from this state, for the length of the block or of the process.

    Raises:
        InUse: another process is. Nothing was written.
        Unwritable: the state directory cannot be written.
    """
    fd = -1
    try:
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(state_directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(fd)
        if fd >= 0:
            os.close(fd)
        if isinstance(error, BlockingIOError):
            raise InUse(f"another artifactd ({owner}) already works on {state_directory}") from None
        raise _unwritable(state_directory, error) from error
    try:
        with suppress(OSError):  # no space: the lock holds, and only its message to others is poorer
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _owner(fd: int) -> str:
    """Who says in the lock's file to hold it."""
    pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip() if fd >= 0 else ""
    return f"process {pid}" if pid else "its process is not known"


class Ledger:
    """An open ledger. One thread at a time uses it."""

    def __init__(self, connection: sqlite3.Connection, context: Fields) -> None:
        self._db = connection
        self._context = context

    # --- opening ---

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
        path = state_directory / FILE
        try:
            _make(path)
        except OSError as error:
            raise _unwritable(state_directory, error) from error
        with _sqlite_errors():
            connection = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
            with _closed_on_error(connection):
                if _version(connection) > len(migrations):
                    raise _other_version(_version(connection), len(migrations))
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
                _migrate(connection, migrations)
                ledger = cls(connection, context or {})
                ledger._check()
                return ledger

    @classmethod
    def look(cls, state_directory: Path) -> "Ledger":
        """The ledger of this state, for reading only; an empty one where there is none. Nothing is written.

        Damage shows when the rows are read.

        Raises:
            Newer: its schema is newer than this program.
            Damaged: it is no ledger.
            Unwritable: it cannot be read, or its schema is older: whoever opens it to write migrates it.
        """
        path = state_directory / FILE
        try:
            # Where nobody writes there is no log; a reader would make one unless it takes the file as it is.
            mode = "mode=ro" if path.with_name(f"{FILE}-wal").exists() else "immutable=1"
            exists = path.exists()
        except OSError as error:
            raise _unwritable(state_directory, error) from error
        with _sqlite_errors():
            if exists and (found := cls._found(f"{path.absolute().as_uri()}?{mode}")) is not None:
                return found
            connection = sqlite3.connect(":memory:", isolation_level=None)
            _migrate(connection, MIGRATIONS)
            return cls(connection, {})

    @classmethod
    def _found(cls, uri: str) -> "Ledger | None":
        """The ledger in an existing file; None where its schema is still being made."""
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        with _closed_on_error(connection):
            version = _version(connection)
            if version not in (0, len(MIGRATIONS)):
                raise _other_version(version, len(MIGRATIONS))
        if version == 0:
            connection.close()
            return None
        return cls(connection, {})

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def _check(self) -> None:
        """Compare each row and the end of the record with their hashes. `breaks` walks the whole record."""
        if self._db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise Damaged("SQLite finds the ledger damaged")
        for found in self._db.execute(_READ):
            check(found)
        for entry in self.entries(self.head().seq - 1):
            if chain.hash_of(entry.line) != entry.hash:
                raise Damaged("the last event is not the one that was written")

    # --- reading ---

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
            "WHERE store = ? AND key = ? AND source <> ? AND ours <> '' LIMIT 1", (store, key, source)
        )
        return next(found, None)

    def due(self, now: float, stores: Sequence[str], limit: int) -> list[Row]:
        """Copies to these stores whose next try is due at `now` (seconds since the epoch), oldest first."""
        # The "+" keeps SQLite off the index by store, which would be a walk through the whole ledger.
        where = f"WHERE state = 'retrying' AND retry_at <= ? AND +store IN ({', '.join('?' * len(stores))})"
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
        for column, value in (("user", user), ("experiment_id", experiment_id), ("+store", store)):
            if value is not None:
                where.append(f"{column} = ?")  # "+": read in the order asked for, with nothing to sort
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
            columns = "seq, CAST(line AS BLOB), CAST(hash AS BLOB)"
            query = f"SELECT {columns} FROM events WHERE seq > ? ORDER BY seq"  # noqa: S608 - constants
            for seq, line, stored in self._db.execute(query, (after,)):
                yield Entry(seq, _as_found(line), _as_found(stored))

    def head(self) -> Head:
        """The end of the record."""
        with _sqlite_errors():
            found = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            return Head(*found) if found else Head()

    def _select(self, where: str, values: Sequence[object]) -> Iterator[Row]:
        with _sqlite_errors():
            for found in self._db.execute(f"{_READ} {where}", values):
                yield decoded(found)

    # --- writing ---

    def record(self, changes: Sequence[Change], at: float) -> list[Recorded]:
        """Commit these changes and their events, at `at` (seconds since the epoch): all of them, or none.

        Several changes of one copy are applied in order, each to what the one before left. A row may be older
        than the ledger's: what the exporting process says of it holds, and no digest that may be in the store
        is forgotten; a `Replayed`, `Lost` or `Confirmed`, which other processes say, is left out, as the copy
        has moved on since. All others come back in their order.

        Raises:
            Unwritable: nothing was committed.
            Damaged: the ledger is. Nothing was committed.
            ImpossibleStep: nothing was committed.
        """
        recorded: list[Recorded] = []
        latest: dict[_Name, Row] = {}
        with self._transaction() as end:
            head = end
            for change in changes:
                name = _name(change.row)
                before = latest.get(name) or self._stands(change, name)
                if before is None:
                    continue
                after = step(before, change.event, at)
                latest[name] = after
                fields = chain.account(before, after, change.event)
                entry = chain.append(head, at, {**self._context, **fields})
                head = Head(entry.seq, entry.hash)
                recorded.append(Recorded(after, change.event, entry))
            self._db.executemany(_WRITE, [encoded(row) for row in latest.values()])
            self._append(item.entry for item in recorded)
        return recorded

    def _stands(self, change: Change, name: "_Name") -> Row | None:
        """The row that `change` happens to; None where another process has moved the copy on."""
        row = change.row
        found = self._db.execute(_STANDS, name).fetchone()
        if found is None or found == (row.state.value, row.changed_at, " ".join(row.ours)):
            return row
        if isinstance(change.event, _FROM_OUTSIDE):
            return None
        now = next(self._select(_ONE, name))
        return replace(row, ours=tuple(dict.fromkeys((*now.ours, *row.ours))))

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
    # The database goes first: without it SQLite drops a log that is left behind, but not the other way round.
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            (state_directory / f"{FILE}{suffix}").rename(f"{target}{suffix}")
    return target


def _make(path: Path) -> None:
    """An empty ledger where there is none, for its owner only, as are the files SQLite puts beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring the schema up to date, each step a transaction."""
    for number in range(_version(connection) + 1, len(migrations) + 1):
        script = f"BEGIN IMMEDIATE; {migrations[number - 1]} PRAGMA user_version = {number}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if _version(connection) < number:  # it was not another process that did it at the same time
                raise


def _other_version(version: int, known: int) -> LedgerError:
    if version > known:
        return Newer(
            f"the ledger has schema {version}, this artifactd knows {known}: install the newer one again"
        )
    return Unwritable(
        f"the ledger has the older schema {version}: `artifactd run` or `artifactd sync` migrates it"
    )


def _unwritable(state_directory: Path, error: OSError) -> Unwritable:
    return Unwritable(f"{state_directory}: {error.strerror}. The state directory has to be writable")


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    """What SQLite raises, in this file's words. A mistake of ours (`ProgrammingError`) stays what it is."""
    try:
        yield
    except Altered as error:
        raise Damaged(f"the ledger: {error}") from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        # Python's own "Could not decode to UTF-8" has no code of SQLite's: bytes that nobody wrote.
        kind = Unwritable if hasattr(error, "sqlite_errorcode") else Damaged
        raise kind(f"the ledger: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"the ledger: {error}") from error


_Name = tuple[bytes, str, str, str]


def _name(row: Row) -> _Name:
    """The primary key of the row."""
    return row.artifact.path, row.store, row.key, row.wanted_key


def _as_found(text: bytes) -> str:
    """Text of the record, whatever has become of its bytes."""
    return text.decode("utf-8", "surrogateescape")
