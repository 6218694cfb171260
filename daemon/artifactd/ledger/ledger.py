"""What is known of every copy, and the record of what happened: SQLite, one transaction for both.

WAL with synchronous=FULL: a committed transaction survives a power cut. One commit carries many rows.
Each row carries a hash of its own, because a flipped byte can pass SQLite's own check; each event names the
hash of the one before it (`record`). Several processes may use one ledger; only the lock's holder exports.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from artifactd.decisions.lifecycle import Change, Confirmed, Event, Lost, Name, Replayed, Row, State, step
from artifactd.ledger import record
from artifactd.ledger.record import Entry, Fields, Head
from artifactd.ledger.rows import COLUMNS, check, decoded, encoded
from artifactd.ledger.schema import (
    FILE,
    MIGRATIONS,
    Damaged,
    closed_on_error,
    connect,
    make,
    migrate,
    other_version,
    sqlite_errors,
    unwritable,
    version_of,
)

T = TypeVar("T")

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
_STAND: Final = "SELECT source, store, key, wanted_key, state, changed_at, ours FROM copies"
_AT_A_TIME: Final = 500  # placeholders of one query, well below SQLITE_MAX_VARIABLE_NUMBER


_Stand = tuple[str, float, str]  # what of a row tells whether it is still the one that was read

_FROM_OUTSIDE: Final = (Replayed, Lost, Confirmed)
"""What other processes than the exporting one put on record, about rows that they read some time ago."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change that is on record."""

    row: Row
    event: Event
    entry: Entry
    before: State
    """the copy's until then"""


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
            make(path)
        except OSError as error:
            raise unwritable(state_directory, error) from error
        with sqlite_errors():
            connection = connect(path)
            with closed_on_error(connection):
                if version_of(connection) > len(migrations):
                    raise other_version(version_of(connection), len(migrations))
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
                migrate(connection, migrations)
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
            raise unwritable(state_directory, error) from error
        with sqlite_errors():
            if exists and (found := cls._found(f"{path.absolute().as_uri()}?{mode}")) is not None:
                return found
            connection = sqlite3.connect(":memory:", isolation_level=None)
            migrate(connection, MIGRATIONS)
            return cls(connection, {})

    @classmethod
    def _found(cls, uri: str) -> "Ledger | None":
        """The ledger in an existing file; None where its schema is still being made."""
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        with closed_on_error(connection):
            version = version_of(connection)
            if version not in (0, len(MIGRATIONS)):
                raise other_version(version, len(MIGRATIONS))
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
            if record.hash_of(entry.line) != entry.hash:
                raise Damaged("the last event is not the one that was written")

    # --- reading ---

    def of_sources(self, sources: Sequence[bytes]) -> dict[bytes, list[Row]]:
        """The rows of these paths, by path."""
        found: dict[bytes, list[Row]] = {}
        for some, marks in _portions(sources):
            for row in self._select(f"WHERE source IN ({marks})", some):
                found.setdefault(row.artifact.path, []).append(row)
        return found

    def claimants(self, store: str, keys: Sequence[str]) -> dict[str, list[Row]]:
        """The rows of files that have, or may have, bytes at these keys of `store`, by key."""
        found: dict[str, list[Row]] = {}
        for some, marks in _portions(keys):
            for row in self._select(f"WHERE store = ? AND key IN ({marks}) AND ours <> ''", (store, *some)):
                found.setdefault(row.key, []).append(row)
        return found

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
        with sqlite_errors():
            return {
                State(state): n
                for state, n in self._db.execute("SELECT state, count(*) FROM copies GROUP BY 1")
            }

    def count_by_store(self) -> dict[tuple[str, State], int]:
        """How many copies of each store are in each state. It reads every row: 1.6 s for a million."""
        with sqlite_errors():
            found = self._db.execute("SELECT store, state, count(*) FROM copies GROUP BY 1, 2")
            return {(store, State(state)): n for store, state, n in found}

    def written_elsewhere(self) -> int:
        """A number that changes when another connection has written. Asking costs a look at shared memory."""
        with sqlite_errors():
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
            return version

    def used(self, store: str) -> bool:
        """Whether a copy was ever proven in `store`."""
        with sqlite_errors():
            query = "SELECT 1 FROM copies WHERE store = ? AND proof <> '' LIMIT 1"
            return self._db.execute(query, (store,)).fetchone() is not None

    def knows(self, store: str, key: str) -> bool:
        """Whether any copy is on record at `key` of `store`."""
        with sqlite_errors():
            query = "SELECT 1 FROM copies WHERE store = ? AND key = ? LIMIT 1"
            return self._db.execute(query, (store, key)).fetchone() is not None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The record, from the entry after number `after`."""
        with sqlite_errors():
            columns = "seq, CAST(line AS BLOB), CAST(hash AS BLOB)"
            query = f"SELECT {columns} FROM events WHERE seq > ? ORDER BY seq"  # noqa: S608 - constants
            for seq, line, stored in self._db.execute(query, (after,)):
                yield Entry(seq, _as_found(line), _as_found(stored))

    def head(self) -> Head:
        """The end of the record."""
        with sqlite_errors():
            found = self._db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            return Head(*found) if found else Head()

    def _select(self, where: str, values: Sequence[object]) -> Iterator[Row]:
        with sqlite_errors():
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
        latest: dict[Name, Row] = {}
        with self._transaction() as end:
            head, stand = end, self._stand(changes)
            for change in changes:
                name = change.row.name
                before = latest.get(name) or self._before(change, name, stand.get(name))
                if before is None:
                    continue
                after = step(before, change.event, at)
                latest[name] = after
                fields = record.account(before, after, change.event)
                entry = record.append(head, at, {**self._context, **fields})
                head = Head(entry.seq, entry.hash)
                recorded.append(Recorded(after, change.event, entry, before.state))
            self._db.executemany(_WRITE, [encoded(row) for row in latest.values()])
            self._append(item.entry for item in recorded)
        return recorded

    def _stand(self, changes: Sequence[Change]) -> dict[Name, _Stand]:
        """How the copies of these changes stand in the ledger, asked for all at once: each question costs."""
        stand: dict[Name, _Stand] = {}
        for some, marks in _portions([change.row.artifact.path for change in changes]):
            for *name, state, changed_at, ours in self._db.execute(
                f"{_STAND} WHERE source IN ({marks})", some
            ):
                stand[tuple(name)] = (state, changed_at, ours)
        return stand

    def _before(self, change: Change, name: Name, stands: _Stand | None) -> Row | None:
        """The row that `change` happens to; None where another process has moved the copy on."""
        row = change.row
        if stands is None or stands == (row.state.value, row.changed_at, " ".join(row.ours)):
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
            entry = record.append(head, at, {**self._context, **fields})
            self._append([entry])
        return entry

    def _append(self, entries: Iterable[Entry]) -> None:
        rows = [(entry.seq, entry.line, entry.hash) for entry in entries]
        self._db.executemany("INSERT INTO events (seq, line, hash) VALUES (?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[Head]:
        """One transaction, given the end of the record as it is now, whoever wrote it."""
        with sqlite_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self.head()
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # what made the commit fail may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise


def _portions(values: Sequence[T]) -> Iterator[tuple[Sequence[T], str]]:
    """The values as many at a time as one query takes, with as many placeholders."""
    for start in range(0, len(values), _AT_A_TIME):
        some = values[start : start + _AT_A_TIME]
        yield some, ", ".join("?" * len(some))


def _as_found(text: bytes) -> str:
    """Text of the record, whatever has become of its bytes."""
    return text.decode("utf-8", "surrogateescape")
