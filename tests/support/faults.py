"""Stores that fail on demand and a clock that waits for nobody: what a test needs to make anything happen."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from artifactd.artifact import Digest, Key
from artifactd.clock import Clock
from artifactd.stores.base import (
    Corrupt,
    Denied,
    Put,
    Result,
    Source,
    Stat,
    Store,
    StoreError,
    Unavailable,
    no_progress,
)

Inner = Callable[[Put], Result]
Fault = Callable[[Put, Inner], Result]
"""What happens to one put instead of the store's own work."""


def none(put: Put, inner: Inner) -> Result:
    """Nothing goes wrong."""
    return inner(put)


def before(error: type[StoreError]) -> Fault:
    """The store says so, and did nothing."""
    return lambda put, _inner: error("injected before the put", put.key.text)


def after(error: type[StoreError]) -> Fault:
    """The store did it, and its answer was lost."""

    def lost(put: Put, inner: Inner) -> Result:
        inner(put)
        return error("injected after the put", put.key.text)

    return lost


def flipped(put: Put, inner: Inner) -> Result:
    """A bit of the first byte changes on its way."""
    content = bytearray(b"".join(put.source.chunks()) or b"\0")
    content[0] ^= 1
    return inner(replace(put, source=Source(len(content), bytes(content))))


FAULTS: tuple[Fault, ...] = (
    flipped,
    *(at(error) for error in (Unavailable, Denied, StoreError, Corrupt) for at in (before, after)),
)


def randomly(seed: int, share: float) -> Iterator[Fault]:
    """For ever: a fault in `share` of the puts, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    while True:
        yield chance.choice(FAULTS) if chance.random() < share else none


@dataclass
class Gate:
    """Holds up what comes to it while it is shut."""

    _open: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        self._open.set()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    @property
    def shuts_nothing(self) -> bool:
        return self._open.is_set()

    def passed(self) -> None:
        self.waiting += 1
        opened = self._open.wait(timeout=60.0)
        self.waiting -= 1
        assert opened, "a test left a gate shut"


class FaultyStore(Store):
    """A store in front of `inner`. Faults come one for each put: scripted ones first, then `always`."""

    def __init__(self, inner: Store, script: Iterator[Fault] | None = None) -> None:
        self.name = inner.name
        self.inner = inner
        self.gate = Gate()
        self.scripted: deque[Fault] = deque()
        self.always: Fault | None = None
        self.tried: list[tuple[Key, Digest]] = []
        """every put that reached the store, in order"""
        self.at_once = 0
        """the most files in one call"""
        self._script = script
        self._turn = threading.Lock()

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        self.at_once = max(self.at_once, len(puts))
        return [self._one(put) for put in puts]

    def _one(self, put: Put) -> Result:
        with self._turn:
            self.tried.append((put.key, put.digest))
            fault = self._next()
        self.gate.passed()
        return fault(put, lambda one: self.inner.put([one])[0])

    def _next(self) -> Fault:
        if self.scripted:
            return self.scripted.popleft()
        if self.always is not None:
            return self.always
        return none if self._script is None else next(self._script)

    def uri(self, key: Key) -> str:
        return self.inner.uri(key)

    def stat(self, key: Key) -> Stat | None:
        return self.inner.stat(key)

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        return self.inner.digest(key, progress)

    def keys(self, prefix: str = "") -> Iterator[Key]:
        return self.inner.keys(prefix)


@dataclass
class ManualClock:
    """Stands still until it is told to go on. `epoch` is what the wall says at the start, until it is set."""

    epoch: float
    seed: int = 0
    passed: float = 0.0

    def advance(self, seconds: float) -> None:
        self.passed += seconds

    def catch_up(self) -> None:
        """No file is from the future, however long it took to write them."""
        self.passed = max(self.passed, time.time() - self.epoch)

    @property
    def clock(self) -> Clock:
        chance = random.Random(self.seed).random  # noqa: S311 - a test's dice
        return Clock(lambda: 1000.0 + self.passed, lambda: self.epoch + self.passed, chance)
