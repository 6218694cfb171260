"""What people and Driverless AI's hooks ask of a mirror: a hint, or an export by hand."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, assert_never

from artifactd.artifact import NAME_BYTES, Artifact, Sighting, printable
from artifactd.decisions.allowance import Allowance
from artifactd.decisions.assessment import Subject
from artifactd.decisions.lifecycle import (
    Event,
    Kept,
    Proven,
    Refused,
    Row,
    Skipped,
    State,
    Unchanged,
    Upheld,
    Vanished,
)
from artifactd.decisions.plan import Nothing, SourceDamaged
from artifactd.decisions.policy import Wanted
from artifactd.discovery import scan
from artifactd.ledger.ledger import Ledger, Recorded
from artifactd.ledger.record import TERMS, Value
from artifactd.mirror.answers import NO_PART, Answer, Principal, final
from artifactd.mirror.mirror import Mirror
from artifactd.mirror.recorder import Recorder
from artifactd.mirror.scanning import Done

_FINAL: Final[tuple[type[Event], ...]] = (Proven, Unchanged, Refused, Kept, Upheld, Skipped, Vanished)

_BEFORE: Final = "it was proven before"

_IN_VAIN: Final = 100
"""Requests of one account that come to nothing, in an hour, each of which has an entry of the record."""

_UNTOLD: Final = "what else this account asks for in vain within the hour is not on record"

_PATH_BYTES: Final = 4096
"""Of a path that is put on record: the kernel takes no longer one."""


class Pending(NamedTuple):
    """A person's request for an artifact, still without its outcome."""

    path: bytes
    name: str | None
    principal: Principal
    answer: Answer

    def refuse(self, reason: str) -> None:
        """Nothing comes of it."""
        self.answer(_final(self.path, ok=False, reason=reason))


class Hinted(NamedTuple):
    """A folder that Driverless AI said is complete, still without a look at all of it."""

    folder: bytes
    done: Done

    def refuse(self, _reason: str) -> None:
        """Nothing comes of it, and nothing depends on it."""
        self.done(0)


Unanswered = Pending | Hinted
"""What a mirror was asked, and its successor goes on with."""


class Place(NamedTuple):
    """Where a hinted experiment lies."""

    folder: bytes
    """relative to the data directory"""
    vouched: bool = True
    """whether who hints may say that its files are complete; else they are only looked at sooner"""


def hint(  # noqa: PLR0917 - each of a type of its own
    mirror: Mirror,
    recorder: Recorder,
    places: Sequence[Place],
    experiment_id: bytes,
    principal: str,
    answer: Answer,
) -> None:
    """Driverless AI said that this experiment's artifacts are done: look at them, in its `places`, now.

    The answer comes once they were looked at, and says how many are waited for. Where some are vouched for,
    the others, which anybody may make by the same name, are not waited for.
    """
    log = recorder.log
    if not places:
        reason = "no such experiment in the data directory"
        unknown = printable(experiment_id)
        log.warning("hint.unknown", experiment_id=unknown, reason=reason, principal=principal)
        answer(final(ok=False, artifacts=None))
        return
    vouched = [place for place in places if place.vouched] or places
    counts: list[int] = []

    def looked_at(waiting: int) -> None:
        counts.append(waiting)
        if len(counts) == len(vouched):
            log.info(
                "hint.received",
                experiment_id=printable(experiment_id),
                source=printable(vouched[0].folder),
                artifacts=sum(counts),
                principal=principal,
            )
            answer(final(ok=True, artifacts=sum(counts)))

    for place in vouched:
        mirror.appeared(place.folder, hinted=place.vouched, done=looked_at)


class _Wanted(NamedTuple):
    """A file that a person wants, and may have."""

    subject: Subject
    decision: Wanted


@dataclass(slots=True, eq=False)
class _Asked:
    """One person's request for one artifact."""

    key: str
    """where its copies are wanted; another copy of the artifact may be under way to another key"""
    name: str | None
    principal: Principal
    answer: Answer
    stores: set[str]
    """whose outcome is not known yet"""
    ok: bool = True
    """whether every outcome so far is good"""


_Copy = tuple[str, str, str]
"""source, store and key, as entries of the record name them"""


def _copy(row: Row) -> _Copy:
    return printable(row.artifact.path), row.store, row.key


_LOOKED_AT: Final = 10_000
"""Newest entries among which it is looked who asked for what is not finished: some hundredths of a second."""


def _asked_before(ledger: Ledger) -> dict[_Copy, str]:
    """Who asked for the copies that an earlier process did not finish, as far as the newest entries tell."""
    asked: dict[_Copy, str] = {}
    if not any(ledger.count().get(state) for state in (State.UPLOADING, State.RETRYING)):
        return asked
    for entry in ledger.entries(max(0, ledger.head().seq - _LOOKED_AT)):
        if '"principal":' not in entry.line or entry.tells("artifact.replayed"):
            continue
        fields = entry.fields
        for store in str(fields.get("store")).split():
            copy = (str(fields.get("source")), store, str(fields.get("key")))
            if entry.tells("export.requested") and fields["outcome"] == "pending":
                asked[copy] = str(fields["principal"])
            elif any(entry.tells(TERMS[event].action) for event in _FINAL):
                asked.pop(copy, None)
    return asked


