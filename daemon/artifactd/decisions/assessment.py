"""All that follows for one file from what is known of it, found out once. Pure.

Which copies are wanted of it and what each of them needs, which unfinished ones are given up, and which
decisions not to export it are news to the record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from artifactd.artifact import Artifact, Identity, Key, Sighting
from artifactd.decisions.lifecycle import Change, Row, State
from artifactd.decisions.plan import (
    Moment,
    Nothing,
    Outlook,
    Read,
    SourceDamaged,
    damage,
    given_up,
    outlook,
    skipped,
    superseded,
)
from artifactd.decisions.policy import BY_HAND, Decision, LeftAlone, Unnameable, Wanted
from artifactd.decisions.shares import Owner


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that was seen, the artifact that it is, and what is wanted of it. It travels with the file."""

    sighting: Sighting
    artifact: Artifact
    decision: Decision
    asked: bool = False
    """whether `decision` is a person's, who waits for the outcome"""

    @property
    def path(self) -> bytes:
        """Relative to the data directory."""
        return self.sighting.path

    @property
    def identity(self) -> Identity:
        """Of the file, when it was seen."""
        return self.sighting.identity

    @property
    def owner(self) -> Owner:
        """Who takes turns for it."""
        return Owner(self.artifact.user, self.artifact.experiment_id)

    @property
    def on_record(self) -> bool:
        """Whether the ledger may have something to say of it: a rule or a person named it."""
        return not isinstance(self.decision, LeftAlone) or self.decision.on_record


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy that is wanted of a file, at one store."""

    wanted: Wanted
    store: str
    outlook: Outlook

    @property
    def proven(self) -> bool:
        """Whether the store has it, of the file as it is now."""
        return isinstance(self.outlook, Nothing) and self.outlook.done


@dataclass(frozen=True, slots=True)
class Assessment:
    """What follows for one file."""

    subject: Subject
    rows: Sequence[Row]
    """what the ledger knows of its path"""
    copies: tuple[Copy, ...]
    given_up: tuple[Change, ...]
    """copies that something was to be done about and are not wanted any more, unless a person decided"""
    skipped: tuple[Change, ...]
    superseded: tuple[Change, ...]
    """versions of the copies that newer ones have overtaken"""
    damaged: tuple[Change, ...]
    """copies of which it is news that the file is damaged"""

    @property
    def unread(self) -> tuple[Copy, ...]:
        """The copies for which the file has to be read: it is new or has changed, or a person wants it."""
        asked = self.subject.asked
        return tuple(
            copy
            for copy in self.copies
            if isinstance(copy.outlook, Read) or (asked and not isinstance(copy.outlook, SourceDamaged))
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is news to the record before anything is read."""
        given_up = () if self.subject.asked else self.given_up
        return given_up + self.skipped + self.superseded + self.damaged

    @property
    def proven(self) -> int:
        """How many copies need nothing."""
        return sum(copy.proven for copy in self.copies)

    @property
    def stuck(self) -> int:
        """How many copies wait for their next try or for a person."""
        return sum(not copy.proven and not isinstance(copy.outlook, Read) for copy in self.copies)


def assess(subject: Subject, rows: Sequence[Row], stores: Sequence[str], moment: Moment) -> Assessment:
    """What follows for `subject` at this moment; `rows` are all of its path."""
    subject = replace(subject, decision=admitted(subject.decision, rows))
    identity, decision = subject.identity, subject.decision
    wanted = wanted_copies(decision, rows)
    copies = tuple(
        Copy(one, store, outlook(rows, store, one, subject.sighting, moment))
        for one in wanted
        for store in stores
    )
    ended = tuple(given_up(identity, decision, wanted, rows, stores))
    others = [store for store in stores if store not in {change.row.store for change in ended}]
    done = [copy.outlook.row for copy in copies if isinstance(copy.outlook, Nothing) and copy.outlook.done]
    return Assessment(
        subject,
        rows,
        copies,
        ended,
        tuple(skipped(identity, subject.artifact, decision, rows, others)),
        tuple(change for row in done for change in superseded(rows, row)),
        tuple(change for copy in copies for change in _damaged(subject, rows, copy)),
    )


def admitted(decision: Decision, rows: Sequence[Row]) -> Decision:
    """`decision`; a copy whose key no new one would get is wanted where it is, or it would be made twice."""
    if isinstance(decision, Unnameable) and decision.key is not None:
        key = decision.key
        if any(row.wanted_key == key.text and row.proof for row in rows):
            return Wanted(key, decision.rule)
    return decision


def _damaged(subject: Subject, rows: Sequence[Row], copy: Copy) -> Iterator[Change]:
    """That the file is damaged, where the copy's row does not say so yet. A lost copy stays what it is."""
    if not isinstance(copy.outlook, SourceDamaged):
        return
    reason = copy.outlook.reason
    change = damage(rows, copy.store, subject.artifact, copy.wanted, subject.identity, reason)
    said = change.row.state in (State.KEPT, State.REFUSED) and change.row.reason == reason
    if not (said or change.row.state is State.LOST):
        yield change


def wanted_copies(decision: Decision, rows: Sequence[Row]) -> list[Wanted]:
    """The copies that `decision` asks for, and unfinished ones that a person asked for earlier.

    A rule that ignores the artifact now ends those too.
    """
    if isinstance(decision, LeftAlone) and decision.on_record:
        return []
    wanted = [decision] if isinstance(decision, Wanted) else []
    by_hand = {row.wanted_key for row in rows if row.rule == BY_HAND and row.unfinished and row.key}
    by_hand -= {copy.key.text for copy in wanted}
    return wanted + [Wanted(Key(key), BY_HAND) for key in sorted(by_hand)]
