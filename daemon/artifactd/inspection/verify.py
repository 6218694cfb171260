"""Proving afterwards: the record hangs together, and the stores hold what it says.

"Cannot be read" is never "different": what cannot be verified is told as that.
Nothing is ever repaired by deleting.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from artifactd.artifact import Digest, Key
from artifactd.decisions.lifecycle import Row, State
from artifactd.ledger import record
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Break
from artifactd.stores.base import Proof, Stat, Store, StoreError


class Condition(StrEnum):
    """What a verification found of one copy."""

    WHOLE = "whole"
    MISSING = "missing"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One copy, verified."""

    row: Row
    condition: Condition
    reason: str = ""


def compare(row: Row, found: Digest | StoreError | None) -> Finding:
    """What it means that the store holds `found` at the row's key. Pure."""
    match found:
        case StoreError():
            return Finding(row, Condition.UNREADABLE, str(found))
        case None:
            return Finding(row, Condition.MISSING, "the store has nothing at this key")
        case _ if found in row.ours and (row.state is not State.PROVEN or found == row.digest):
            return Finding(row, Condition.WHOLE)
        case _:
            return Finding(
                row, Condition.DIFFERENT, f"the store has sha256 {found}, recorded is {row.digest}"
            )


Progress = Callable[[int], None]
Look = Callable[[Row, Ledger, Store, Progress], Finding]
"""A way to look at a copy. The progress is told the bytes of it as they are known."""


def read_back(row: Row, ledger: Ledger, store: Store, progress: Progress) -> Finding:
    """Read the copy from the store and compare."""
    return _settled(row, ledger, lambda one: _read_back(one, store, progress))


def ask(row: Row, ledger: Ledger, store: Store, progress: Progress) -> Finding:
    """Ask the store for the copy, and read it only where the store's word proves nothing."""
    return _settled(row, ledger, lambda one: _asked(one, store, progress))


def _settled(row: Row, ledger: Ledger, look: Callable[[Row], Finding]) -> Finding:
    """What `look` finds; a copy that the daemon replaced while it was looked at is looked at once more."""
    finding = look(row)
    if finding.condition is not Condition.WHOLE:
        for now in ledger.of_sources([row.artifact.path]).get(row.artifact.path, []):
            if (now.store, now.key) == (row.store, row.key) and now != row:
                return look(now)
    return finding


def _read_back(row: Row, store: Store, progress: Progress) -> Finding:
    try:
        return compare(row, store.digest(Key(row.key), progress))
    except StoreError as error:
        return compare(row, error)


def _asked(row: Row, store: Store, progress: Progress) -> Finding:
    try:
        stat = store.stat(Key(row.key))
    except StoreError as error:
        return compare(row, error)
    found = None if stat is None else vouched(row, stat)
    if stat is not None and found is None:
        return _read_back(row, store, progress)
    progress(row.size)
    return compare(row, found)


def vouched(row: Row, stat: Stat) -> Digest | None:
    """The digest that the store vouches for with what it tells of a copy; None where only reading can tell.

    That is the digest of its own checksum or, where it still has the version that it verified when it took
    the row's bytes, the row's. Pure.
    """
    same = stat.version == row.version and stat.size == row.size and row.state is State.PROVEN
    if stat.digest is None and same and row.version and row.proof == Proof.SERVER_CHECKSUM:
        return row.digest
    return stat.digest


def unknown(store: Store, ledger: Ledger) -> Iterator[Key]:
    """Keys in the store that the ledger does not know; the store's own anchors are known.

    Raises:
        StoreError: the store cannot be listed.
    """
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        if not key.text.startswith("_artifactd/") and not ledger.knows(store.name, key.text):
            yield key


def breaks(ledger: Ledger) -> Iterator[Break]:
    """Every place where the record does not hang together, from its first entry to its last."""
    return record.breaks(ledger.entries())
