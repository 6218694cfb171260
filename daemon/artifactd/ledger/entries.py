"""The record's lines in the ledger's file: read a page at a time, appended within a transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from artifactd.ledger.packed import HASH_BYTES, Block, packed, unpacked
from artifactd.ledger.record import START, Entry, Head
from artifactd.ledger.schema import sqlite_errors

_PAGE_BLOCKS: Final = 16


class Entries:
    """The record of the ledger that `connection` gives access to. No transaction is held between pages.

    Raises:
        LedgerError: see `sqlite_errors`; so do all of its methods.
    """

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connection = connection

    @property
    def _db(self) -> sqlite3.Connection:
        return self._connection()

    def after(self, seq: int) -> Iterator[Entry]:
        """From the entry after number `seq` on, a page at a time.

        Each line is as it was hashed, byte for byte; where its bytes are lost it is empty.
        """
        last = seq
        while blocks := self._blocks(last):
            previous = self.hash_before(blocks[0][0])
            for block in blocks:
                for entry in unpacked(block, previous):
                    if entry.seq > last:
                        yield entry
                    previous = entry.hash
            newest = blocks[-1][0] + len(blocks[-1][2]) // HASH_BYTES - 1
            if newest <= last:
                return
            last = newest

    def _blocks(self, seq: int) -> list[Block]:
        """A page of the record, from the block on that holds the entry after number `seq`."""
        first = "coalesce((SELECT max(first) FROM entries WHERE first <= ?), 0)"
        query = f"SELECT first, lines, hashes FROM entries WHERE first >= {first} ORDER BY first LIMIT ?"  # noqa: S608 - constants
        with sqlite_errors():
            return self._db.execute(query, (seq + 1, _PAGE_BLOCKS)).fetchall()

    def hash_before(self, seq: int) -> str:
        """The hash that the entry of this number names."""
        with sqlite_errors():
            query = "SELECT first, hashes FROM entries WHERE first < ? ORDER BY first DESC LIMIT 1"
            found = self._db.execute(query, (seq,)).fetchone()
        if found is None:
            return START
        first, hashes = found
        end = min(seq - first, len(hashes) // HASH_BYTES) * HASH_BYTES
        digest: str = hashes[end - HASH_BYTES : end].hex()
        return digest

    def head(self) -> Head:
        """The end of the record."""
        with sqlite_errors():
            query = "SELECT first, hashes FROM entries ORDER BY first DESC LIMIT 1"
            found = self._db.execute(query).fetchone()
        if found is None:
            return Head()
        first, hashes = found
        return Head(first + len(hashes) // HASH_BYTES - 1, hashes[-HASH_BYTES:].hex())

    def append(self, head: Head, entries: Sequence[Entry]) -> None:
        """Write these entries, which hang on `head`, within the transaction that is open."""
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?)", packed(entries, head.hash))
