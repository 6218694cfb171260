"""What somebody does to the ledger who can write its file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from artifactd.ledger.packed import packed, unpacked
from artifactd.ledger.record import START, Entry

Deed = Callable[[Entry], Entry | None]
"""What becomes of an entry; None: it is cut out."""


@contextmanager
def unguarded(file: Path) -> Iterator[sqlite3.Connection]:
    """The ledger without its triggers."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        for (trigger,) in connection.execute(query).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        yield connection
        connection.execute("VACUUM")


def rewrite(file: Path, deed: Deed) -> None:
    """Write the record anew, each entry as `deed` has it, with the hashes that it had."""
    with unguarded(file) as connection:
        before: list[Entry] = []
        previous = START
        for block in connection.execute("SELECT first, lines, hashes FROM entries ORDER BY first"):
            before += unpacked(block, previous)
            previous = before[-1].hash
        after = [deed(entry) for entry in before]
        assert after != before, "nothing was changed"
        connection.execute("DELETE FROM entries")
        previous = START
        for entry in after:
            if entry is not None:
                connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", packed([entry], previous))
                previous = entry.hash
