"""What is known of every copy, and the record of what happened: SQLite, one transaction for both.

WAL with synchronous=FULL: a committed transaction survives a power cut. One commit carries many rows.
Each row carries a hash of its own, because a flipped byte can pass SQLite's own check; each event names the
hash of the one before it (`record`). Several processes may use one ledger; only the lock's holder exports.

Whatever reads much reads in pages, and holds nothing between them: a reader that stops, such as
`artifactd audit | less`, would keep the log from being taken up, and it would grow without a bound.
"""

import math
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from artifactd.decisions.lifecycle import (
    Ceded,
    Change,
    Confirmed,
    Event,
    Lost,
    Name,
    Replayed,
    Row,
    State,
    step,
)
from artifactd.ledger import record
from artifactd.ledger.compact import key_hash, source_hash
from artifactd.ledger.copies import Copies, Stand, portions
from artifactd.ledger.entries import Entries
from artifactd.ledger.place import OpenFile, unusable
from artifactd.ledger.record import Entry, Fields, Head, Template
from artifactd.ledger.rows import Altered
from artifactd.ledger.schema import (
    FILE,
    MIGRATIONS,
    Damaged,
    Migration,
    Unwritable,
    Working,
    closed_on_error,
    connect,
    make,
    migrate,
    missing,
    other_version,
    sqlite_errors,
    version_of,
)
from artifactd.ledger.statements import (
    CHECKED,
    NUMBERED,
    READ,
    RETRYING,
    STANDING,
    USED,
    Listing,
    check_row,
    row_of,
)

_CACHE_KIB: Final = 8 << 10
_LOG_PAGES: Final = 4_000
"""A log of 16 MB before its pages go to their places: neighbouring rows of a first sync share that work."""

_LOG_BYTES: Final = 32 << 20
"""The log is cut to this when a reader or a migration has let it grow."""

_PAGE_ROWS: Final = 100
_NEWEST: Final = 64
"""Rows and entries that are compared with their hashes before a ledger is used."""


