"""Being told to stop, by a signal, while something is waited for."""

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Stopping:
    """Told once, heard by whoever waits in the same thread.

    A threading.Event would do, but for one thing: a signal's handler runs between two steps of the main
    thread, and where those are inside the Event's own lock, its `set` waits for ever. SimpleQueue.put is made
    for handlers.
    """

    def __init__(self) -> None:
        self._told = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Tell it. Safe in a signal's handler."""
        self._told = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._told

    def wait(self, seconds: float) -> bool:
        """Wait until it is told, at most `seconds`; whether it was."""
        if not self._told:
            with suppress(queue.Empty):
                self._wake.get(timeout=seconds)
        return self._told


@contextmanager
def signals(
    stopping: Stopping, stop: Callable[[str], object], hang_up: Callable[[], object] | None = None
) -> Iterator[None]:
    """SIGTERM and SIGINT set `stopping` and call `stop` with the signal's name, for the length of the block.

    SIGHUP calls `hang_up` where there is one. Main thread only.
    """

    def told(number: int, _frame: object) -> None:
        stopping.set()
        stop(signal.Signals(number).name)

    handlers: dict[int, Callable[[int, object], object]] = {signal.SIGTERM: told, signal.SIGINT: told}
    if hang_up is not None:
        handlers[signal.SIGHUP] = lambda _number, _frame: hang_up()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
