"""How often the log says the same kind of thing: a flood of one event drowns the others."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from artifactd.log.plain import structlog
from artifactd.log.together import EACH

MOST: Final = 60
"""Lines of one event in one window. Nothing that is as it should be says more."""

WINDOW_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Window:
    since: float
    lines: int = 0
    held_back: int = 0


class Repeats:
    """Holds back what comes too often, as one of structlog's processors. Threads may log at the same time.

    A line that names an entry of the record (`seq`) always passes: there is one for each. The first line of
    an event's next window says in `held_back` how many of its kind were kept from the log.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._windows: dict[str, _Window] = {}

    def __call__(
        self, _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The line.

        Raises:
            structlog.DropEvent: it is held back.
        """
        if "seq" in line or EACH in line:
            return line
        with self._lock:
            held_back = self._counted(str(line["event"]))
        if held_back:
            line["held_back"] = held_back
        return line

    def _counted(self, event: str) -> int:
        now = self._monotonic()
        window = self._windows.get(event)
        held_back = 0
        if window is None or now >= window.since + WINDOW_SECONDS:
            held_back = 0 if window is None else window.held_back
            window = self._windows[event] = _Window(now)
        if window.lines >= MOST:
            window.held_back += 1
            raise structlog.DropEvent
        window.lines += 1
        return held_back
