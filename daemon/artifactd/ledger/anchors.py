"""Anchors: ends of the record in the stores, out of reach of whoever can rewrite the ledger."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from artifactd.artifact import Digest, Key
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.record import Entry
from artifactd.stores.base import Put, Source, Store, StoreError

FOLDER: Final = "_artifactd/anchors/"
"""Where each store keeps them."""

_MOST_VERIFIED: Final = 1000
"""Verifications in a row that are looked past: three years of them, one a day."""

_LOOKED_BACK: Final = 10_000
"""Newest entries among which an anchor is looked for that was not counted: some hundredths of a second."""

_NAME: Final = re.compile(r"([0-9]{12})-([0-9a-f]{64})")
"""Of an anchor: number and hash of the entry that it holds."""


def anchor(ledger: Ledger) -> tuple[Put, Entry] | None:
    """The put that anchors the end of the record: the last entry itself, under its own number and hash.

    Cutting the record's tail, or rewriting all of it, shows against an anchor and against nothing else.
    None where the record is empty, or has nothing since its last anchor but that copies were verified.
    """
    last = _entry(ledger, ledger.head().seq)
    if last is None or _is_anchored(ledger, last):
        return None
    content = last.line.encode("ascii")
    key = Key(f"{FOLDER}{_record_id(ledger)}/{last.seq:012d}-{last.hash}")
    return Put(key, Source(len(content), content), Digest(last.hash)), last


def _is_anchored(ledger: Ledger, last: Entry) -> bool:
    """Whether nothing new has to be anchored: else whoever runs `verify` would have each `sync` send it."""
    entry: Entry | None = last
    for _ in range(_MOST_VERIFIED):
        if entry is None or not entry.tells("copies.verified"):
            break
        entry = _entry(ledger, entry.seq - 1)
    return entry is not None and entry.tells("audit.anchored")


def _entry(ledger: Ledger, number: int) -> Entry | None:
    return next(ledger.entries(number - 1), None) if number > 0 else None


@dataclass(slots=True)
class Told:
    """What a record's entries tell of its end and of its anchors, gathered while they pass."""

    last: int = 0
    """number of the last entry that has passed"""
    keys: dict[str, list[str]] = field(default_factory=dict)
    """of the anchors, by store, the oldest first"""

    def passing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries as they are."""
        for entry in entries:
            self.last = entry.seq
            if entry.tells("audit.anchored"):
                with suppress(ValueError, KeyError, TypeError):  # altered, which the chain shows
                    fields = entry.fields
                    store, key = str(fields["store"]), str(fields["key"])
                    self.keys.setdefault(store, []).append(key)
            yield entry


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something among a store's anchors that does not fit the record."""

    key: str
    """where in the store"""
    reason: str


@dataclass(frozen=True, slots=True)
class Anchored:
    """What a store's anchors say of the record."""

    last: int
    """number of the newest entry that one of them vouches for; 0: none does"""
    contradictions: tuple[Contradiction, ...]


def examined(ledger: Ledger, store: Store, told: Told) -> Anchored:
    """The store's anchors of this record against the record: was its tail cut, was all of it rewritten?

    `told` has heard the record before this is called: a daemon may put more anchors there meanwhile. What
    lies at an anchor's place and is none contradicts the record, too: it may have been one. Anchors of
    another record say nothing of this one; see `other_records`.

    Raises:
        StoreError: the store cannot be listed or read.
    """
    keys = {key.text: key for key in store.keys(f"{FOLDER}{_record_id(ledger)}/")}
    digests = store.digests(list(keys.values()))
    judged = [(_judged(ledger, store, *one), one[0]) for one in zip(keys.values(), digests, strict=True)]
    found = [Contradiction(key.text, one) for one, key in judged if isinstance(one, str)]
    if missing := [key for key in told.keys.get(store.name, ()) if key not in keys]:
        found.append(_missing(missing))
    return Anchored(max((one for one, _ in judged if isinstance(one, int)), default=0), tuple(found))


def _judged(ledger: Ledger, store: Store, key: Key, digest: Digest | StoreError | None) -> int | str:
    """The number of the entry that the object at `key` vouches for, or what is wrong with it.

    Raises:
        StoreError: it could not be read.
    """
    if isinstance(digest, StoreError):
        raise digest
    name = _NAME.fullmatch(key.name)
    if name is None:
        return "this is no anchor, and nothing else belongs here: look at who put it there"
    number, hashed = int(name[1]), name[2]
    if digest != hashed:
        return "this anchor was altered: its content is not the entry that its name says"
    entry = next(ledger.entries(number - 1), None)
    if entry is None or (entry.seq, entry.hash) != (number, hashed):
        return f"the record does not hold entry {number}, which is anchored in {store.name}"
    return number


def _missing(keys: Sequence[str]) -> Contradiction:
    """What to say of anchors that are not where the record says: once, however many there are."""
    many = f" So are {len(keys) - 1} more, the last at {keys[-1]}." if len(keys) > 1 else ""
    return Contradiction(
        keys[0],
        f"the anchor that the record says is here is missing.{many} It was deleted, or the destination is not"
        " the one of then: `artifactd audit` shows it in the entries `config.taken`. If it was deleted,"
        " put it back from a backup, an earlier version or, in git, an earlier commit: docs/record.md,"
        ' "An anchor is gone"',
    )


def other_records(ledger: Ledger, store: Store) -> list[str]:
    """Other records that are anchored in the store: of other hosts, or of ledgers before this one.

    If there is no such host or ledger, this record was written anew from its first entry on.

    Raises:
        StoreError: the store cannot be listed.
    """
    names = {key.text.removeprefix(FOLDER).partition("/")[0] for key in store.keys(FOLDER)}
    return sorted(names - {_record_id(ledger)})


def used(ledger: Ledger, store: str) -> bool:
    """As `Ledger.used`; an anchor counts, too, that an earlier version put there, which counted none."""
    newest = ledger.entries(max(0, ledger.head().seq - _LOOKED_BACK))
    anchored = (entry for entry in newest if entry.tells("audit.anchored"))
    return ledger.used(store) or any(f'"store":{json.dumps(store)}' in entry.line for entry in anchored)


def _record_id(ledger: Ledger) -> str:
    """The record's name: the start of its first entry's hash. A rebuilt ledger begins another record."""
    first = next(ledger.entries(0), None)
    return first.hash[:12] if first else "empty"
