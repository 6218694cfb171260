"""Whose files change too fast to be told of one by one: he is set aside for a while. Pure.

The kernel keeps one queue of events for everybody. Who fills it takes the others' events with him, so nobody
is listened to who does. All times are monotonic seconds.
"""

from dataclasses import dataclass, field
from typing import Final

MOST: Final = 2_000
"""Events of one user in a window. More are not listened to.

Two processes that make and rename a file in a loop cause 400,000 a second, and 110,000 are taken: the
kernel's queue of 16,384 is full after 50 ms, in which 5,500 were taken. An honest copy of 10,000 files is
beyond it, too, and is found by looking.
"""

WINDOW: Final = 1.0
"""Seconds."""

LOOK: Final = 3.0
"""Seconds from one look at the folder of a user who is set aside to the next."""

FIRST_TERM: Final = 30.0
"""Seconds for which a user is set aside; doubled each time that he floods again within as long after it."""

LONGEST_TERM: Final = 600.0
"""Seconds; no term is longer."""

TOO_FAST: Final = "its files change too fast to be told of one by one"


@dataclass(slots=True)
class _Term:
    seconds: float
    ends: float
    look_at: float
    over: bool = False


@dataclass(slots=True)
class Flooding:
    """The events of each user in the present window, and who is set aside."""

    most: int = MOST
    _began: float = float("-inf")
    _events: dict[bytes, int] = field(default_factory=dict)
    _terms: dict[bytes, _Term] = field(default_factory=dict)

    def happened(self, user: bytes, now: float) -> bool:
        """One more event of his. Whether he is set aside, by this one or before."""
        if self.aside(user):
            return True
        if now >= self._began + WINDOW:
            self._began = now
            self._events.clear()
        self._events[user] = events = self._events.get(user, 0) + 1
        if events <= self.most:
            return False
        del self._events[user]
        last = self._terms.get(user)
        again = last is not None and now < last.ends + last.seconds
        seconds = min(LONGEST_TERM, 2.0 * last.seconds) if last and again else FIRST_TERM
        self._terms[user] = _Term(seconds, now + seconds, now + LOOK)
        return True

    def aside(self, user: bytes) -> bool:
        """Whether he is set aside: until `freed` tells of him."""
        term = self._terms.get(user)
        return term is not None and not term.over

    @property
    def users(self) -> list[bytes]:
        """Who is set aside."""
        return [user for user, term in list(self._terms.items()) if not term.over]

    def freed(self, now: float) -> list[bytes]:
        """Whose time is over: he is to be listened to again. Each is told once."""
        freed = []
        for user, term in list(self._terms.items()):
            if not term.over and now >= term.ends:
                term.over = True
                freed.append(user)
            elif term.over and now >= term.ends + term.seconds:
                del self._terms[user]
        return freed

    def due(self, now: float) -> list[bytes]:
        """Who is set aside and whose folder is to be looked at now. It counts as looked at then."""
        due = [user for user in self.users if now >= self._terms[user].look_at]
        for user in due:
            self._terms[user].look_at = now + LOOK
        return due
