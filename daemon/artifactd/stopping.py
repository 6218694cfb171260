"""Being told to stop, by a signal, while something is waited for."""

import queue
from contextlib import suppress


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
