"""What is asked of the table of copies, and what its answers mean."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from artifactd.artifact import Kind
from artifactd.decisions.lifecycle import Row, State
from artifactd.ledger.compact import CHANGING, FIXED, PLACE, expanded, key_hash, source_hash
from artifactd.ledger.rows import check, decoded, shown
from artifactd.ledger.schema import Damaged

_PLACES: Final = len(PLACE.split(","))
_FIXED: Final = len(FIXED.split(","))
_CHANGING: Final = len(CHANGING.split(","))
INSERT: Final = f"INSERT INTO copies (place, {FIXED}, {CHANGING}) VALUES (?{', ?' * (_FIXED + _CHANGING)})"  # noqa: S608 - constants
UPDATE: Final = f"UPDATE copies SET ({CHANGING}) = (?{', ?' * (_CHANGING - 1)}) WHERE id = ?"  # noqa: S608 - constants
MOVE: Final = "UPDATE copies SET place = ?, path = ?, inside = ? WHERE id = ?"

_PLACED: Final = "copies LEFT JOIN places ON places.id = copies.place"
READ: Final = f"SELECT {PLACE}, {FIXED}, {CHANGING} FROM {_PLACED}"  # noqa: S608 - constants
STAND: Final = (
    f"SELECT {PLACE}, path, store, key, wanted_key, copies.id, state, changed_at, digest, ours FROM {_PLACED}"  # noqa: S608 - constants
)
_INDEXED: Final = " AND ".join(
    f"EXISTS (SELECT 1 FROM copies AS c INDEXED BY {index} AND c.id = copies.id)"  # noqa: S608 - constants
    for index in (
        "copies_by_source WHERE source_hash = copies.source_hash",
        "copies_by_key WHERE key_hash = copies.key_hash",
        "copies_by_place WHERE place = copies.place",
    )
)
_PLACE_INDEXED: Final = (
    "EXISTS (SELECT 1 FROM places AS p INDEXED BY sqlite_autoindex_places_1"
    " WHERE (p.user, p.experiment_id, p.folder) = (places.user, places.experiment_id, places.folder)"
    " AND p.id = places.id)"
)
_UNPROVEN: Final = (
    "(copies.state = 'proven' OR EXISTS (SELECT 1 FROM copies AS c INDEXED BY copies_unproven"
    " WHERE c.state <> 'proven' AND c.state = copies.state AND c.retry_at IS copies.retry_at"
    " AND c.id = copies.id))"
)
USED: Final = "INSERT OR IGNORE INTO counts VALUES (?, 'proven', 0)"
"""A store has something of ours, though no copy may be proven there yet."""
RETRYING: Final = "state <> 'proven' AND state = 'retrying'"  # the index is for the unproven
NUMBERED: Final = f"SELECT copies.id, {PLACE}, {FIXED}, {CHANGING} FROM {_PLACED} WHERE copies.id"  # noqa: S608 - constants
STANDING: Final = (
    f"SELECT copies.id, {PLACE}, {FIXED}, {CHANGING} FROM {_PLACED}"  # noqa: S608 - constants
    " WHERE state <> 'proven' AND state = ? AND retry_at IS NULL AND copies.id > ? ORDER BY copies.id LIMIT ?"
)
CHECKED: Final = (
    f"SELECT copies.id, {PLACE}, {FIXED}, {CHANGING}, {_INDEXED} AND {_PLACE_INDEXED} AND {_UNPROVEN}"  # noqa: S608 - constants
    f" FROM {_PLACED}"
    " WHERE copies.id > ? ORDER BY copies.id LIMIT ?"
)


class Order(StrEnum):
    """What copies are listed by."""

    PLACE = f"{PLACE}, path"
    """user, experiment and path"""
    TIME = "changed_at DESC, copies.id DESC"
    """the newest first"""
    NAME = "key, store"
    SIZE = "size DESC, key"
    """the largest first"""
    STATE = "state, changed_at DESC"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which copies are listed, and in which order. None lets everything through."""

    user: str | None = None
    experiment_id: str | None = None
    store: str | None = None
    rule: str | None = None
    kinds: Collection[Kind] | None = None
    states: Collection[State] | None = None
    since: float | None = None
    """seconds since the epoch at which the copy's state last changed, at least"""
    until: float | None = None
    """before that"""
    limit: int | None = None
    order: Order = Order.PLACE

    def query(self) -> tuple[str, list[object]]:
        """What asks for their numbers, and its values."""
        states = set(State) if self.states is None else self.states
        found = "places CROSS JOIN copies INDEXED BY copies_by_place ON copies.place = places.id"
        conditions, values = ["1"], list[object]()
        for condition, value in (
            ("user = ?", self.user),
            ("experiment_id = ?", self.experiment_id),
            ("store = ?", self.store),
            ("rule = ?", self.rule),
            ("changed_at >= ?", self.since),
            ("changed_at < ?", self.until),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if State.PROVEN not in states:  # the few among the many
            found = "copies INDEXED BY copies_unproven LEFT JOIN places ON places.id = copies.place"
            conditions.append("state <> 'proven'")
        for column, chosen in (("state", self.states), ("kind", self.kinds)):
            if chosen is not None:
                conditions.append(f"{column} IN ({', '.join('?' * len(chosen))})")
                values += chosen
        where = " AND ".join(conditions)
        limit = "" if self.limit is None else f" LIMIT {self.limit:d}"
        return f"SELECT copies.id FROM {found} WHERE {where} ORDER BY {self.order}{limit}", values  # noqa: S608 - constants


def row_of(found: tuple[Any, ...]) -> Row:
    """What `READ` found.

    Raises:
        Altered: it is not what was written.
    """
    return decoded(_expanded(found))


def _expanded(found: tuple[Any, ...]) -> tuple[Any, ...]:
    fixed = _PLACES + _FIXED
    return expanded(found[:_PLACES], found[_PLACES:fixed], found[fixed:])


def check_row(found: tuple[Any, ...], *, indexed: bool) -> None:
    """Compare what `CHECKED` found, between its number and the last column, with its hashes.

    Raises:
        Altered, Damaged: it is not what was written, or an index does not find it.
    """
    columns = _expanded(found)
    check(columns)
    hashes = found[_PLACES + 2], found[_PLACES + 6]
    if not indexed or hashes != (source_hash(columns[0]), key_hash(*columns[1:3])):
        raise Damaged(f"the ledger: the row of {shown(columns[0])} is not found by its index")
