"""What all forecasts come to: how much would be sent, and what of the policy is seldom meant. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from artifactd.artifact import count_of, printable, size_of
from artifactd.decisions.policy import BUILT_IN, Policy
from artifactd.inspection.plan import Forecast, Would
from artifactd.linux.files import account, in_command
from artifactd.linux.room import Room

_SHOWN: Final = 3
"""Of what there may be much of."""


def let_read() -> str:
    """What lets this account read what users write."""
    return f"let {account()} read them: chmod g+rX, or an ACL (setfacl -R -m u:{in_command()}:rX)"


@dataclass(slots=True)
class Totals:
    """The sum of the forecasts that it was told."""

    policy: Policy
    sources: int = 0
    """files of experiments, each counted once for each of its copies"""
    wanted: int = 0
    refused: int = 0
    files: Counter[str] = field(default_factory=Counter)
    """copies that a store would be sent"""
    bytes: Counter[str] = field(default_factory=Counter)
    """... and how much that is at most: those that turn out to have the same bytes are not"""
    clashes: int = 0
    """copies whose key another file has or wants"""
    closed: dict[str, None] = field(default_factory=dict)
    """files that this account may not read, by path"""
    _examples: list[str] = field(default_factory=list)
    _matched: Counter[str] = field(default_factory=Counter)

    def hear(self, one: Forecast) -> None:
        """One more."""
        self.sources += 1
        self._matched[one.rule or ""] += 1
        self.wanted += one.would is not Would.LEAVE
        self.refused += one.would is Would.REFUSE
        if one.would in (Would.EXPORT, Would.COMPARE, Would.RETRY):
            self.files[one.store] += 1
            self.bytes[one.store] += one.size
        if one.closed:
            self.closed[printable(one.artifact.path)] = None
        if one.other is not None:
            self.clashes += 1
            if len(self._examples) < _SHOWN:
                pair = f"{printable(one.artifact.path)} and {printable(one.other)}"
                self._examples.append(f"{pair} to {one.store}:{one.key}")

    def clash(self) -> str | None:
        """That files want one key, with examples; None where none do."""
        if not self.clashes:
            return None
        more = ["…"] if self.clashes > len(self._examples) else []
        return f"two files want one key: {'; '.join((*self._examples, *more))}"

    def unreadable(self) -> str | None:
        """That files cannot be read by this account, with examples; None where none are."""
        if not self.closed:
            return None
        shown = list(self.closed)[:_SHOWN]
        more = ["…"] if len(self.closed) > len(shown) else []
        return f"{account()} may not read {len(self.closed)} of the files: {'; '.join(shown + more)}"

    def unmatched(self) -> Iterator[str]:
        """What of the policy matches nothing of what is there. Nothing where nothing is there."""
        if self.sources and not self.wanted:
            yield f"the policy wants none of the {self.sources} files there are: see artifactd plan --all"
        elif self.sources and self.policy.rules != BUILT_IN:
            for rule in self.policy.rules:
                if not self._matched[rule.name]:
                    yield f"rule {rule.name!r} matches nothing that is there and that no rule before it takes"

    def short(self, rooms: Mapping[str, Room]) -> Iterator[str]:
        """Which store has less room than is to be sent; `rooms` has those where that is known."""
        for store, room in rooms.items():
            if self.bytes[store] > room.free:
                yield f"{store} lacks room: {size_of(self.bytes[store])} to send, {size_of(room.free)} free"
            if room.files is not None and self.files[store] > room.files:
                needed = count_of(self.files[store], "file")
                yield f"{store} lacks inodes: {needed} to send, {room.files} inodes free"

    def lines(self, rooms: Mapping[str, Room]) -> Iterator[str]:
        """The sum for a person, one line a store, then what is to be mended."""
        for store, count in self.files.items():
            room = f", {size_of(rooms[store].free)} free there" if store in rooms else ""
            yield f"to {store}: {count_of(count, 'file')}, {size_of(self.bytes[store])}{room}"
        if not self.files:
            yield "nothing to send"
        if self.refused:
            yield f"refused: {self.refused}, each needs a person"
        yield from (f"warning: {one}" for one in self.warnings(rooms))

    def warnings(self, rooms: Mapping[str, Room]) -> Iterator[str]:
        """All that is to be mended."""
        if (clash := self.clash()) is not None:
            yield clash
        if (closed := self.unreadable()) is not None:
            yield f"{closed}: {let_read()}"
        yield from self.unmatched()
        yield from self.short(rooms)