@dataclass(slots=True)
class ByHand:
    """Exports that people asked for, each answered as soon as its outcome is on record."""

    mirror: Mirror
    recorder: Recorder
    _asked: dict[bytes, list[_Asked]] = field(default_factory=dict)
    _in_vain: Allowance = field(default_factory=partial(Allowance, _IN_VAIN))
    _before: dict[_Copy, str] = field(init=False)
    """who asked for a copy that is not finished, before the start"""

    def __post_init__(self) -> None:
        self._before = _asked_before(self.recorder.ledger)
        self.recorder.listeners.append(self._heard)
        self.recorder.principal = self._principal

    def ask(self, path: bytes, name: str | None, principal: Principal, answer: Answer) -> None:
        """Export the file at `path` below the data directory, under `name` if one is given.

        Who asked for what is on record before anything is done about it, and where nothing is, why. A path
        that lies elsewhere is absolute, or empty.
        """
        subject = self._subject(path, name)
        self._note(path, name, principal, subject)
        self._export(path, subject, name, principal, answer)

    def deny(self, path: bytes, name: str | None, principal: Principal, reason: str, answer: Answer) -> None:
        """Export nothing for this `reason`, and have on record who asked for what."""
        self._note(path, name, principal, reason)
        answer(_final(path, ok=False, reason=reason))

    def _note(
        self,
        path: bytes,
        name: str | None,
        principal: Principal,
        subject: _Wanted | str,
        ended: str = "",
    ) -> None:
        """Have on record who asked for what; and if nothing came of what was begun, how it `ended`."""
        if isinstance(subject, str):
            told = self._bounded(subject, principal.account)
            if told is None:
                return
            subject = told
        fields: dict[str, Value] = {
            "action": "export.requested",
            "source": printable(path[:_PATH_BYTES]),
            "as": None if name is None else printable(name[:NAME_BYTES]),
            "store": " ".join(sorted(one.store for one in self.mirror.stores())),
            **principal.fields(),
        }
        if (artifact := self.mirror.artifact(path)) is not None:
            fields |= {
                "user": printable(artifact.user),
                "experiment_id": printable(artifact.experiment_id),
                "kind": artifact.kind.value,
            }
        match subject:
            case str(reason):
                fields |= {"outcome": "failure", "reason": reason}
            case _Wanted(decision=decision):
                fields |= {"key": decision.key.text, "rule": decision.rule}
                # No entry of a copy follows where nothing is to be done: this one tells the outcome.
                if ended:
                    fields |= {"outcome": "failure", "reason": ended}
                elif self._proven(subject):
                    fields |= {"outcome": "success", "reason": _BEFORE}
                else:
                    fields |= {"outcome": "pending"}
        entry = self.recorder.note(fields)
        where = {"source": printable(path), "seq": entry.seq, "hash": entry.hash}
        self.recorder.log.info("export.requested", **where, name=name, principal=principal.account)

    def _bounded(self, reason: str, account: str) -> str | None:
        """What the entry of a request in vain says; None: it has none, as there are too many."""
        now = self.recorder.clock.monotonic()
        if self._in_vain.used_up(account, 0, now):
            return None if self._in_vain.news(account, now) is None else f"{reason}; {_UNTOLD}"
        self._in_vain.spend(account, now)
        return reason

    def _proven(self, wanted: _Wanted) -> bool:
        """Whether every store has the copy that is wanted, of the file as it is now."""
        copies = self.mirror.assess(wanted.subject).copies
        return all(copy.proven for copy in copies if copy.wanted == wanted.decision)

    def hand_over(self) -> list[Unanswered]:
        """The requests and hints whose outcome is not known yet. They are forgotten here."""
        pending = [
            Pending(path, one.name, one.principal, one.answer)
            for path, all_ in self._asked.items()
            for one in all_
        ]
        self._asked.clear()
        return [*pending, *(Hinted(folder, done) for folder, done in self.mirror.hand_over())]

    def take_over(self, pending: Iterable[Unanswered]) -> None:
        """Go on with what was asked of an earlier mirror."""
        for one in pending:
            match one:
                case Hinted(folder, done):
                    self.mirror.appeared(folder, hinted=True, done=done)
                case Pending(path, name, principal, answer):
                    self._export(path, self._subject(path, name), name, principal, answer)
                case _:
                    assert_never(one)

    def _subject(self, path: bytes, name: str | None) -> _Wanted | str:
        """The file as a person wants it, or why it is not exported."""
        if not path or path.startswith(b"/"):
            return f"it does not lie below the data directory {self.mirror.selection.data_directory.decode()}"
        found = self.mirror.artifact(path)
        if found is None:
            return NO_PART
        sighting = self._sighting(path)
        if isinstance(sighting, str):
            return sighting
        decision = self.mirror.selection.policy.by_hand(found, sighting.identity.size, name)
        subject = self.mirror.assess(Subject(sighting, found, decision, asked=True)).subject
        if not isinstance(subject.decision, Wanted):
            return subject.decision.reason
        return _Wanted(subject, subject.decision)

    def _export(
        self, path: bytes, wanted: _Wanted | str, name: str | None, principal: Principal, answer: Answer
    ) -> None:
        if isinstance(wanted, str):
            answer(_final(path, ok=False, reason=wanted))
            return
        asked = _Asked(wanted.decision.key.text, name, principal, answer, self._stores())
        self._asked.setdefault(path, []).append(asked)
        self.mirror.request(path, name)
        if asked.stores and not self.mirror.attends_to(path):
            self._end(path, asked)
            said = self._not_waited_for(wanted.subject)
            if not said["ok"]:
                self._note(path, name, principal, wanted, str(said["reason"]))
            answer(said)

    def _principal(self, row: Row) -> str:
        """Who waits for this copy: the first who asked for it; "" where nobody does."""
        asked = (one for one in self._asked.get(row.artifact.path, ()) if one.key == row.wanted_key)
        return next((one.principal.account for one in asked), "") or self._before.get(_copy(row), "")

    def _stores(self) -> set[str]:
        """The stores that take something; all where none does, because one of them may be tried just now."""
        stores = self.mirror.stores()
        return {one.store for one in stores if one.out_since is None} or {one.store for one in stores}

    def _sighting(self, path: bytes) -> Sighting | str:
        """The file, or why it cannot be seen."""
        try:
            with scan.root(Path(os.fsdecode(self.mirror.selection.data_directory))) as root:
                match scan.sight(root, path):
                    case scan.Seen((sighting,)):
                        return sighting
                    case scan.Unobservable(_, reason):
                        return reason
                    case _:
                        return f"no file is at {printable(path)}"
        except OSError as error:
            return f"the data directory cannot be opened: {error.strerror}"

    def _not_waited_for(self, subject: Subject) -> dict[str, Any]:
        """The answer about a file that need not be read, or for which no store takes anything."""
        states = {state.store: state for state in self.mirror.stores()}
        said = _final(subject.path, ok=True, reason=_BEFORE)
        for copy in self.mirror.assess(subject).copies:
            if copy.wanted != subject.decision:
                continue
            if isinstance(copy.outlook, SourceDamaged):
                return _final(subject.path, ok=False, reason=copy.outlook.reason)
            if not isinstance(copy.outlook, Nothing) or not copy.proven:
                state = states[copy.store]
                out = f"{state.store} is out: {state.reason}"
                why = "it has just changed" if state.out_since is None else out
                return _final(subject.path, ok=False, reason=why)
            row = copy.outlook.row
            said |= {"store": row.store, "key": row.key, "sha256": row.digest, "rule": row.rule}
        return said

    def _heard(self, item: Recorded) -> None:
        row = item.row
        if self._before and isinstance(item.event, _FINAL):
            self._before.pop(_copy(row), None)
        for asked in tuple(self._asked.get(row.artifact.path, ())):
            if asked.key != row.wanted_key and isinstance(item.event, _FINAL):
                self.mirror.inbox.put(partial(self._again, row.artifact, asked))
            elif asked.key == row.wanted_key and row.store in asked.stores:
                self._tell(asked, item)

    def _again(self, found: Artifact, asked: _Asked) -> None:
        """Another copy of the artifact is done with, and with it the look that was to serve this one too."""
        if asked in self._asked.get(found.path, ()) and not self.mirror.attends_to(found.path):
            self._end(found.path, asked)
            subject = self._subject(found.path, asked.name)
            self._export(found.path, subject, asked.name, asked.principal, asked.answer)

    def _tell(self, asked: _Asked, item: Recorded) -> None:
        ok = isinstance(item.event, Proven | Unchanged)
        if isinstance(item.event, _FINAL):
            asked.stores.discard(item.row.store)
            asked.ok = ok = ok and asked.ok
        last = not asked.stores
        if last:
            self._end(item.row.artifact.path, asked)
        asked.answer({**item.entry.fields, "final": last, "ok": ok})

    def _end(self, path: bytes, asked: _Asked) -> None:
        self._asked[path].remove(asked)
        if not self._asked[path]:
            del self._asked[path]
            self.mirror.withdraw(path)


def _final(path: bytes, *, ok: bool, reason: str) -> dict[str, Any]:
    return final(ok=ok, source=printable(path), reason=reason)
