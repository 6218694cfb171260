"""The kinds of destinations, and what each of them can tell of its settings. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple


class StoreKind(StrEnum):
    """The names of Driverless AI's `artifacts_store`."""

    FILE_SYSTEM = "file_system"
    S3 = "s3"
    BITBUCKET = "bitbucket"
    AZURE = "azure"


class Missing(NamedTuple):
    """What a destination cannot do without."""

    keys: tuple[str, ...]
    """any of them would do"""
    needed: str


class Clash(NamedTuple):
    """Values that are right each by itself and wrong together."""

    keys: tuple[str, ...]
    """all that take part; the first is set, and the one to look at"""
    mend: str


def pair(one: str, has_one: object, other: str, has_other: object) -> Iterator[Clash]:
    """The clash of two keys of which neither means anything without the other, if one is not set."""
    if bool(has_one) is not bool(has_other):
        there, away = (one, other) if has_one else (other, one)
        yield Clash((there, away), f"it needs {away} beside it; set both or neither")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the keys say of one destination. Each kind has its own, with a `destination` made of them."""

    touches: ClassVar = False
    """whether clashes and doubts look at the destination itself, which may hang"""

    def missing(self) -> Iterator[Missing]:
        """All that is not set and that the destination cannot do without."""
        yield from ()

    def clashes(self) -> Iterator[Clash]:
        """All that contradicts itself; of secrets nothing but their keys' names."""
        yield from ()

    def doubts(self) -> Iterator[str]:
        """What is allowed but seldom meant, as sentences that show no secret; nothing is missing."""
        yield from ()

    def secrets(self) -> Iterator[str]:
        """Every secret, for whoever has to keep it out of what is shown."""
        yield from ()
