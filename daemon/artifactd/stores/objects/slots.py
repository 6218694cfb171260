"""As many requests to a server at once as it has connections, and what else waits takes turns."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Slots:
    """What may be under way at once, for one loop. Who waits longest is next, whatever job it is of.

    So a job takes no more of them from another than each has waiting, which is `most` of either.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)

    async def request(self, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns or raises, in its turn."""
        async with self._free:
            return await send()

    async def each(self, act: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
        """`act` on every item, as many at a time as there are slots; it returns when all is done.

        The first exception stops what has not begun, and is raised when what has begun is done.
        """
        left, failures = iter(items), list[Exception]()
        many = min(self._most, len(items))
        await asyncio.gather(*(_work(act, left, failures) for _ in range(many)))
        if failures:
            raise failures[0]


async def _work(act: Callable[[T], Awaitable[None]], left: Iterator[T], failures: list[Exception]) -> None:
    for item in left:
        try:
            await act(item)
        except Exception as error:  # noqa: BLE001 - it is raised when the others are done
            failures.append(error)
        if failures:
            return
