"""Anchors: ends of the record in the stores, out of reach of whoever can rewrite the ledger."""

from collections.abc import Iterator
from typing import Final

from artifactd.artifact import Digest, Key
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Break, Entry
from artifactd.stores.base import Put, Source, Store

FOLDER: Final = "_artifactd/anchors/"
"""Where each store keeps them."""


def anchor(ledger: Ledger) -> tuple[Put, Entry] | None:
    """The put that anchors the end of the record: the last entry itself, under its own number and hash.

    Cutting the record's tail, or rewriting all of it, shows against an anchor and against nothing else.
    None where the record is empty.
    """
    head = ledger.head()
    last = next(ledger.entries(head.seq - 1), None)
    if last is None:
        return None
    content = last.line.encode("ascii")
    key = Key(f"{FOLDER}{_record_id(ledger)}/{last.seq:012d}-{last.hash}")
    return Put(key, Source(len(content), content), Digest(last.hash)), last


def contradictions(ledger: Ledger, store: Store) -> Iterator[Break]:
    """Where an anchor of this record in the store contradicts it: the tail was cut, or all was rewritten.

    Anchors of another record say nothing of this one; see `other_records`.

    Raises:
        StoreError: the store cannot be listed or read.
    """
    for key in store.keys(f"{FOLDER}{_record_id(ledger)}/"):
        number, _, hashed = key.name.partition("-")
        if not number.isdigit() or store.digest(key) != hashed:
            continue  # not an anchor: its content is not the entry that its name says
        entry = next(ledger.entries(int(number) - 1), None)
        if entry is None or entry.hash != hashed:
            yield Break(int(number), f"the record does not hold the entry that is anchored in {store.name}")


def other_records(ledger: Ledger, store: Store) -> list[str]:
    """Other records that are anchored in the store: of other hosts, or of ledgers before this one.

    If there is no such host or ledger, this record was written anew from its first entry on.

    Raises:
        StoreError: the store cannot be listed.
    """
    names = {key.text.removeprefix(FOLDER).partition("/")[0] for key in store.keys(FOLDER)}
    return sorted(names - {_record_id(ledger)})


def _record_id(ledger: Ledger) -> str:
    """The record's name: the start of its first entry's hash. A rebuilt ledger begins another record."""
    first = next(ledger.entries(0), None)
    return first.hash[:12] if first else "empty"
