"""Proving afterwards: the record hangs together, and the stores hold what it says.

"Cannot be read" is never "different": what cannot be verified is told as that.
Nothing is ever repaired by deleting.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import chain
from typing import Final

from artifactd.artifact import Key
from artifactd.config.effective import Config
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
from artifactd.ledger.rows import Altered
from artifactd.ledger.schema import FILE
from artifactd.ledger.statements import Listing
from artifactd.mirror.engine import context, take
from artifactd.stores.base import Stat, Store, StoreError

Progress = Callable[[int], None]
Look = Callable[[Sequence[Row], Store, Progress], Iterator[Finding]]
"""A way to look at copies of a store. The progress is told the bytes of them as they are known."""

_FILES_AT_ONCE: Final = 4096
_BYTES_AT_ONCE: Final = 256 << 20
"""What a store is asked to read at once, and may need that much room for below the state directory."""


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
    rows = {
        store: [
            row
            for row in ledger.listed(Listing(store=store), partial(_altered, problems, store))
            if _was_proven(row) and chosen()
        ]
        for store in stores
    }
    with progress(sum(row.size for of_one in rows.values() for row in of_one)) as told:
        findings = [
            found
            for store, of_one in rows.items()
            for found in settled(look, of_one, ledger, stores[store], told)
        ]
    problems += [problem(one) for one in findings if one.condition is not Condition.WHOLE]
    problems += _unknown(config, ledger, stores)
    return Verification(findings, problems, others, entries, anchored)


def _altered(problems: list[Problem], store: str, error: Altered) -> None:
    """A row that is not the one that was written: what it says of its copy proves nothing."""
    mend = (
        "the next `artifactd run` or `artifactd sync` that meets it sets the ledger aside and fills a new one"
    )
    problems.append({"problem": "record", "store": store, "key": "", "reason": f"{error}; {mend}"})


def _was_proven(row: Row) -> bool:
    return bool(row.proof) and row.state is not State.UPLOADING


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
    take(ledger, config, now)
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
    for store in stores.values():
        try:
            keys = unknown(store, ledger)
            first = next(keys, None)  # where a directory hangs it raises, and is not looked for
            if first is None or store.name in exports.around(config):
                continue
            for key in chain([first], keys):
                reason = "the ledger does not know this key"
                yield {"problem": "unknown", "store": store.name, "key": key.text, "reason": reason}
        except StoreError as error:
            yield {"problem": "unreadable", "store": store.name, "key": "", "reason": str(error)}


# --- copies ---


def read_back(rows: Sequence[Row], store: Store, progress: Progress) -> Iterator[Finding]:
    """Read the copies from the store and compare."""
    for batch in _batches(rows):
        digests = store.digests([Key(row.key) for row in batch], progress)
        yield from map(compare, batch, digests)


def ask(rows: Sequence[Row], store: Store, progress: Progress) -> Iterator[Finding]:
    """Ask the store for the copies, and read those, last, of which its word proves nothing."""
    unproven = []
    for row, stat in zip(rows, store.stats([Key(row.key) for row in rows]), strict=True):
        found = vouched(row, stat) if isinstance(stat, Stat) else stat
        if found is None and stat is not None:
            unproven.append(row)
        else:
            progress(row.size)
            yield compare(row, found)
    yield from read_back(unproven, store, progress)


def settled(
    look: Look, rows: Sequence[Row], ledger: Ledger, store: Store, progress: Progress
) -> Iterator[Finding]:
    """What `look` finds; a copy that the daemon replaced while it was looked at is looked at once more."""
    for finding in look(rows, store, progress):
        now = None if finding.condition is Condition.WHOLE else _replaced(finding.row, ledger)
        yield from [finding] if now is None else look([now], store, progress)


def _replaced(row: Row, ledger: Ledger) -> Row | None:
    """What is on record of the copy now; None: the same."""
    path = row.artifact.path
    there = (
        now for now in ledger.of_sources([path]).get(path, []) if (now.store, now.key) == (row.store, row.key)
    )
    return next((now for now in there if now != row), None)


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in their order, as many at a time as a store is asked to read at once."""
    batch, size = list[Row](), 0
    for row in rows:
        if batch and (len(batch) >= _FILES_AT_ONCE or size + row.size > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch


def unknown(store: Store, ledger: Ledger) -> Iterator[Key]:
    """Keys in the store that the ledger does not know; the store's own anchors are known.

    Raises:
        StoreError: the store cannot be listed.
    """
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        if not key.text.startswith("_artifactd/") and not ledger.knows(store.name, key.text):
            yield key
