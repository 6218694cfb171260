"""One action → one event. No store error leaves this file: it becomes what happens to the copy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from artifactd.artifact import Identity, InvalidKey, Key, count_of, printable
from artifactd.decisions.lifecycle import (
    Ceded,
    Event,
    Failed,
    Postponed,
    Proven,
    Refused,
    Row,
    Skipped,
    Started,
    step,
)
from artifactd.decisions.policy import beside
from artifactd.discovery.reading import Reading
from artifactd.stores.base import (
    About,
    Conflict,
    Corrupt,
    Denied,
    Proof,
    Put,
    Receipt,
    Refusal,
    Result,
    Store,
    StoreError,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One put to make: the copy, already on record as started, and the bytes."""

    row: Row
    reading: Reading
    keeps_both: bool = False
    """whether another version may lie beside the key"""
    inherited: tuple[Row, ...] = ()
    """copies at the key of files that are gone: their claim to it ends with the proof of this one"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one put."""

    upload: Upload
    event: Event


@dataclass(frozen=True, slots=True)
class Outage:
    """The store as a whole refused the batch."""

    reason: str
    needs_person: bool
    """whether waiting alone will not mend it"""
    retry_after: float = 0.0
    """seconds that the store asks to be left alone for"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    delivered: tuple[Delivered, ...]
    outage: Outage | None


@dataclass(frozen=True, slots=True)
class Times:
    """The clocks and the chance that an upload needs, given by whoever runs it."""

    monotonic: Callable[[], float]
    """seconds from anywhere, never set back"""
    now: Callable[[], float]
    """seconds since the epoch, as they have gone on since the run began: nobody sets them"""
    retry_in: Callable[[int], float | None]
    """seconds to the next try after so many failures; None: give up"""


def upload(store: Store, batch: Sequence[Upload], times: Times) -> Outcome:
    """Put the batch. Never raises: an exception that nobody foresaw is a failed try of each of its copies."""
    try:
        return _uploaded(store, batch, times)
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs this batch a try, and nothing else
        reason = unexpected(error)
        events = (failure(reason, one.row, one.reading.identity, times) for one in batch)
        return Outcome(tuple(Delivered(one, event) for one, event in zip(batch, events, strict=True)), None)


def unexpected(error: Exception) -> str:
    """What to say of an exception that nobody foresaw."""
    return f"unexpected {type(error).__name__}: {error}"


def _uploaded(store: Store, batch: Sequence[Upload], times: Times) -> Outcome:
    keys = [one.row.key for one in batch]
    results = [_of_all(result, keys) for result in store.put([_put(one) for one in batch])]
    delivered = [
        each
        for one, result in zip(batch, results, strict=True)
        for each in _recognised(one, result, store, times) or _told(one, _event(one, result, store, times))
    ]
    return Outcome(tuple(delivered), next(_outages(results), None))


def _of_all(result: Result, keys: Sequence[str]) -> Result:
    """The result; one of the store as a whole without the key that met it: others are told it, too."""
    match result:
        case Unavailable() if any(key in result.what for key in keys):
            return Unavailable(result.reason, retry_after=result.retry_after)
        case Denied() if any(key in result.what for key in keys):
            return Denied(result.reason)
        case _:
            return result


def _told(one: Upload, event: Event) -> list[Delivered]:
    """The event, and that the key is this file's alone once it is proven."""
    inherited = one.inherited if isinstance(event, Proven) else ()
    ceded = Ceded(f"its file is gone, and {printable(one.row.artifact.path)} has its key now")
    return [Delivered(one, event), *(Delivered(replace(one, row=row), ceded) for row in inherited)]


def _recognised(one: Upload, result: Result, store: Store, times: Times) -> list[Delivered]:
    """What follows where the key is somebody else's, and the very bytes lie beside it, under their digest.

    That is a version which an earlier ledger knew. Nothing is written. Empty: it is not so.
    """
    reading, row = one.reading, one.row
    if not (isinstance(result, Conflict) and one.keeps_both and row.key == row.wanted_key):
        return []
    try:
        key = beside(Key(row.key), reading.digest)
        found = store.stat(key)
        if found is None or found.size != reading.source.size:
            return []
        if (found.digest or store.digest(key)) != reading.digest:
            return []
    except (InvalidKey, StoreError):
        return []
    version = Row(row.store, row.artifact, key.text, row.wanted_key, row.rule)
    started = Started(reading.identity, reading.digest, reading.source.size, reading.evidence)
    proof = Proof.READ_BACK if found.digest is None else Proof.SERVER_CHECKSUM
    receipt = Receipt(reading.digest, found.size, proof, found.version, written=False)
    there = replace(one, row=version)
    begun = replace(one, row=step(version, started))
    return [
        Delivered(there, started),
        Delivered(begun, _event(begun, receipt, store, times)),
        Delivered(one, Skipped(f"{result}; this version is there as {key.name}", reading.identity)),
    ]


def _outages(results: Sequence[Result]) -> Iterator[Outage]:
    """What speaks of the store as a whole."""
    for result in results:
        if isinstance(result, Unavailable | Denied):
            pause = result.retry_after if isinstance(result, Unavailable) else 0.0
            yield Outage(str(result), isinstance(result, Denied), pause)


def _put(one: Upload) -> Put:
    row, artifact = one.row, one.row.artifact
    about = About(printable(artifact.path), artifact.user, artifact.experiment_id, artifact.kind.value)
    source, digest = one.reading.source, one.reading.digest
    return Put(Key(row.key), source, digest, row.there, row.version, about, row.earlier)


def _event(one: Upload, result: Result, store: Store, times: Times) -> Event:
    match result:
        case Receipt():
            return Proven(
                proof=result.proof.value,
                version=result.version,
                written=result.written,
                seconds=max(0.0, times.monotonic() - one.reading.settled.complete_at),
                uri=store.uri(Key(one.row.key)),
            )
        case Unavailable() | Denied():
            return Postponed(str(result), times.now())
        case Refusal():
            return Refused(str(result), one.reading.identity)
        case Corrupt() if not one.reading.unchanged():
            return Postponed("it changed while it was uploaded", times.now())
        case StoreError():
            return failure(str(result), one.row, one.reading.identity, times)
        case _:
            assert_never(result)


def failure(reason: str, row: Row, identity: Identity | None, times: Times) -> Failed | Refused:
    """What a failed try means for the copy: another one later, or, when tries are used up, a person."""
    wait = times.retry_in(row.failures + 1)
    if wait is None:
        return Refused(f"given up after {count_of(row.failures + 1, 'try')}: {reason}", identity)
    return Failed(reason, times.now() + wait, identity)
