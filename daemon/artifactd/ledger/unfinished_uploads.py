"""What stores write down of their unfinished puts, in the ledger's file: parts survive a crash and a reboot.

It has a connection of its own, because stores write from their threads while the ledger belongs to the
mirror's. Nothing here is evidence: a store that finds them wrong begins anew.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from artifactd.artifact import Digest, Key
from artifactd.ledger.schema import FILE, LedgerError, connect, sqlite_errors
from artifactd.stores.base import Unavailable
from artifactd.stores.objects.unfinished import Unfinished, UploadLog


class LedgerUploadLog(UploadLog):
    """The upload log of the ledger in `state_directory`, which has been opened, and so migrated, before.

    Raises:
        LedgerError: it cannot be opened.
    """

    def __init__(self, state_directory: Path) -> None:
        self._lock, self._file = Lock(), state_directory / FILE
        with sqlite_errors(self._file):
            self._db = connect(self._file)

    def begun(self, unfinished: Unfinished) -> None:
        """As `UploadLog.begun`."""
        one = unfinished
        values = (one.upload, one.store, one.key.text, one.digest, one.part_size, one.attempt, one.began)
        with self._commit():
            self._db.execute("INSERT INTO unfinished VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def has(self, upload: str, number: int, name: str) -> None:
        """As `UploadLog.has`."""
        with self._commit():
            self._db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (upload, number, name))

    def ended(self, upload: str) -> None:
        """As `UploadLog.ended`."""
        with self._commit():
            self._db.execute("DELETE FROM unfinished WHERE upload = ?", (upload,))
            self._db.execute("DELETE FROM parts WHERE upload = ?", (upload,))

    def unfinished(self, store: str) -> Sequence[Unfinished]:
        """As `UploadLog.unfinished`."""
        columns = "upload, key, digest, part_size, attempt, began"
        query = f"SELECT {columns} FROM unfinished WHERE store = ? ORDER BY began"  # noqa: S608 - constants
        with self._commit():
            return [
                Unfinished(
                    store, Key(key), Digest(digest), part_size, upload, attempt, began, self._parts(upload)
                )
                for upload, key, digest, part_size, attempt, began in self._db.execute(
                    query, (store,)
                ).fetchall()
            ]

    def _parts(self, upload: str) -> dict[int, str]:
        return dict(self._db.execute("SELECT number, name FROM parts WHERE upload = ?", (upload,)))

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """One transaction of one thread."""
        try:
            with self._lock, sqlite_errors(self._file):
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
        except LedgerError as error:
            raise Unavailable(f"unfinished uploads cannot be written down: {error}") from error

    def close(self) -> None:
        """Close it."""
        self._db.close()
