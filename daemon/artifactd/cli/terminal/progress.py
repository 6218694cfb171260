"""How far work on many bytes is, in a line for a person. Pure: what happens goes in, a sentence comes out."""

import math
from dataclasses import dataclass, replace
from typing import Final

from artifactd.artifact import count_of, size_of

_SMOOTHED: Final = 10.0
"""Seconds over which a rate is smoothed: one large file more or less does not make it jump."""

_MEASURED: Final = 3.0
"""Seconds that a rate has to be of before the time that is left follows from it."""

_SILENT: Final = 15.0
"""Seconds without a copy that has ended, from which on the rate says nothing of how long the rest takes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. Times are monotonic seconds."""

    copies: int = 0
    """that there are to do, as far as is known"""
    bytes: int = 0
    """of these"""
    done: int = 0
    """copies that have ended"""
    bytes_done: int = 0
    whole: bool = False
    """whether all that there is to do is known"""
    looked_at: int = 0
    """files that a scan has looked at so far"""
    quiet: int = 0
    """files that only have to stay as they are for longer"""
    unfinished: int = 0
    """files that are not complete, and may never be"""
    idle: bool = False
    """whether nothing is under way: only waiting is left"""
    _at: float | None = None
    _counted: int = 0  # of `bytes_done`, at `_at`
    _news: float = 0.0  # when `bytes_done` last grew
    _rate: float = 0.0
    _spent: float = 0.0  # seconds that the rate is of

    def more(self, size: int) -> "Progress":
        """A copy of `size` bytes is to be done, too."""
        return replace(self, copies=self.copies + 1, bytes=self.bytes + size)

    def less(self, size: int) -> "Progress":
        """A copy of `size` bytes is not to be done any more."""
        return replace(self, copies=self.copies - 1, bytes=self.bytes - size)

    def ended(self, size: int, copies: int = 1) -> "Progress":
        """So many bytes are done, and so many copies with them."""
        return replace(self, done=self.done + copies, bytes_done=self.bytes_done + size)

    def at(self, now: float) -> "Progress":
        """It is as it is, `now`. Time in which nothing is under way counts for no rate."""
        grown, passed = self.bytes_done - self._counted, now - (now if self._at is None else self._at)
        news = now if grown or self._at is None else self._news
        if self.idle or passed <= 0:
            return replace(self, _at=now, _news=news)
        kept = math.exp(-passed / _SMOOTHED)
        rate = self._rate * kept + grown / passed * (1 - kept)
        return replace(
            self, _at=now, _counted=self.bytes_done, _news=news, _rate=rate, _spent=self._spent + passed
        )

    @property
    def rate(self) -> float | None:
        """Bytes a second; None where nothing can be said of it."""
        if self._spent <= 0 or not self.bytes_done or (self._at or 0.0) - self._news > _SILENT:
            return None
        return self._rate / (1 - math.exp(-self._spent / _SMOOTHED))

    def sentence(self) -> str:
        """For a person."""
        if self.whole and self.idle and (self.quiet or self.unfinished):
            return ", ".join(filter(None, (self._waiting(), self._so_far())))
        if not self.whole:
            return ", ".join(
                filter(None, (f"looking: {count_of(self.looked_at, 'file')}", self._so_far(), self._speed()))
            )
        if not (self.copies or self.bytes):
            return "nothing to do"
        share = f"{100 * self.bytes_done // self.bytes if self.bytes else 100 * self.done // self.copies} %"
        copies = f"{self.done} of {count_of(self.copies, 'copy')}" if self.copies else ""
        amount = f"{size_of(self.bytes_done)} of {size_of(self.bytes)}"
        return ", ".join(filter(None, (share, copies, amount, self._speed(), self._left())))

    def _so_far(self) -> str:
        done = f"{count_of(self.done, 'copy')} done ({size_of(self.bytes_done)})" if self.done else ""
        left = self.copies - self.done
        more = f"{left} to do ({size_of(self.bytes - self.bytes_done)})" if left and not self.idle else ""
        return ", ".join(filter(None, (done, more)))

    def _waiting(self) -> str:
        quiet = f"waiting for {count_of(self.quiet, 'file')} to stay unchanged" if self.quiet else ""
        unfinished = f"{self.unfinished} not complete" if self.unfinished else ""
        return ", ".join(filter(None, (quiet, unfinished)))

    def _speed(self) -> str:
        return "" if self.rate is None else f"{size_of(int(self.rate))}/s"

    def _left(self) -> str:
        if not self.rate or self._spent < _MEASURED or self.bytes_done >= self.bytes:
            return ""
        seconds = (self.bytes - self.bytes_done) / self.rate
        for unit, of_the_next in (("s", 100), ("min", 100)):
            if seconds < of_the_next:
                return f"{math.ceil(seconds)} {unit} left"
            seconds /= 60
        return f"{math.ceil(seconds)} h left"
