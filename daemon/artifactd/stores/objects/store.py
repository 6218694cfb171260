"""A store on a server of objects: small copies in one request each, large ones in parts.

A small copy costs one request. Only where the server refuses its condition, or loses its answer, is the key
looked at: our own attempt or the same bytes are a success, bytes of ours are replaced on the version that was
seen, anything else is a conflict. A large copy is looked for first, because its bytes cost more than a look.
The first copy of all is looked for afterwards: a server may say that it took it, and have nothing.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Final, TypeVar
from uuid import uuid4

from artifactd import checksum
from artifactd.artifact import Digest, InvalidKey, Key
from artifactd.clock import Clock
from artifactd.config.destinations.objects import Connections
from artifactd.decisions.outage import AtOnce
from artifactd.stores.base import (
    Conflict,
    Corrupt,
    Denied,
    Parts,
    Proof,
    Put,
    Receipt,
    Refusal,
    Result,
    Stat,
    Store,
    StoreError,
    Unavailable,
    Unseen,
    no_progress,
)
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.objects.concurrency import Concurrency
from artifactd.stores.objects.retry_after import Retry
from artifactd.stores.objects.sending import InParts, Sending, Whole, in_parts, resumed
from artifactd.stores.objects.server import Absent, Expected, Forgotten, Head, Holds, Objects, Taken
from artifactd.stores.objects.slots import Slots
from artifactd.stores.objects.unfinished import Unfinished, UploadLog

T = TypeVar("T")

_TRIES: Final = 3  # somebody who changes a key faster than this is answered at the next put

_SWEEP_SECONDS: Final = 24 * 3600.0

_NOTHING_KEPT: Final = (
    "the server said that it took this copy, and does not have it: trust it with nothing until its owner "
    "knows why. Is it the server that is meant, or a proxy that answers in its place?"
)
_OWN_VERSIONS: Final = (
    "the server refuses If-Match with the very version that it names, so a file that changed cannot take the "
    'place of its copy: set on_change = "keep_both"'
)


class ObjectStore(Store):
    """Copies as objects below `prefix`.

    `connections` bounds what is sent at a time, parts of a large copy included. Unfinished uploads of ours
    that are older than `abandon_after` seconds are dropped, looked for before the first put and once a day;
    nobody else's are touched.
    """

    def __init__(
        self,
        name: str,
        server: Objects,
        *,
        prefix: str,
        part_size: int,
        connections: Connections,
        abandon_after: float,
        upload_log: UploadLog,
        clock: Clock,
    ) -> None:
        self.name = name
        self.part_size: int = part_size
        self._server = server
        self._prefix = f"{prefix}/" if prefix else ""
        self._abandon_after = abandon_after
        self._upload_log = upload_log
        self._clock = clock
        self._concurrency = Concurrency.of(connections)
        self._slots = Slots(self._concurrency, clock)
        self._retry = Retry(clock)
        self._fruitless = dict[str, int]()
        self._readying = Lock()
        self._ready = False
        self._seeing = asyncio.Lock()
        self._seen = False
        self._swept = -_SWEEP_SECONDS

    @property
    def connections(self) -> AtOnce:
        """As `Store.connections`."""
        return self._concurrency.now

    # --- puts ---

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        try:
            self._make_ready()
        except (Unavailable, Denied) as error:
            return [error] * len(puts)
        except OSError as error:
            return [_unreadable(put, error) for put in puts]
        return self._server.loop.run(self._results(puts))

    async def _results(self, puts: Sequence[Put]) -> list[Result]:
        results = dict[int, Result]()
        out: list[StoreError] = []

        async def deliver(number: int) -> None:
            result = out[0] if out else await self._result(puts[number])
            if isinstance(result, Unavailable | Denied):
                out.append(result)  # the others are not tried: they would hear the same
            results[number] = result

        await self._slots.each(deliver, [n for n, put in enumerate(puts) if not self._is_large(put)])
        for number in (n for n, put in enumerate(puts) if self._is_large(put)):
            await deliver(number)  # its parts take all the slots there are
        return [results[number] for number in range(len(puts))]

    async def _result(self, put: Put) -> Result:
        try:
            return await self._delivered(put)
        except StoreError as error:
            return error
        except OSError as error:
            return _unreadable(put, error)

    async def _delivered(self, put: Put) -> Receipt:
        if self._is_large(put):
            parts = await self._aside(partial(in_parts, put, self.part_size))
            put = replace(put, source=replace(put.source, parts=parts))
            sending = await self._aside(partial(self._in_parts, put, parts))
        else:
            sending = Whole(self._server, self._name(put.key), put, self._slots, self._retry)
        try:
            receipt = await self._settled(put, sending)
        except Denied:
            raise  # of the store, not of this copy: its parts will be wanted
        except Refusal:
            await self._aside(sending.give_up)
            raise
        if not receipt.written:
            await self._aside(sending.give_up)
        elif self._is_large(put):
            await self._aside(sending.done)
        return receipt

    async def _settled(self, put: Put, sending: Sending) -> Receipt:
        """Send until the key holds the bytes.

        Raises:
            StoreError: it does not, or that cannot be known.
        """
        expected = self._first_expectation(put)
        if self._is_large(put) or not self._conditional(put):
            unseen = self._before(put, expected)
            looked = await self._aside(partial(self._look, put, sending.attempt, unseen))
            if isinstance(looked, Receipt):
                return looked
            expected = looked
        failed = StoreError(f"{put.key} is being changed by somebody else, or on its way")
        for _ in range(_TRIES):
            if isinstance(expected, Holds) and not self._server.honours.of_own_versions:
                raise Refusal(f"{put.key} cannot be replaced: {_OWN_VERSIONS}")
            try:
                version = await sending.send(expected)
                there = await self._digest_there(put, version)
                if there == put.digest:
                    return Receipt(put.digest, put.size, self._proof(put), version)
                failed = Corrupt(
                    f"the server has kept other bytes (sha256 {there}) than it was sent", put.key
                )
                expected = Holds(version)
            except (Taken, Unanswered, Forgotten) as error:
                unseen = _after(put, error, expected)
                looked = await self._aside(partial(self._look, put, sending.attempt, unseen))
                if isinstance(looked, Receipt):
                    return looked
                if isinstance(error, Unanswered):
                    raise Unavailable(error.reason, error.what) from error
                expected = looked
        raise failed

    def _first_expectation(self, put: Put) -> Expected:
        return Holds(put.version) if _replaces(put) else Absent()

    async def _digest_there(self, put: Put, version: str) -> Digest:
        """Of the bytes that the server has: by its own checksum, or read back where it verifies none.

        Raises:
            Denied: it has nothing, though it said that it took them.
            StoreError: it cannot be known.
        """
        if self._proof(put) is Proof.SERVER_CHECKSUM:
            if not self._seen:
                await self._see_one_kept(put, version)
            return put.digest
        digest = await self._aside(partial(self.digest, put.key))
        if digest is None:
            raise Denied(_NOTHING_KEPT, put.key)
        return digest

    async def _see_one_kept(self, put: Put, version: str) -> None:
        """Look for the first copy that this store was given, and for no other. Raises as `_digest_there`."""
        async with self._seeing:
            if self._seen:
                return
            look = partial(self._server.head, self._name(put.key))
            try:
                head = await self._aside(partial(self._retry, look))
                kept = head is not None and (head.version != version or head.size == put.size)
            except Refusal:  # this account may not look
                kept = True
            if not kept:
                raise Denied(_NOTHING_KEPT, put.key)
            self._seen = True

    def _before(self, put: Put, expected: Expected) -> Expected | StoreError:
        """What counts where the key may not be looked at before the first write."""
        if self._conditional(put):
            return expected
        of_all = not self._server.honours.of_puts
        ignoring = "ignores conditions" if of_all else "ignores conditions where it puts parts together"
        reason = f"the server {ignoring}, so the key is looked at before, which this account may not: let it"
        return Denied(f"{reason} read, and list", put.key) if of_all else Refusal(f"{put.key}: {reason} read")

    def _conditional(self, put: Put) -> bool:
        """Whether the server honours the condition of this put."""
        honours = self._server.honours
        return honours.of_completion if self._is_large(put) else honours.of_puts

    def _look(self, put: Put, attempt: str, unseen: Expected | StoreError) -> Receipt | Expected:
        """What the key holds: the bytes, or something that may be replaced, or nothing.

        Without permission to list, a server does not tell a missing key from a forbidden one; then `unseen`
        is returned, or raised.

        Raises:
            Conflict: somebody else's bytes.
            StoreError: it cannot be known.
        """
        try:
            head = self._retry(partial(self._server.head, self._name(put.key), put))
        except Denied as denied:
            if isinstance(unseen, StoreError):
                raise unseen from denied
            return unseen
        if head is None:
            return Absent()
        return self._judged(put, head, attempt)

    def _judged(self, put: Put, head: Head, attempt: str) -> Receipt | Expected:
        if head.version == put.version and _replaces(put):
            return Holds(head.version)  # what was proven last: it need not be read to be known
        sent = head.attempt == attempt and self._proof(put) is Proof.SERVER_CHECKSUM
        known = put.digest if sent else head.digest
        if known is None and (head.size == put.size or put.replaceable not in ((), (put.digest,))):
            digest, proof = self.digest(put.key), Proof.READ_BACK
        else:
            digest, proof = known, Proof.SERVER_CHECKSUM
        if digest == put.digest:
            return Receipt(put.digest, head.size, proof, head.version, written=head.attempt == attempt)
        if digest in put.replaceable or head.attempt == attempt or self._arrived_wrong(put, head):
            return Holds(head.version)
        raise Conflict.over(put.key, f"sha256 {digest}" if digest else f"{head.size} bytes")

    def _arrived_wrong(self, put: Put, head: Head) -> bool:
        """Whether bytes of ours changed on their way to a server that checks nothing.

        Nothing but what was written beside them tells it: the run that saw it may have ended since.
        """
        return self._proof(put) is Proof.READ_BACK and head.claimed in (put.digest, *put.replaceable)

    def _proof(self, put: Put) -> Proof:
        """How it is known that the server has the bytes that it was sent."""
        return self._server.proof_of_parts if self._is_large(put) else self._server.proof

    async def _aside(self, act: Callable[[], T]) -> T:
        """What `act` returns or raises, which may block."""
        return await self._server.loop.aside(act)

    # --- large copies ---

    def _is_large(self, put: Put) -> bool:
        return put.source.content is None and put.size > self.part_size

    def _in_parts(self, put: Put, parts: Parts) -> Sending:
        known = [one for one in self._upload_log.unfinished(self.name) if one.key == put.key]
        begun = resumed(put, parts, known)
        for unfinished in known:
            if unfinished is not begun:
                self._abandon(unfinished)
        fresh = Unfinished(self.name, put.key, put.digest, parts.size, "", uuid4().hex, self._clock.now())
        return InParts(
            self._server,
            self._name(put.key),
            put,
            parts,
            begun or fresh,
            self._upload_log,
            self._slots,
            self._retry,
            self._fruitless,
        )

    def _make_ready(self) -> None:
        with self._readying:
            if not self._ready:
                self._retry(self._server.ready)
                self._ready = True
            if self._clock.monotonic() >= self._swept + _SWEEP_SECONDS:
                self._swept = self._clock.monotonic()
                self._sweep()

    def _sweep(self) -> None:
        """Drop what was begun too long ago: its file is gone, or nobody wants it any more."""
        for unfinished in self._upload_log.unfinished(self.name):
            if unfinished.began < self._clock.now() - self._abandon_after:
                self._abandon(unfinished)

    def _abandon(self, unfinished: Unfinished) -> None:
        """Drop an unfinished upload of ours. If the server does not, it is tried again at the next sweep."""
        with suppress(StoreError):
            self._server.abandon(self._name(unfinished.key), unfinished.upload)
            self._upload_log.ended(unfinished.upload)

    # --- reads ---

    def _name(self, key: Key) -> str:
        return self._prefix + key.text

    def uri(self, key: Key) -> str:
        """As `Store.uri`."""
        return self._server.uri(self._name(key))

    def stat(self, key: Key) -> Stat | None:
        """As `Store.stat`."""
        head = self._retry(partial(self._server.head, self._name(key)))
        return None if head is None else Stat(head.size, head.version, head.digest)

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """As `Store.digest`."""
        chunks = self._retry(partial(self._server.read, self._name(key)))
        return None if chunks is None else checksum.of_chunks(chunks, progress)

    def keys(self, prefix: str = "") -> Iterator[Key]:
        """As `Store.keys`."""
        for name in self._server.list(self._prefix + prefix):
            with suppress(InvalidKey):
                yield Key(name.removeprefix(self._prefix))

    def doubts(self) -> Sequence[str]:
        """As `Store.doubts`."""
        doubts, honours = [], self._server.honours
        if not honours.of_puts:
            doubts.append(
                "the server ignores If-None-Match and If-Match: what another writer puts at a key in the "
                "same moment can be overwritten. Keep the destination to artifactd"
            )
        elif not honours.of_completion:
            doubts.append(
                "the server ignores conditions where it puts the parts of a large copy together: what "
                "another writer puts at its key in the same moment can be overwritten. Keep the destination "
                "to artifactd"
            )
        if not honours.of_own_versions:
            doubts.append(_OWN_VERSIONS)
        if self._server.proof is Proof.READ_BACK:
            doubts.append("the server checks no checksum: each copy is read back, which costs a download")
        elif self._server.proof_of_parts is Proof.READ_BACK:
            doubts.append(
                "the server checks no checksum of the parts of a large copy: such a copy is read back, which "
                "costs a download"
            )
        return doubts

    def requests(self) -> Mapping[str, int]:
        """As `Store.requests`."""
        return self._server.requests()

    def close(self) -> None:
        """As `Store.close`. Pauses end at once."""
        self._retry.end()
        self._server.close()


def _after(put: Put, error: StoreError, expected: Expected) -> Expected | StoreError:
    """What counts where the key may not be looked at after this error. To create harms nobody."""
    if not isinstance(error, Taken):
        return expected
    if isinstance(expected, Holds):
        return Absent()
    return Unseen(f"{put.key} is taken, and this account may not look by what: let it read")


def _unreadable(put: Put, error: OSError) -> StoreError:
    """Neither the source nor the upload log is the server's: both are read here."""
    return StoreError(f"what is to be sent cannot be read here: {error.strerror or error}", put.key)


def _replaces(put: Put) -> bool:
    """Whether it takes the place of what was proven last.

    Where all of ours has the very bytes that are to be put, only a look can tell that nothing is to do.
    """
    return bool(put.version) and put.ours != (put.digest,)
