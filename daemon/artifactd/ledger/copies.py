"""The table of copies within a transaction: how copies stand in it, and what is written of them."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from artifactd.decisions.lifecycle import Change, Name, Row
from artifactd.ledger.compact import PLACE, Place, changing_of, digests, fixed_of, place_of, source_hash
from artifactd.ledger.rows import encoded
from artifactd.ledger.statements import INSERT, MOVE, STAND, UPDATE

T = TypeVar("T")

_AT_A_TIME: Final = 500  # placeholders of one query, well below SQLITE_MAX_VARIABLE_NUMBER


class Stand(NamedTuple):
    """How a copy stands in the ledger."""

    id: int
    place: Place
    version: tuple[str, float, str]
    """what tells whether it is still the row that was read"""


class Copies:
    """The copies of the ledger that `connection` gives access to. Its methods raise what SQLite does."""

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connection = connection

    def stand(self, changes: Sequence[Change]) -> dict[Name, Stand]:
        """How the copies of these changes stand in the ledger, asked for all at once: each question costs."""
        stand: dict[Name, Stand] = {}
        sources = {change.row.artifact.path for change in changes}
        for some, marks in portions([source_hash(source) for source in sources]):
            for found in self._connection().execute(f"{STAND} WHERE source_hash IN ({marks})", some):
                place = found[:3]
                path, store, key, wanted, number, state, changed_at, digest, ours = found[3:]
                name = ((place[2] or b"") + path, store, key, key if wanted is None else wanted)
                stand[name] = Stand(number, place, (state, changed_at, digests(digest, ours)))
        return stand

    def write(self, rows: Iterable[Row], stand: Mapping[Name, Stand]) -> None:
        """Write these rows; `stand` has those of them that there are already."""
        places: dict[Place, int] = {}
        new, changed = [], []
        for row in rows:
            columns, stands = encoded(row), stand.get(row.name)
            place = place_of(columns)
            if stands is None:
                new.append((self._number(place, places), *fixed_of(columns), *changing_of(columns)))
                continue
            changed.append((*changing_of(columns), stands.id))
            if stands.place != place:  # the file has another owner, where that names the user
                path, inside = fixed_of(columns)[:2]
                self._connection().execute(MOVE, (self._number(place, places), path, inside, stands.id))
        self._connection().executemany(INSERT, new)
        self._connection().executemany(UPDATE, changed)

    def _number(self, place: Place, known: dict[Place, int]) -> int:
        """The number of the place, which is put down where it is new."""
        if (number := known.get(place)) is None:
            query = "SELECT id FROM places WHERE user = ? AND experiment_id = ? AND folder = ?"
            found = self._connection().execute(query, place).fetchone()
            number = known[place] = found[0] if found else self._new_place(place)
        return number

    def _new_place(self, place: Place) -> int:
        number = self._connection().execute(f"INSERT INTO places ({PLACE}) VALUES (?, ?, ?)", place).lastrowid  # noqa: S608 - constants
        assert number is not None, "SQLite numbers what it inserts"  # noqa: S101 - as it says
        return number


def portions(values: Sequence[T]) -> Iterator[tuple[Sequence[T], str]]:
    """The values as many at a time as one query takes, with as many placeholders."""
    for start in range(0, len(values), _AT_A_TIME):
        some = values[start : start + _AT_A_TIME]
        yield some, ", ".join("?" * len(some))
