"""A list that a server gives page by page, for as long as it goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from artifactd.stores.base import Unavailable

MOST_EMPTY: Final = 1000
"""Pages in a row without a name. Servers send some where much was deleted, and each costs a request."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    names: Sequence[str]
    after: str
    """the server's name for where the next page begins; empty: there is none"""


def listed(page: Callable[[str], Page], what: str) -> Iterator[str]:
    """Every name. `page` asks for the page after a place, first for that after ""; `what` is the list's name.

    Raises:
        Unavailable: the server claims more and more, and does not go on. What it named until then came.
        StoreError: as `page`.
    """
    after, empty = "", 0
    while True:
        one = page(after)
        yield from one.names
        if not one.after:
            return
        empty = 0 if one.names else empty + 1
        if one.after == after or empty == MOST_EMPTY:
            raise Unavailable("the server claims that the list goes on, and it does not", what)
        after = one.after
