"""How many requests were sent, by operation."""

from collections import Counter
from collections.abc import Mapping
from threading import Lock


class RequestCounts:
    """A count for each name. Threads may count at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str) -> None:
        """One more."""
        with self._lock:
            self._counts[name] += 1

    def counts(self) -> Mapping[str, int]:
        """The counts so far."""
        with self._lock:
            return dict(self._counts)
