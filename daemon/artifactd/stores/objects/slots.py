"""As many requests to a server at once as it bears, and what else waits takes turns."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from artifactd.clock import Clock
from artifactd.stores.base import Unavailable
from artifactd.stores.http.messages import Unanswered
from artifactd.stores.objects.concurrency import Concurrency

T = TypeVar("T")


class Slots:
    """What may be under way at once, for one loop. Who waits longest is next, whatever job it is of.

    So a job takes no more of them from another than each has waiting, which is as many as there are.
    """

    def __init__(self, concurrency: Concurrency, clock: Clock) -> None:
        self._concurrency = concurrency
        self._clock = clock
        self._waiting = deque[tuple[int, asyncio.Future[None]]]()

    async def request(self, size: int, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns or raises, in its turn. Its body has `size` bytes."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._let_in()
        await turn
        began = self._clock.monotonic()
        refused = ""
        try:
            return await send()
        except (Unavailable, Unanswered) as error:
            refused = error.reason
            raise
        finally:
            now = self._clock.monotonic()
            self._concurrency.ended(size, now - began, now, refused)
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._concurrency.room(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():  # else its loop ends, and nobody waits for it any more
                self._concurrency.begin(size, self._clock.monotonic())
                turn.set_result(None)

    async def each(self, act: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
        """`act` on every item, as many at a time as there are slots; it returns when all is done.

        The first exception stops what has not begun, and is raised when what has begun is done.
        """
        left, failures, tasks = iter(items), list[Exception](), list[asyncio.Task[None]]()

        def help_out() -> None:
            """Work on more items at a time where there are more slots than there were."""
            while len(tasks) < min(self._concurrency.limit, len(items)):
                tasks.append(asyncio.create_task(_work(act, left, failures, help_out)))

        help_out()
        for task in tasks:  # they get more meanwhile
            await task
        if failures:
            raise failures[0]


async def _work(
    act: Callable[[T], Awaitable[None]],
    left: Iterator[T],
    failures: list[Exception],
    help_out: Callable[[], None],
) -> None:
    for item in left:
        try:
            await act(item)
        except Exception as error:  # noqa: BLE001 - it is raised when the others are done
            failures.append(error)
        if failures:
            return
        help_out()
