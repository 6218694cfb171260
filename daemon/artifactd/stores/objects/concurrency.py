"""How many requests to one server may be under way at once: found out by trying, not set. Pure.

The right number follows from how long the server takes to answer, how fast both sides and the line are, and
what the server says. None of it is known, but its effect is: while more requests at once carry more, the
number grows, and where fewer carry as much, it shrinks. It is compared in rounds, one at each number, as BBR
and PCC compare rates (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016; Dong et al., "PCC",
2015). The time of a single request is not asked: it follows its size, and varies where nothing is wrong.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from artifactd.decisions.outage import AtOnce

START: Final = 8
"""To begin with: worth it where a server is not on this machine, and little cost where it is."""

MOST: Final = 256
"""Connections. At 50 ms an answer they carry 5,000 small copies a second, more than one interpreter sends.
With what else is open they stay far below 1,024, the descriptors that a process has by default."""

BYTES: Final = 64 << 20
"""Of all bodies under way, beyond the first START. What is sent encrypted is held, up to 256 KiB on each
connection: that many bytes with MOST of them, and less where bodies are larger."""

SECONDS: Final = 30.0
"""That a request may take where more than START are under way. None has less in all unless it is told to, so
those that share a slow line do not run out of their time by being many (`http/deadline.py`)."""

_SLOW: Final = "requests took more than 30 seconds"

_REQUEST: Final = 64 << 10
"""Bytes that a request counts as besides its body's. As much a small copy costs (`decisions/shares.py`)."""

_ELASTICITY: Final = 1 / 3
"""Twice as many at once have to carry a quarter more, as in BBR, half as many again a seventh."""

_FULL: Final = 0.75
"""Share of the number that has to be under way, or it is not what limits, and a round says nothing."""

_IDLE: Final = 1.0
"""Seconds without a request after which what was carried before is compared with nothing."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds to the next trial after one in vain, doubled each time: so slowly is forgotten what was learned."""


@dataclass(frozen=True, slots=True)
class BackedOff:
    """Why there are fewer at once than there were."""

    reason: str
    """what the server said, or that it said nothing"""
    at: float
    """in monotonic seconds"""


@dataclass(frozen=True, slots=True)
class _Level:
    """A number and what it carried."""

    limit: int
    rate: float
    """bytes a second, requests included"""


@dataclass(slots=True)
class _Round:
    """What is counted at one number, once all that is under way was begun at it."""

    changed: float
    """when the number became what it is"""
    since: float | None = None
    """when counting began"""
    requests: int = 0
    bytes: int = 0
    area: float = 0.0
    """requests under way, times seconds"""


