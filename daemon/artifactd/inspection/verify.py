"""Proving afterwards: the record hangs together, and the stores hold what it says.

"Cannot be read" is never "different": what cannot be verified is told as that.
Nothing is ever repaired by deleting.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from artifactd.artifact import Key
from artifactd.config import Config
from artifactd.decisions.lifecycle import Row, State
from artifactd.discovery import exports
from artifactd.inspection.findings import (
    PROBLEMS,
    Condition,
    Finding,
    Problem,
    Verification,
    change,
    compare,
    problem,
    vouched,
)
from artifactd.ledger import anchors, record
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import FILE
from artifactd.mirror.engine import context
from artifactd.stores.base import Store, StoreError

Progress = Callable[[int], None]
Look = Callable[[Row, Ledger, Store, Progress], Finding]
"""A way to look at a copy. The progress is told the bytes of it as they are known."""


def verification(
    config: Config,
    ledger: Ledger,
    stores: Mapping[str, Store],
    *,
    look: Look,
    chosen: Callable[[], bool],
    progress: Callable[[int], AbstractContextManager[Progress]],
    expected: Collection[str] = (),
) -> Verification:
    """The record, every copy that was ever proven and is `chosen`, and the keys in the stores, verified.

    `progress` is told the bytes of all the copies first. A store that cannot be read is a problem of its own,
    and so are anchors of other records than those that are `expected`.
    """
    entries, anchored, problems = _record(ledger, stores)
    others = _other_records(ledger, stores)
    problems += _unexpected(others, expected)
    rows = [
        row
        for store in stores
        for row in ledger.rows(store=store)
        if row.proof and row.state is not State.UPLOADING and chosen()
    ]
    with progress(sum(row.size for row in rows)) as told:
        findings = [look(row, ledger, stores[row.store], told) for row in rows]
    problems += [problem(one) for one in findings if one.condition is not Condition.WHOLE]
    problems += _unknown(config, ledger, stores)
    return Verification(findings, problems, others, entries, anchored)


def note(config: Config, found: Verification, now: float) -> None:
    """Have on record what was found, `now` being seconds since the epoch.

    Where nothing was ever exported there is no place to begin a record, and nothing is written.

    Raises:
        LedgerError: it cannot be on record. Nothing else changes by that.
    """
    if not (config.state_directory / FILE).exists():
        return
    counts = found.counts()
    outcome = "failure" if found.problems else "success"
    said = {kind: counts[kind] for kind in PROBLEMS}
    ledger = Ledger.open(config.state_directory, context(config), as_it_is=True)
    ledger.record([row for one in found.findings if (row := change(one)) is not None], now)
    ledger.note(now, {"action": "copies.verified", "outcome": outcome, "copies": len(found.findings), **said})
    ledger.close()


def _record(ledger: Ledger, stores: Mapping[str, Store]) -> tuple[int, int, list[Problem]]:
    """The record's last entry, the last one that is anchored, and where the record was altered.

    That shows within itself, or against its anchors in the stores.
    """
    told, anchored, problems = anchors.Told(), 0, list[Problem]()
    for broken in record.breaks(told.passing(ledger.entries())):
        where = {"store": "", "key": f"entry {broken.seq}"}
        problems.append({"problem": "record", **where, "reason": broken.reason})
    for store in stores.values():
        try:
            found = anchors.examined(ledger, store, told)
        except StoreError as error:
            where = {"store": store.name, "key": anchors.FOLDER}
            problems.append({"problem": "unreadable", **where, "reason": str(error)})
            continue
        anchored = max(anchored, found.last)
        for one in found.contradictions:
            where = {"store": store.name, "key": one.key}
            problems.append({"problem": "record", **where, "reason": one.reason})
    return told.last, anchored, problems


def _other_records(ledger: Ledger, stores: Mapping[str, Store]) -> dict[str, list[str]]:
    """Store → other records that are anchored there. A store that cannot be listed was told of already."""
    others: dict[str, list[str]] = {}
    for store in stores.values():
        with suppress(StoreError):
            if names := anchors.other_records(ledger, store):
                others[store.name] = names
    return others


def _unexpected(others: Mapping[str, Sequence[str]], expected: Collection[str]) -> Iterator[Problem]:
    """Records beside this one that nobody expects."""
    reason = (
        "another record is anchored here: another host's or an earlier ledger's (`--expect` says that it is"
        " known), or else this record was written anew"
    )
    for store, names in others.items():
        for name in names:
            if name not in expected:
                where = {"store": store, "key": f"{anchors.FOLDER}{name}"}
                yield {"problem": "other_record", **where, "reason": reason}


def _unknown(config: Config, ledger: Ledger, stores: Mapping[str, Store]) -> Iterator[Problem]:
    """Keys that the ledger does not know, but where the data directory itself lies in the store."""
    shared = exports.around(config)
    for store in stores.values():
        if store.name in shared:
            continue
        try:
            for key in unknown(store, ledger):
                reason = "the ledger does not know this key"
                yield {"problem": "unknown", "store": store.name, "key": key.text, "reason": reason}
        except StoreError as error:
            yield {"problem": "unreadable", "store": store.name, "key": "", "reason": str(error)}


# --- copies ---


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


def unknown(store: Store, ledger: Ledger) -> Iterator[Key]:
    """Keys in the store that the ledger does not know; the store's own anchors are known.

    Raises:
        StoreError: the store cannot be listed.
    """
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        if not key.text.startswith("_artifactd/") and not ledger.knows(store.name, key.text):
            yield key
