"""One event loop for all that is sent to a server, in a thread of its own: no request has one for itself."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock, Thread
from typing import Any, Final, TypeVar

from artifactd.stores.base import Unavailable

T = TypeVar("T")

_MOST_ASIDE: Final = 32
"""Blocking calls at a time. They are rare, or hold the interpreter's lock: more would gain nothing."""

_CLOSING_SECONDS: Final = 5.0
"""That a loop which has nothing to do is waited for."""


class Loop:
    """Runs coroutines for threads. Its own thread begins with the first, and keeps no process from ending.

    Nothing that runs in it may block: what may goes `aside`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._asked = dict[Future[Any], asyncio.Task[Any] | None]()
        self._over = ""
        """why nothing new is begun; empty while it is"""
        self._last = list[Callable[[], None]]()
        self._threads = ThreadPoolExecutor(_MOST_ASIDE, f"{name}-aside")

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises. The calling thread waits for it.

        Raises:
            Unavailable: the loop is closed, or ended by a mistake of ours.
        """
        result = Future[T]()
        with self._lock:
            if self._over:
                act.close()
                raise Unavailable(self._over)
            self._asked[result] = None
            self._begun().call_soon_threadsafe(self._begin, act, result)
        return result.result()

    async def aside(self, act: Callable[[], T]) -> T:
        """What `act` returns or raises, which may block: a thread does it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def at_its_end(self, act: Callable[[], None]) -> None:
        """Have `act` called in the loop's thread when it ends."""
        self._last.append(act)

    def close(self) -> None:
        """Begin nothing new. What is under way goes on, and is waited for by who asked for it alone."""
        with self._lock:
            self._over = self._over or f"{self._name} is not sent to any more"
            idle = not self._asked
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stop_if_idle)
        if idle and self._thread is not None:
            self._thread.join(_CLOSING_SECONDS)

    # --- in the loop's thread ---

    def _begun(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(self._mistaken)
            self._thread = Thread(target=self._serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            with self._lock:
                self._over = self._over or "what sends has ended by a mistake of artifactd's own"
                left = dict(self._asked)
                self._asked.clear()
            for result in left:
                result.set_exception(Unavailable(self._over))
            loop.run_until_complete(self._let_go([task for task in left.values() if task is not None]))
            loop.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _let_go(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for act in self._last:
            act()

    def _mistaken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback failed, which nobody foresaw: who waits for what it had to do would wait in vain."""
        if "handle" in context:
            error = context.get("exception")
            self._over = (
                f"what sends has ended by a mistake of artifactd's own: {type(error).__name__}: {error}"
            )
            loop.stop()

    def _begin(self, act: Coroutine[Any, Any, T], result: Future[T]) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._asked[result] = task
        task.add_done_callback(partial(self._done, result))

    def _done(self, result: Future[T], task: asyncio.Task[T]) -> None:
        with self._lock:
            if self._asked.pop(result, None) is None:
                return  # the loop ended: this was told
        if (error := task.exception()) is not None:
            result.set_exception(error)
        else:
            result.set_result(task.result())
        self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if self._over and not self._asked:
            asyncio.get_running_loop().stop()
