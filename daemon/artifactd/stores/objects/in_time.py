"""Requests that an SDK makes, each over in its time or given up.

An SDK's time-outs are of silence: a server that sends a byte now and then holds it for ever, and nothing can
interrupt it. So it waits in a thread of its own.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Final, TypeVar

from artifactd.aside import aside
from artifactd.stores.base import StoreError, Unavailable
from artifactd.stores.http.deadline import LEAST_RATE

T = TypeVar("T")

_MOST_HANGING: Final = 16
"""Threads that were given up and still wait. With so many no more are begun: their server is not well."""


class InTime:
    """The requests of one SDK to one server. `seconds` is what one may take besides its bytes.

    Threads share it.
    """

    def __init__(self, host: str, seconds: float, least_rate: float = LEAST_RATE) -> None:
        self._host, self._seconds, self._least_rate = host, seconds, least_rate
        self._lock = Lock()
        self._hanging = 0

    def __call__(self, act: Callable[[], T], size: int, what: str, lost: type[StoreError] = Unavailable) -> T:
        """What `act` returns or raises, which moves up to `size` bytes for `what`.

        Raises:
            Unavailable: too many hang already. Nothing was sent.
            StoreError: `lost`, as it took too long. It may have been acted on.
        """
        with self._lock:
            if self._hanging >= _MOST_HANGING:
                raise Unavailable(f"{self._host} has not answered {self._hanging} requests yet", what)
        seconds = self._seconds + size / self._least_rate
        result = aside(act, f"ask-{self._host}")
        try:
            return result.result(seconds)
        except TimeoutError:
            with self._lock:
                self._hanging += 1
            result.add_done_callback(self._over)
            raise lost(f"{self._host} took more than {seconds:.4g} seconds in all", what) from None

    def _over(self, _: Future[T]) -> None:
        with self._lock:
            self._hanging -= 1
