"""Two ways to send one copy to a server of objects: whole, or in parts that survive a crash."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

from artifactd import checksum
from artifactd.stores.base import Corrupt, Denied, Parts, Put, StoreError, size_of_parts
from artifactd.stores.http.messages import Piece, Unanswered
from artifactd.stores.objects.metadata import metadata
from artifactd.stores.objects.retry_after import Retry
from artifactd.stores.objects.server import Absent, Expected, Forgotten, Holds, Objects, Taken
from artifactd.stores.objects.slots import Slots
from artifactd.stores.objects.unfinished import Unfinished, UploadLog

MOST_FRUITLESS: Final = 5
"""Tries that get no part of an upload any further, before it is begun anew: perhaps it is the upload."""


class Sending(Protocol):
    """One copy on its way. It can be sent again, with another expectation. All but `send` may block."""

    @property
    def attempt(self) -> str:
        """Kept in the object's metadata: it tells our own work from anyone else's."""

    async def send(self, expected: Expected) -> str:
        """Send what the server does not have yet. Returns the object's version. Raises as `Objects`."""

    def done(self) -> None:
        """The copy is there: nothing of it has to be remembered."""

    def give_up(self) -> None:
        """The copy is not wanted any more: let the server drop what it has of it."""


@dataclass(slots=True)
class Whole:
    """In one request."""

    server: Objects
    key: str
    put: Put
    slots: Slots
    retry: Retry
    attempt: str = field(default_factory=lambda: uuid4().hex)

    async def send(self, expected: Expected) -> str:
        """As `Sending.send`."""
        described = metadata(self.put, self.attempt)
        send = partial(self.server.put, self.key, self.put, described, expected)
        return await self.retry.awaited(partial(self.slots.request, self.put.size, send))

    def done(self) -> None:
        """As `Sending.done`: nothing is."""

    def give_up(self) -> None:
        """As `Sending.give_up`: there is nothing."""


@dataclass(slots=True)
class InParts:
    """In parts, several at a time. Those that the server has are written down and never sent again."""

    server: Objects
    key: str
    put: Put
    parts: Parts
    unfinished: Unfinished
    """what is written down of it; `upload` is empty before it is begun"""
    upload_log: UploadLog
    slots: Slots
    retry: Retry
    fruitless: dict[str, int]
    """upload → tries in a row in which the server took no part of it"""

    @property
    def attempt(self) -> str:
        """As `Sending.attempt`: that of the run which began it."""
        return self.unfinished.attempt

    async def send(self, expected: Expected) -> str:
        """As `Sending.send`.

        Raises:
            Forgotten: the server has put the parts together, or dropped them. They are forgotten here, too.
            StoreError: as `Objects`. After several tries in a row that got no further all is forgotten, too.
        """
        aside, had = self.server.loop.aside, len(self.unfinished.parts)
        try:
            await aside(self._begin)
            missing = [n for n in range(1, len(self.parts.digests) + 1) if n not in self.unfinished.parts]
            await self.slots.each(self._part, missing)
            version = await aside(partial(self._complete, expected))
        except Forgotten:
            await aside(self._begin_anew)  # it may know the upload still, and lack a part of it
            raise
        except (Denied, Taken):
            raise  # of the store, or of the key
        except StoreError:
            await aside(partial(self._failed, further=len(self.unfinished.parts) > had))
            raise
        await aside(self.done)
        return version

    def _begin(self) -> None:
        if not self.unfinished.upload:
            described = metadata(self.put, self.attempt)
            upload = self.retry(partial(self.server.begin, self.key, self.put, described))
            self.unfinished = self.unfinished.named(upload)
            self.upload_log.begun(self.unfinished)

    async def _part(self, number: int) -> None:
        offset = (number - 1) * self.parts.size
        piece = Piece(self.put.source.fd, offset, min(self.parts.size, self.put.size - offset))
        upload, digest = self.unfinished.upload, self.parts.digests[number - 1]
        send = partial(self.server.part, self.key, upload, number, piece, digest)
        in_turn = partial(self.slots.request, piece.size, send)
        try:
            name = await self.retry.awaited(in_turn)
        except Unanswered:  # a part is the same however often it is sent
            name = await self.retry.awaited(in_turn)
        await self.server.loop.aside(partial(self.upload_log.has, upload, number, name))
        self.unfinished.parts[number] = name

    def _complete(self, expected: Expected) -> str:
        if not self.server.honours.of_completion:
            self._look(expected)
        described, upload, names = (
            metadata(self.put, self.attempt),
            self.unfinished.upload,
            self.unfinished.parts,
        )
        return self.retry(
            partial(self.server.complete, self.key, upload, names, self.put, described, expected)
        )

    def _look(self, expected: Expected) -> None:
        """See whether the key holds what is expected, where the server does not: parts take their time.

        Raises:
            Taken: it does not.
        """
        head = self.retry(partial(self.server.head, self.key))
        if expected != (Absent() if head is None else Holds(head.version)):
            raise Taken("the key does not hold what it held before the parts were sent", self.key)

    def done(self) -> None:
        """As `Sending.done`."""
        if self.unfinished.upload:
            self._ended()

    def give_up(self) -> None:
        """As `Sending.give_up`. What cannot be dropped now is dropped when it is stale."""
        if self.unfinished.upload:
            with suppress(StoreError):
                self.server.abandon(self.key, self.unfinished.upload)
                self._ended()

    def _failed(self, *, further: bool) -> None:
        if upload := self.unfinished.upload:
            self.fruitless[upload] = 0 if further else self.fruitless.get(upload, 0) + 1
            if self.fruitless[upload] >= MOST_FRUITLESS:
                self._begin_anew()

    def _begin_anew(self) -> None:
        """Not now: at the next try. What the server does not drop is left to it."""
        with suppress(StoreError):
            self.server.abandon(self.key, self.unfinished.upload)
        self.done()

    def _ended(self) -> None:
        self.upload_log.ended(self.unfinished.upload)
        self.fruitless.pop(self.unfinished.upload, None)
        self.unfinished = self.unfinished.named("")


def in_parts(put: Put, preferred: int) -> Parts:
    """The parts in which to send the source of `put`: as they were hashed with the whole, or hashed now.

    Raises:
        Corrupt: the source no longer has the digest of `put`.
        OSError: it cannot be read, or was cut.
    """
    size = size_of_parts(put.size, preferred)
    if put.source.parts is not None and put.source.parts.size == size:
        return put.source.parts
    whole, digests, read = checksum.of_parts(put.source.fd, put.size, size)
    if read < put.size:
        raise OSError(None, "it is shorter than it was")
    if whole != put.digest:
        raise Corrupt(f"the source has sha256 {whole}, not {put.digest}", put.key)
    return Parts(size, digests)


def resumed(put: Put, parts: Parts, known: Sequence[Unfinished]) -> Unfinished | None:
    """What can be gone on with of what is `known`: the same bytes at the same key, in the same parts."""
    for unfinished in known:
        if (unfinished.key, unfinished.digest, unfinished.part_size) == (put.key, put.digest, parts.size):
            return unfinished
    return None
