"""How much of the record one user's files may fill, and how often one file is exported anew. Pure.

The record keeps everything for good, so nobody may make it grow at will: by rewriting a file all day long, or
by making and deleting others. What is held back is not lost: it is exported when its time has come, in the
version that it has then. All times are monotonic seconds.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

HOUR: Final = 3600.0

ENTRIES: Final = 10_000
"""Of the record, for each user in an hour, and besides:"""

ENTRIES_OF_A_FILE: Final = 4
"""... as many for each of his files that is there. A first sync needs two."""

_FREE_VERSIONS: Final = 3
"""Of one file in an hour, before the next ones are spaced."""

_FIRST_SPACE: Final = 10.0
_WIDEST_SPACE: Final = 600.0

_REMEMBERED: Final = 20_000
"""Files whose versions are counted; of more, the ones that were exported last."""


@dataclass(slots=True)
class _Window:
    began: float
    entries: int = 0
    told: bool = False


@dataclass(slots=True)
class Allowance:
    """Entries of the record that each user's files caused in the present hour, or that somebody caused."""

    entries: int = ENTRIES
    """... of each, before he has to wait"""
    _windows: dict[str, _Window] = field(default_factory=dict)

    def spend(self, user: str, now: float) -> None:
        """One more entry."""
        self._window(user, now).entries += 1

    def used_up(self, user: str, files: int, now: float) -> bool:
        """Whether this user, who has so many files, has to wait for the next hour."""
        return self._window(user, now).entries >= self.entries + ENTRIES_OF_A_FILE * files

    def news(self, user: str, now: float) -> float | None:
        """Seconds until the next hour of a user who has to wait for it, told once an hour. None: told."""
        window = self._window(user, now)
        if window.told:
            return None
        window.told = True
        return window.began + HOUR - now

    def held_back(self, now: float) -> list[str]:
        """The users who were told to wait for the next hour, while it has not come."""
        return [user for user, one in self._windows.items() if one.told and now < one.began + HOUR]

    def _window(self, user: str, now: float) -> _Window:
        window = self._windows.get(user)
        if window is None or now >= window.began + HOUR:
            self._windows = {name: one for name, one in self._windows.items() if now < one.began + HOUR}
            window = self._windows[user] = _Window(now)
        return window


@dataclass(slots=True)
class Versions:
    """How often files were exported lately. The more often, the longer the next version has to wait."""

    _exported: OrderedDict[bytes, tuple[int, float]] = field(default_factory=OrderedDict)
    """path → versions within an hour of each other, and when the last one was"""

    def exported(self, path: bytes, now: float) -> None:
        """A version of the file goes to its stores."""
        count, last = self._exported.pop(path, (0, now))
        self._exported[path] = (count + 1 if now < last + HOUR else 1, now)
        if len(self._exported) > _REMEMBERED:
            self._exported.popitem(last=False)

    def not_before(self, path: bytes) -> float | None:
        """When the next version may go; None: at once."""
        count, last = self._exported.get(path, (0, 0.0))
        if count < _FREE_VERSIONS:
            return None
        return last + min(_WIDEST_SPACE, _FIRST_SPACE * 2.0 ** min(30, count - _FREE_VERSIONS))
