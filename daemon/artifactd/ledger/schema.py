"""The ledger's file: its tables, their migrations, and what can be wrong with it."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from artifactd.ledger import from_schema_2
from artifactd.ledger.place import unusable_file
from artifactd.ledger.rows import Altered

FILE: Final = "ledger.sqlite3"


class LedgerError(Exception):
    """The ledger cannot be used. The message says what to do."""


class Newer(LedgerError):
    """A newer artifactd wrote this ledger; nothing was changed."""


class Damaged(LedgerError):
    """The ledger's bytes are not what was written; nothing in it is to be trusted."""


class Missing(LedgerError):
    """There is no ledger here: nothing was ever exported from this state."""


class Unwritable(LedgerError):
    """The record cannot be used now: no space, no permission, an error of the disk. Nothing was committed."""


class Older(Unwritable):
    """An older artifactd wrote this ledger; whoever opens it to write migrates it."""


Working = Callable[[], object]
"""Is called again and again while something takes long."""

Migration = str | Callable[[sqlite3.Connection, Working], None]
"""SQL, or what works within a transaction that is open."""

MIGRATIONS: Final[tuple[Migration, ...]] = (
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
    """
    CREATE TABLE unfinished (
        upload TEXT PRIMARY KEY, store TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL,
        part_size INTEGER NOT NULL, attempt TEXT NOT NULL, began REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE parts (
        upload TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (upload, number)
    ) STRICT, WITHOUT ROWID;
    """,
    from_schema_2.migrate,
)
"""From schema version n to n + 1. The first makes the schema. A step that was released is never changed."""


_STEPS_A_WORD: Final = 1_000_000
"""Of SQLite's machine, from one word that work goes on to the next: some tens of milliseconds."""

_BUSY_SECONDS: Final = 30.0
"""How long one connection waits for another's transaction."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing ledger, for any thread, which commits what it says and when it says so.

    Raises:
        sqlite3.Error: see `sqlite_errors`.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
    with closed_on_error(connection):
        connection.execute("PRAGMA synchronous=FULL")
    return connection


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


def make(path: Path) -> None:
    """An empty ledger where there is none, for its owner only, as are the files SQLite puts beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def version_of(connection: sqlite3.Connection) -> int:
    """The number of migrations that made this schema; 0: none yet."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Migration], working: Working = lambda: None
) -> None:
    """Bring the schema up to date, each step a transaction: it is made whole, or the older one stays.

    A new ledger is made in one: a death on the way leaves none, and nobody finds one that is half made.
    """
    known = version_of(connection)

    def going_on() -> int:
        if known:  # a new one takes no time
            working()
        return 0  # anything else would interrupt SQLite

    connection.set_progress_handler(going_on, _STEPS_A_WORD)
    for number in (len(migrations),) if known == 0 else range(known + 1, len(migrations) + 1):
        _step(connection, number, migrations, going_on)
    if 0 < known < len(migrations):
        _shrink(connection)
    connection.set_progress_handler(None, 0)


def _step(
    connection: sqlite3.Connection, number: int, migrations: Sequence[Migration], working: Working
) -> None:
    """Bring the schema to version `number`, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it at the same time: then nothing is left to do.
        for migration in migrations[version_of(connection) : number]:
            if isinstance(migration, str):
                for statement in _statements(migration):
                    connection.execute(statement)
            else:
                migration(connection, working)
        connection.execute(f"PRAGMA user_version = {max(number, version_of(connection))}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of a trigger stay together."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _shrink(connection: sqlite3.Connection) -> None:
    """Give back the space that a migration left. Without room for that it stays, and new copies fill it."""
    with suppress(sqlite3.OperationalError):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def other_version(version: int, known: int) -> LedgerError:
    """What to say of a schema that is not the one this program knows."""
    if version > known:
        return Newer(
            f"the ledger has schema {version}, this artifactd knows {known}: install the newer one again"
        )
    return Older(
        f"the ledger has the older schema {version}: `artifactd run` or `artifactd sync` migrates it"
    )


def missing(state_directory: Path) -> Missing:
    """What to say to who wants to read where nothing is."""
    return Missing(
        f"there is no ledger in {state_directory}: nothing was exported with it, or the directory was deleted"
        " or is not mounted. A daemon that runs has stopped publishing then: its log says so. Else run"
        " `artifactd run` or `artifactd sync` first, or mend artifactd.state_directory"
    )


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close the connection where the block raises."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def sqlite_errors(file: Path | None = None) -> Iterator[None]:
    """What SQLite raises, in this file's words. A mistake of ours (`ProgrammingError`) stays what it is.

    `file`: the ledger's, where the block opens or writes it.
    """
    try:
        yield
    except Altered as error:
        raise Damaged(f"the ledger: {error}") from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.OperationalError as error:
        # Python's own "Could not decode to UTF-8" has no code of SQLite's: bytes that nobody wrote.
        if not hasattr(error, "sqlite_errorcode"):
            raise Damaged(f"the ledger: {error}") from error
        raise Unwritable(f"the ledger: {error}" if file is None else unusable_file(file, error)) from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"the ledger: {error}") from error
