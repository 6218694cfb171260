"""What a verification found, and what follows from it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifactd.artifact import Digest, printable
from artifactd.decisions.lifecycle import Change, Confirmed, Lost, Row, State
from artifactd.stores.base import Proof, Stat, StoreError

_PROVEN: Final = (State.PROVEN, State.KEPT)
"""States in which the store holds what was proven."""

Problem = Mapping[str, str]
"""One thing that is wrong: `problem` is one of PROBLEMS, `store` and `key` say where, `reason` why."""

PROBLEMS: Final = ("record", "other_record", "different", "missing", "unreadable", "unknown")
"""What a verification can find wrong, the worst first."""


class Condition(StrEnum):
    """What a verification found of one copy."""

    WHOLE = "whole"
    MISSING = "missing"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One copy, verified."""

    row: Row
    condition: Condition
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was verified at once."""

    findings: Sequence[Finding]
    problems: Sequence[Problem]
    other_records: Mapping[str, Sequence[str]]
    """store → other records that are anchored there, expected ones included"""
    entries: int = 0
    """in the record, which is the number of its last one"""
    anchored: int = 0
    """number of the newest entry that an anchor in any store vouches for; 0: none does"""

    def counts(self) -> Counter[str]:
        """How many problems there are of each kind."""
        return Counter(problem["problem"] for problem in self.problems)

    @property
    def tail(self) -> str:
        """A sentence about the entries that no anchor vouches for; empty where there are none."""
        first, last = self.anchored + 1, self.entries
        if first > last:
            return ""
        if not self.anchored:
            return f"no store has an anchor of this record: were its {last} entries written anew, {_UNSEEN}"
        stand = f"entry {last} stands" if first == last else f"entries {first} to {last} stand"
        return f"{stand} after the last anchor: were that cut off or written anew, {_UNSEEN}"


_UNSEEN: Final = "it would not show"


def compare(row: Row, found: Digest | StoreError | None) -> Finding:
    """What it means that the store holds `found` at the row's key."""
    match found:
        case StoreError():
            return Finding(row, Condition.UNREADABLE, str(found))
        case None:
            return Finding(row, Condition.MISSING, "the store has nothing at this key")
        case _ if found in row.there and (row.state is not State.PROVEN or found == row.digest):
            return Finding(row, Condition.WHOLE)
        case _:
            return Finding(
                row, Condition.DIFFERENT, f"the store has sha256 {found}, recorded is {row.digest}"
            )


def vouched(row: Row, stat: Stat) -> Digest | None:
    """The digest that the store vouches for with what it tells of a copy; None where only reading can tell.

    That is the digest of its own checksum or, where it still has the version that it verified when it took
    the row's bytes, the row's.
    """
    same = stat.version == row.version and stat.size in (None, row.size) and row.state in _PROVEN
    if stat.digest is None and same and row.version and row.proof == Proof.SERVER_CHECKSUM:
        return row.digest
    return stat.digest


def problem(finding: Finding) -> Problem:
    """What is wrong with a copy that is not whole."""
    row = finding.row
    return {
        "problem": finding.condition.value,
        "store": row.store,
        "key": row.key,
        "source": printable(row.artifact.path),
        "reason": finding.reason,
    }


def change(finding: Finding) -> Change | None:
    """What becomes of the copy's row."""
    row = finding.row
    match finding.condition:
        case Condition.MISSING | Condition.DIFFERENT if not row.unfinished:  # else its next try tells
            return Change(row, Lost(finding.reason))
        case Condition.WHOLE if row.state is State.LOST and row.there == (row.digest,):
            return Change(row, Confirmed())
        case _:
            return None