_OF_EARLIER: Final = (Replayed, Lost, Confirmed, Ceded)
"""What is put on record about rows that were read some time ago: by other processes than the exporting one,
or after a put."""


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

    def __init__(
        self,
        connection: sqlite3.Connection,
        context: Fields,
        file: Path | None = None,
        as_it_was: Path | None = None,
    ) -> None:
        self._connection, self._file = connection, file
        self._open_file = None if file is None else OpenFile(file)
        self._as_it_was = as_it_was
        self._stamp = None if as_it_was is None else _stamp(as_it_was)
        self._copies, self._entries = Copies(self._current), Entries(self._current)
        self._context, self._template = context, Template(context)
        self._checked_row, self._checked = 0, Head()  # how far `check_on` is

    @property
    def _db(self) -> sqlite3.Connection:
        return self._current()

    def _current(self) -> sqlite3.Connection:
        """The connection. Where the file was taken as it was, and somebody has written since: another one."""
        if self._as_it_was is not None and (stamp := _stamp(self._as_it_was)) != self._stamp:
            self._connection.close()
            self._connection, self._stamp = _reading(self._as_it_was), stamp
        return self._connection

    # --- opening ---

    @classmethod
    def open(
        cls,
        state_directory: Path,
        context: Fields | None = None,
        migrations: Sequence[Migration] = MIGRATIONS,
        working: Working = lambda: None,
        *,
        as_it_is: bool = False,
    ) -> "Ledger":
        """The ledger of this state, made or migrated where needed. `context` is said in every event.

        `as_it_is`: none is made, and an older schema is refused, for who does not hold the state's lock:
        another artifactd may work with it.

        However large it is, its header and its size are looked at, its newest rows and the end of its record.
        Every other row is compared with its hash when it is read, and all of them, the record and the indexes
        by `check_on`. `working` is called again and again while an older schema is migrated.

        Raises:
            Newer: its schema is newer than this program.
            Damaged: something of that is not what was written.
            Missing: there is none, and none is made.
            Unwritable: it cannot be written.
        """
        path = state_directory / FILE
        try:
            if as_it_is and not path.exists():
                raise missing(state_directory)
            make(path)
        except OSError as error:
            raise Unwritable(unusable(state_directory, error)) from error
        with sqlite_errors(path):
            connection = connect(path)
            with closed_on_error(connection):
                version = version_of(connection)
                if version > len(migrations) or (as_it_is and 0 < version < len(migrations)):
                    raise other_version(version, len(migrations))
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
                connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
                migrate(connection, migrations, working)
                connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
                ledger = cls(connection, context or {}, path)
                ledger._check_newest()
                return ledger

    @classmethod
    def look(cls, state_directory: Path) -> "Ledger":
        """The ledger of this state, for reading only. Nothing is written.

        Damage shows when the rows are read.

        Raises:
            Missing: there is none yet.
            Newer: its schema is newer than this program.
            Damaged: it is no ledger.
            Unwritable: it cannot be read, or its schema is older: whoever opens it to write migrates it.
        """
        path = state_directory / FILE
        try:
            exists = path.exists()
        except OSError as error:
            raise Unwritable(unusable(state_directory, error)) from error
        if not exists:
            raise missing(state_directory)
        with sqlite_errors(path):
            connection = _reading(path)
            with closed_on_error(connection):
                version = version_of(connection)
                if version == 0:  # its schema is still being made
                    raise missing(state_directory)
                if version != len(MIGRATIONS):
                    raise other_version(version, len(MIGRATIONS))
            return cls(connection, {}, as_it_was=path)

    @classmethod
    def empty(cls) -> "Ledger":
        """One in memory, as it is where nothing was exported yet: for who foresees what would be."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(connection, MIGRATIONS)
        return cls(connection, {})

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    # --- checking ---

    def _check_newest(self) -> None:
        """Compare the newest rows and the end of the record with their hashes."""
        self._select("ORDER BY copies.id DESC LIMIT ?", (_NEWEST,))
        first = max(self.head().seq - _NEWEST, 0)
        self._hangs_together(list(self.entries(first)), Head(first, self._entries.hash_before(first + 1)))

    def check_on(self, limit: int) -> bool:
        """Compare the next rows, or entries of the record, with their hashes: at most `limit`, 40 µs each.

        Each row must be found by the indexes, too. Returns whether that was the end of a pass over the whole
        ledger; the next call begins another one. Nothing is kept of a pass when the ledger is closed.

        Raises:
            Damaged: something is not what was written.
        """
        with sqlite_errors():
            if rows := self._db.execute(CHECKED, (self._checked_row, limit)).fetchall():
                for number, *columns, indexed in rows:
                    check_row(tuple(columns), indexed=bool(indexed))
                    self._checked_row = number
                return False
        entries = list(islice(self.entries(self._checked.seq), limit))
        self._hangs_together(entries, self._checked)
        if entries:
            self._checked = Head(entries[-1].seq, entries[-1].hash)
        if len(entries) < limit:
            self._checked_row, self._checked = 0, Head()
            return True
        return False

    @staticmethod
    def _hangs_together(entries: Iterable[Entry], before: Head) -> None:
        for broken in record.breaks(entries, before):
            raise Damaged(f"the ledger: entry {broken.seq} of the record: {broken.reason}")

    # --- reading ---

    def of_sources(self, sources: Sequence[bytes]) -> dict[bytes, list[Row]]:
        """The rows of these paths, by path."""
        found: dict[bytes, list[Row]] = {}
        wanted = set(sources)
        for some, marks in portions([source_hash(source) for source in sources]):
            for row in self._select(f"WHERE source_hash IN ({marks})", some):
                if row.artifact.path in wanted:
                    found.setdefault(row.artifact.path, []).append(row)
        return found

    def of_keys(self, store: str, keys: Sequence[str]) -> dict[str, list[Row]]:
        """The rows of the copies at these keys of `store`, by key."""
        found: dict[str, list[Row]] = {}
        wanted = set(keys)
        for some, marks in portions([key_hash(store, key) for key in keys]):
            for row in self._select(f"WHERE key_hash IN ({marks})", some):
                if row.store == store and row.key in wanted:
                    found.setdefault(row.key, []).append(row)
        return found

    def due(
        self, now: float, stores: Sequence[str], limit: int, skip: int = 0, longest: float = math.inf
    ) -> list[Row]:
        """Copies to these stores whose next try is due at `now` (seconds since the epoch), oldest first.

        At most `limit`, after the first `skip`. So is one that is to come in more than `longest` seconds: the
        clock was ahead when that was written down.
        """
        found: list[Row] = []
        for bound, at in (("<=", now), (">", now + longest)):
            where = f"WHERE {RETRYING} AND retry_at {bound} ? AND store IN ({', '.join('?' * len(stores))})"
            rest = limit - len(found), skip if bound == "<=" else 0
            found += self._select(f"{where} ORDER BY retry_at LIMIT ? OFFSET ?", (at, *stores, *rest))
        return found

    def standing(self, state: State) -> Iterator[Row]:
        """The copies in this state that no next try is due for, in no order, read a page at a time."""
        last = 0
        while True:
            with sqlite_errors():
                found = self._db.execute(STANDING, (state.value, last, _PAGE_ROWS)).fetchall()
                page = [row_of(tuple(columns)) for _, *columns in found]
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            last = found[-1][0]

    def rows(
        self,
        *,
        user: str | None = None,
        experiment_id: str | None = None,
        states: Iterable[State] | None = None,
        store: str | None = None,
    ) -> Iterator[Row]:
        """The rows that fit, by user, experiment and path. As `listed`."""
        chosen = None if states is None else set(states)
        return self.listed(Listing(user, experiment_id, store, states=chosen))

    def listed(self, listing: Listing, altered: Callable[[Altered], object] | None = None) -> Iterator[Row]:
        """The rows that are listed. One that is not as it was written is told to `altered` and left out.

        Raises:
            Damaged: there is such a row, and nobody to be told.

        Which ones there are is asked once (8 bytes each, 2 s for a million). What they say is read a page
        at a time and may have changed since; nothing is held between pages.
        """
        if not (listing.states is None or listing.states):
            return
        query, values = listing.query()
        with sqlite_errors():
            ids = array("q", (number for (number,) in self._db.execute(query, values)))
        for start in range(0, len(ids), _PAGE_ROWS):
            for row in self._page(ids[start : start + _PAGE_ROWS], altered):
                if listing.states is None or row.state in listing.states:
                    yield row

    def _page(self, ids: "array[int]", altered: Callable[[Altered], object] | None) -> list[Row]:
        """These rows, in this order; see `listed`."""
        query = f"{NUMBERED} IN ({', '.join('?' * len(ids))})"
        with sqlite_errors():
            found = {number: columns for number, *columns in self._db.execute(query, ids)}
            rows = list[Row]()
            for number in ids:
                try:
                    rows.append(row_of(tuple(found[number])))
                except Altered as error:
                    if altered is None:
                        raise
                    altered(error)
            return rows

    def count(self) -> dict[State, int]:
        """How many copies are in each state."""
        with sqlite_errors():
            found = self._db.execute(
                "SELECT state, sum(copies) FROM counts GROUP BY 1 HAVING sum(copies) > 0"
            )
            return {State(state): n for state, n in found}

    def count_by_store(self) -> dict[tuple[str, State], int]:
        """How many copies of each store are in each state. They are counted as they are written."""
        with sqlite_errors():
            found = self._db.execute("SELECT store, state, copies FROM counts WHERE copies > 0")
            return {(store, State(state)): n for store, state, n in found}

    def users(self) -> list[str]:
        """The users with a copy on record, whoever came first."""
        with sqlite_errors():
            found = self._db.execute("SELECT user FROM places GROUP BY user ORDER BY min(id)")
            return [user for (user,) in found]

    def used(self, store: str) -> bool:
        """Whether a copy was ever proven in `store`, or an end of the record anchored there."""
        with sqlite_errors():
            query = "SELECT 1 FROM counts WHERE store = ? AND state = 'proven'"  # 0 where none is any more
            return self._db.execute(query, (store,)).fetchone() is not None

    def knows(self, store: str, key: str) -> bool:
        """Whether any copy is on record at `key` of `store`."""
        with sqlite_errors():
            query = "SELECT 1 FROM copies WHERE key_hash = ? AND store = ? AND key = ? LIMIT 1"
            return self._db.execute(query, (key_hash(store, key), store, key)).fetchone() is not None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The record, from the entry after number `after`, read a page at a time.

        Each line is as it was hashed, byte for byte; where its bytes are lost it is empty.
        """
        return self._entries.after(after)

    def head(self) -> Head:
        """The end of the record."""
        return self._entries.head()

    def last(self, action: str = "", among: int = 1) -> Entry | None:
        """The last entry (of this action) among so many of the newest; None where there is none.

        Raises:
            Damaged: its line is not the one that was hashed.
        """
        newest = self.entries(max(0, self.head().seq - among))
        chosen = (one for one in newest if not action or one.tells(action))
        last = max(chosen, key=lambda one: one.seq, default=None)
        if last is not None and record.hash_of(last.line) != last.hash:
            raise Damaged(f"the ledger: entry {last.seq} of the record is not the one that was hashed")
        return last

    def _select(self, where: str, values: Sequence[object]) -> list[Row]:
        with sqlite_errors():
            return [row_of(found) for found in self._db.execute(f"{READ} {where}", values)]

    # --- writing ---

    def record(self, changes: Sequence[Change], at: float) -> list[Recorded]:
        """Commit these changes and their events, at `at` (seconds since the epoch): all of them, or none.

        Several changes of one copy are applied in order, each to what the one before left. A row may be older
        than the ledger's: what the exporting process says of it holds, and no digest that may be in the store
        is forgotten; a `Replayed`, `Lost`, `Confirmed` or `Ceded`, which speaks of what was read earlier, is
        left out, as the copy has moved on since. All others come back in their order.

        Raises:
            Unwritable: nothing was committed.
            Damaged: the ledger is. Nothing was committed.
            ImpossibleStep: nothing was committed.
        """
        recorded: list[Recorded] = []
        latest: dict[Name, Row] = {}
        with self._transaction() as end:
            head, stand = end, self._copies.stand(changes)
            for change in changes:
                name = change.row.name
                before = latest.get(name) or self._before(change, name, stand.get(name))
                if before is None:
                    continue
                after = step(before, change.event, at)
                latest[name] = after
                account = record.account(before, after, change.event, change.by)
                entry = self._template.append(head, at, account)
                head = Head(entry.seq, entry.hash)
                recorded.append(Recorded(after, change.event, entry, before.state))
            self._copies.write(latest.values(), stand)
            self._entries.append(end, [item.entry for item in recorded])
        return recorded

    def _before(self, change: Change, name: Name, stands: Stand | None) -> Row | None:
        """The row that `change` happens to; None where another process has moved the copy on."""
        row = change.row
        if stands is None or stands.version == (row.state.value, row.changed_at, " ".join(row.ours)):
            return row
        if isinstance(change.event, _OF_EARLIER):
            return None
        now = next(one for one in self.of_sources([name[0]])[name[0]] if one.name == name)
        return replace(row, ours=tuple(dict.fromkeys((*now.ours, *row.ours))))

    def note(self, at: float, fields: Fields) -> Entry:
        """Commit an event that concerns no copy; `fields` name its `action` and its `outcome`.

        Raises:
            Unwritable: nothing was committed.
        """
        with self._transaction() as head:
            entry = record.append(head, at, {**self._context, **fields})
            self._entries.append(head, [entry])
            if entry.tells("audit.anchored"):
                self._db.execute(USED, (fields["store"],))
        return entry

    def in_place(self) -> None:
        """See that what is written would stay.

        Raises:
            Unwritable: the ledger's file lies at its place no more.
        """
        if self._open_file is not None and (reason := self._open_file.left()) is not None:
            raise Unwritable(reason)

    @contextmanager
    def _transaction(self) -> Iterator[Head]:
        """One transaction, given the end of the record as it is now, whoever wrote it."""
        self.in_place()
        with sqlite_errors(self._file):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self.head()
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # what made the commit fail may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing.

    Where nobody writes there is no log. A reader would make one, unless it takes the file as it is.
    """
    mode = "mode=ro" if path.with_name(f"{FILE}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)


def _stamp(path: Path) -> tuple[bool, int, int, int]:
    """What changes when somebody begins to write to the file, or has written."""
    status = path.stat()
    return path.with_name(f"{FILE}-wal").exists(), status.st_ino, status.st_size, status.st_mtime_ns
