"""Reading from a store that may hang: it is waited for so long, and then not asked again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from typing import Final, Generic, TypeVar

from artifactd.artifact import Digest, Key
from artifactd.aside import aside
from artifactd.clock import Clock
from artifactd.config.chosen import Destination
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.destinations.git import Bitbucket
from artifactd.config.effective import Config, named
from artifactd.stores.base import Put, Result, Stat, Store, StoreError, Unavailable, no_progress

T = TypeVar("T")

_AHEAD: Final = 1_000
"""Answers that a store may be ahead of whoever asked for them."""


def patience(destination: Destination, seconds: float) -> float:
    """How long to wait for an answer: `seconds`, and as long as a command of git may take."""
    return seconds + (destination.repository.seconds if isinstance(destination, Bitbucket) else 0.0)


def mend_of_silence(destination: Destination) -> str:
    """What to do where it does not answer."""
    return (
        f"see whether its mount is dead: findmnt --target {destination.directory}"
        if isinstance(destination, FileSystem)
        else "see whether its server is well, and whether a firewall drops what is sent there"
    )


def patient(config: Config, stores: Mapping[str, Store], seconds: float, clock: Clock) -> dict[str, Store]:
    """The stores, each waited for no longer than `patience` says."""
    return {
        name: Patient(stores[name], patience(destination, seconds), mend_of_silence(destination), clock)
        for name, destination in named(config)
    }


@dataclass(frozen=True, slots=True)
class _Passed:
    """So many bytes were read."""

    count: int


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    of: T


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


class Patient(Store):
    """`store`, to read from. Each of its answers is waited for in a thread of its own.

    Where it gave none but that it is unavailable, and let no byte pass, for `seconds`, it is given up: that
    answer and all later ones are `Unavailable`, and say so. Whoever uses it may have to leave threads behind
    that hang.
    """

    def __init__(self, store: Store, seconds: float, mend: str, clock: Clock) -> None:
        self.name = store.name
        self._store, self._seconds, self._mend, self._clock = store, seconds, mend, clock
        self._silent = 0.0  # seconds waited since the last answer that was one
        self._given_up: Unavailable | None = None

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        return self._store.put(puts)

    def uri(self, key: Key) -> str:
        """As `Store.uri`."""
        return self._store.uri(key)

    def stat(self, key: Key) -> Stat | None:
        """As `Store.stat`."""
        return next(self._heard(lambda _: iter([self._store.stat(key)])))

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """As `Store.digest`."""
        return next(self._heard(lambda passed: iter([self._store.digest(key, passed)]), progress))

    def stats(self, keys: Sequence[Key]) -> Iterator[Stat | StoreError | None]:
        """As `Store.stats`."""
        return self._each(len(keys), self._heard(lambda _: self._store.stats(keys)))

    def digests(
        self, keys: Sequence[Key], progress: Callable[[int], None] = no_progress
    ) -> Iterator[Digest | StoreError | None]:
        """As `Store.digests`."""
        return self._each(len(keys), self._heard(lambda told: self._store.digests(keys, told), progress))

    def keys(self, prefix: str = "") -> Iterator[Key]:
        """As `Store.keys`."""
        return self._heard(lambda _: self._store.keys(prefix))

    def _each(self, count: int, answers: Iterator[T]) -> Iterator[T | StoreError]:
        """So many answers: where the store is given up, the rest are that."""
        given = 0
        try:
            for answer in answers:
                yield answer
                given += 1
        except Unavailable as error:
            if error is not self._given_up:
                raise
            yield from [error] * (count - given)

    def _heard(
        self,
        ask: Callable[[Callable[[int], None]], Iterable[T]],
        progress: Callable[[int], None] = no_progress,
    ) -> Iterator[T]:
        """What `ask` gives, which tells what it is given of the bytes that pass.

        Raises:
            StoreError: what `ask` raises; that the store is given up.
        """
        if self._given_up is not None:
            raise self._given_up
        said = Queue[_Passed | _Answer[T] | _End](_AHEAD)
        aside(partial(_say, ask, said), f"ask-{self.name}")
        while True:
            match self._next(said):
                case _Passed(count):
                    progress(count)
                case _Answer(answer):
                    yield answer
                case _End(error):
                    if error is not None:
                        raise error
                    return

    def _next(self, said: "Queue[_Passed | _Answer[T] | _End]") -> _Passed | _Answer[T] | _End:
        began = self._clock.monotonic()
        left = self._seconds - self._silent
        try:
            found = said.get(timeout=left) if left > 0 else None
        except Empty:
            found = None
        if found is None:
            what = f"it did not answer within {self._seconds:g} s, and is not asked again"
            self._given_up = Unavailable(f"{what}: {self._mend}")
            raise self._given_up
        unavailable = isinstance(getattr(found, "of", None) or getattr(found, "error", None), Unavailable)
        self._silent = self._silent + self._clock.monotonic() - began if unavailable else 0.0
        return found


def _say(
    ask: Callable[[Callable[[int], None]], Iterable[T]], said: "Queue[_Passed | _Answer[T] | _End]"
) -> None:
    try:
        for answer in ask(lambda count: said.put(_Passed(count))):
            said.put(_Answer(answer))
    except Exception as error:  # noqa: BLE001 - it is raised where the answers are awaited
        said.put(_End(error))
    else:
        said.put(_End(None))
