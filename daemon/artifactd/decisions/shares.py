"""Who is served next: every user in turn, and of a user every experiment. Pure.

Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit Round Robin", SIGCOMM
1995): whoever has something waiting gets as many bytes a turn as the others, however many files he has and
however large they are. A file counts as QUANTUM at least, so that among small ones nobody is served twice
while another waits.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

QUANTUM: Final = 64 << 10
"""Bytes a turn. As much a small file costs with its request and its entries on record."""


class Owner(NamedTuple):
    """Whose a file is."""

    user: str
    experiment: str


def nobody(_user: str) -> bool:
    """Pass over no user."""
    return False


class _Turns:
    """Names that take turns. The one in front is served while what it saved pays for what is next."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._saved: dict[str, int] = {}
        self._paid = False
        """whether the one in front has its bytes of this turn"""

    def __bool__(self) -> bool:
        return bool(self._order)

    def join(self, name: str) -> None:
        """Take turns from now on, behind all others."""
        if name not in self._saved:
            self._saved[name] = 0
            self._order.append(name)

    def leave(self, name: str) -> None:
        """Take no more turns. What was saved is forgotten: who is idle earns nothing."""
        self._paid = self._paid and self._order[0] != name
        del self._saved[name]
        self._order.remove(name)

    def charge(self, name: str, cost: int) -> None:
        """It was served."""
        self._saved[name] -= cost

    def front(self, cost: Callable[[str], int], but: Callable[[str], bool] = nobody) -> str | None:
        """Who is served next, `cost` being what that takes; None: nobody but those that are passed over."""
        while self._order:
            for _ in range(len(self._order) + 1):  # the one in front may have had its turn
                name = self._order[0]
                if not but(name):
                    self._saved[name] += 0 if self._paid else QUANTUM
                    self._paid = True
                    if self._saved[name] >= cost(name):
                        return name
                self._order.rotate(-1)
                self._paid = False
            missing = [cost(name) - self._saved[name] for name in self._order if not but(name)]
            if not missing:
                break
            # Nobody can pay: as many turns for all, the last aside, as the first of them needs.
            turns = -(-min(missing) // QUANTUM) - 1
            for name in self._order:
                self._saved[name] += 0 if but(name) else turns * QUANTUM
        return None


class _Head(NamedTuple, Generic[K]):
    """What is next of one user's."""

    key: K
    cost: int
    """bytes that it counts for"""


class FairQueue(Generic[K]):
    """Keys that wait, each with its owner and its size in bytes."""

    def __init__(self) -> None:
        self._users = _Turns()
        self._experiments: dict[str, _Turns] = {}
        self._sizes: dict[Owner, dict[K, int]] = {}
        self._owners: dict[K, Owner] = {}
        self._heads: dict[str, _Head[K]] = {}  # as they were found out, until something of the user changes

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, key: K) -> bool:
        return key in self._owners

    def __iter__(self) -> Iterator[K]:
        return iter(self._owners)

    def put(self, owner: Owner, key: K, size: int) -> None:
        """One more that waits. One that waits already keeps its place."""
        if key in self._owners:
            return
        self._owners[key] = owner
        if (sizes := self._sizes.get(owner)) is not None:
            sizes[key] = size
            return
        self._sizes[owner] = {key: size}
        self._users.join(owner.user)
        if owner.user not in self._experiments:
            self._experiments[owner.user] = _Turns()
        self._experiments[owner.user].join(owner.experiment)
        self._heads.pop(owner.user, None)

    def peek(self, but: Callable[[str], bool] = nobody) -> K | None:
        """The next one, which goes on waiting. `but` tells of users that are passed over. None: no one is."""
        user = self._users.front(self._cost, but)
        return None if user is None else self._head(user).key

    def take(self, but: Callable[[str], bool] = nobody) -> K | None:
        """As `peek`. It waits no more, and its owner pays for it."""
        if (user := self._users.front(self._cost, but)) is None:
            return None
        key, cost = self._head(user)
        self._users.charge(user, cost)
        self._experiments[user].charge(self._owners[key].experiment, cost)
        self.discard(key)
        return key

    def discard(self, key: K) -> None:
        """It waits no more, if it did."""
        if (owner := self._owners.pop(key, None)) is None:
            return
        self._heads.pop(owner.user, None)
        del self._sizes[owner][key]
        if self._sizes[owner]:
            return
        del self._sizes[owner]
        self._experiments[owner.user].leave(owner.experiment)
        if not self._experiments[owner.user]:
            del self._experiments[owner.user]
            self._users.leave(owner.user)

    def _cost(self, user: str) -> int:
        return self._head(user).cost

    def _head(self, user: str) -> _Head[K]:
        head = self._heads.get(user)
        if head is None:
            experiment = self._experiments[user].front(lambda name: self._next(user, name).cost)
            assert experiment is not None  # noqa: S101 - a user without experiments has left
            head = self._heads[user] = self._next(user, experiment)
        return head

    def _next(self, user: str, experiment: str) -> _Head[K]:
        key, size = next(iter(self._sizes[Owner(user, experiment)].items()))
        return _Head(key, max(QUANTUM, size))
