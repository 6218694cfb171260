"""Several threads for one job: as many things at once as a store has connections."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Threads that whoever has a job shares with others. The caller is one of them for its own job."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, name)

    def each(self, act: Callable[[T], None], items: Sequence[T]) -> None:
        """`act` on every item, several at a time; it returns when all is done.

        The first exception stops what has not begun, and is raised when what has begun is done.
        """
        source = _Shared(iter(items))
        helpers = list[Future[None]]()
        with suppress(RuntimeError):  # closed meanwhile: then the caller does the rest alone
            for _ in range(min(self._threads, len(items)) - 1):
                helpers.append(self._pool.submit(_work, act, source))
        try:
            _work(act, source)
        finally:
            for helper in helpers:
                helper.cancel()
            failures = [error for one in helpers if not one.cancelled() and (error := one.exception())]
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Let the threads go. Who has a job still does the rest of it alone."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Shared(Iterator[T]):
    """An iterator that threads take turns with, and that ends for all of them when one has failed."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._lock = Lock()
        self._stopped = False

    def __next__(self) -> T:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._items)

    def stop(self) -> None:
        self._stopped = True


def _work(act: Callable[[T], None], items: _Shared[T]) -> None:
    try:
        for item in items:
            act(item)
    except BaseException:
        items.stop()
        raise
