"""What is asked of the table of copies, and what its answers mean."""

from typing import Any, Final

from artifactd.decisions.lifecycle import Row
from artifactd.ledger.compact import CHANGING, FIXED, PLACE, expanded, key_hash, source_hash
from artifactd.ledger.rows import check, decoded
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
RETRYING: Final = "state <> 'proven' AND state = 'retrying'"  # the index is for the unproven
NUMBERED: Final = f"SELECT copies.id, {PLACE}, {FIXED}, {CHANGING} FROM {_PLACED} WHERE copies.id"  # noqa: S608 - constants
CHECKED: Final = (
    f"SELECT copies.id, {PLACE}, {FIXED}, {CHANGING}, {_INDEXED} AND {_PLACE_INDEXED} AND {_UNPROVEN}"  # noqa: S608 - constants
    f" FROM {_PLACED}"
    " WHERE copies.id > ? ORDER BY copies.id LIMIT ?"
)


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
        raise Damaged(f"the ledger: the row of {columns[0]!r} is not found by its index")