class Concurrency:
    """For one server. One thread at a time uses it. All times are monotonic seconds.

    `begin` each request that there is `room` for, and tell what became of it with `ended`.
    """

    def __init__(self, start: int = START, least: int = 1, most: int = MOST) -> None:
        self.limit = start
        """requests that may be under way at once"""
        self.most = most
        """the highest number that `limit` may have"""
        self.under_way = 0
        """requests"""
        self.backed_off: BackedOff | None = None
        self._least = least
        self._always = start
        self._bytes = 0
        self._now = 0.0
        self._round = _Round(-math.inf)
        self._before: _Level | None = None
        """what the number of now is compared with; None: it is not on trial"""
        self._growing, self._doubling, self._doubted = True, True, False
        self._pause = _FIRST_PAUSE
        self._next_trial = -math.inf

    @classmethod
    def of(cls, connections: int | Literal["auto"]) -> "Concurrency":
        """As it is set: a number stays, whatever comes of it."""
        return cls() if connections == "auto" else cls(connections, connections, connections)

    @property
    def now(self) -> AtOnce:
        """For people and for batches."""
        why = self.backed_off
        told = ("", None) if why is None else (why.reason, why.at)
        return AtOnce(self.limit, self.most, self.under_way, *told)

    def room(self, size: int) -> bool:
        """Whether a request with a body of `size` bytes may begin."""
        within = self.under_way < self._always or self._bytes + size <= BYTES
        return self.under_way < self.limit and within

    def begin(self, size: int, now: float) -> None:
        """A request begins."""
        if self.under_way == 0 and now - self._now > _IDLE:
            self._before = None
            self._anew(now)
        self._pass(now)
        self.under_way += 1
        self._bytes += size

    def ended(self, size: int, seconds: float, now: float, refused: str = "") -> None:
        """It ended, after `seconds`. `refused`: what the server said that is too busy, or that it did not."""
        self._pass(now)
        self.under_way -= 1
        self._bytes -= size
        began = now - seconds
        if refused:
            self._back_off(BackedOff(refused, now), began, self._least)
            return
        if seconds > SECONDS and self.limit > self._always:
            self._back_off(BackedOff(_SLOW, now), began, self._always)
        self._count(size, began)
        if self._is_over:
            self._judge()

    # --- rounds ---

    def _pass(self, now: float) -> None:
        if self._round.since is not None:
            self._round.area += self.under_way * (now - self._now)
        self._now = now

    def _anew(self, now: float) -> None:
        self._round = _Round(now)

    def _count(self, size: int, began: float) -> None:
        counted = self._round
        if counted.since is not None:
            counted.requests += 1
            counted.bytes += size
        elif began >= counted.changed:
            counted.since = self._now

    @property
    def _is_over(self) -> bool:
        """Whether enough was counted: little while it doubles, more where differences are small."""
        counted = self._round
        rounds, seconds = (2, 0.05) if self._doubling else (4, 0.2)
        return (
            counted.since is not None
            and counted.requests >= max(rounds * self.limit, START)
            and self._now - counted.since >= seconds
        )

    # --- trials ---

    def _judge(self) -> None:
        """Go on from what the round has shown."""
        counted, before, since = self._round, self._before, self._round.since
        self._anew(self._now)
        if since is None or counted.area < _FULL * self.limit * (self._now - since):
            return
        seconds = self._now - since
        here = _Level(self.limit, (counted.bytes + counted.requests * _REQUEST) / seconds)
        if before is None:
            if self._now >= self._next_trial:
                self._try(here)
        elif _better(here, before) is here:
            self._pause, self._doubted = _FIRST_PAUSE, False
            self._try(here)
        elif self._doubling and not self._doubted:
            self._doubted = True  # a busy moment of this host looks the same: it is tried once more at once
            self.limit, self._before = before.limit, None
        else:
            self._return(before)
            self._growing = not self._growing

    def _try(self, here: _Level) -> None:
        """Compare with more, or with fewer."""
        more = self.limit * 2 if self._doubling else self.limit + max(1, self.limit // 4)
        fewer = self.limit - max(1, self.limit // 4)
        limit = max(self._least, min(more if self._growing else fewer, self.most))
        if limit == self.limit:
            self._return(here)
            self._growing = not self._growing
            return
        self._before, self.limit = here, limit

    def _return(self, level: _Level) -> None:
        """End the trial, and wait with the next one."""
        self.limit, self._before, self._doubling = level.limit, None, False
        self._next_trial = self._now + self._pause
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)

    def _back_off(self, why: BackedOff, began: float, least: int) -> None:
        """Go back to what went well, or to half; once for all that was under way."""
        if least == self.most or (self.backed_off is not None and began < self.backed_off.at):
            return
        self.backed_off = why
        if self._before is not None and self._before.limit < self.limit:
            self._return(self._before)
        else:
            half = max(least, min(self.limit, self.under_way + 1) // 2)
            self._pause = _FIRST_PAUSE
            self._return(_Level(half, 0.0))
        self._growing = True
        self._anew(why.at)


def _better(one: _Level, other: _Level) -> _Level:
    """The one to stay with: more at once, if they carry enough more."""
    fewer, more = sorted((one, other), key=lambda level: level.limit)
    worth = fewer.rate * (more.limit / fewer.limit) ** _ELASTICITY
    return more if more.rate >= worth else fewer
