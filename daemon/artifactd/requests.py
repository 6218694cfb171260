"""What people and Driverless AI's hooks ask of a mirror: a hint, or an export by hand."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from artifactd import scan
from artifactd.artifact import printable
from artifactd.chain import ACTIONS
from artifactd.layout import EXPERIMENT
from artifactd.ledger import Recorded
from artifactd.lifecycle import Event, Proven, Refused, Skipped, Unchanged, Vanished
from artifactd.mirror import Mirror
from artifactd.policy import LeftAlone, Unnameable
from artifactd.recorder import Recorder

Answer = Callable[[Mapping[str, Any]], None]
"""Takes one answer after the other; the last one has `final` and `ok`."""

_FINAL: Final[tuple[type[Event], ...]] = (Proven, Unchanged, Refused, Skipped, Vanished)


def experiments(data_directory: Path, experiment_id: bytes) -> list[bytes]:
    """The folders of this experiment, of whichever users, relative to the data directory."""
    name = EXPERIMENT + experiment_id.removeprefix(EXPERIMENT)
    return [folder for folder in scan.experiments(data_directory) if folder.rsplit(b"/", 1)[-1] == name]


def hint(
    mirror: Mirror, recorder: Recorder, data_directory: Path, experiment_id: bytes, principal: str
) -> int | None:
    """Driverless AI said that this experiment's artifacts are done. Returns how many there are; None: unknown id."""
    folders = experiments(data_directory, experiment_id)
    if not folders:
        reason = "no such experiment in the data directory"
        recorder.log.warning(
            "hint.unknown", experiment_id=printable(experiment_id), reason=reason, principal=principal
        )
        return None
    waiting = sum(mirror.appeared(folder, hinted=True) for folder in folders)
    recorder.log.info(
        "hint.received",
        experiment_id=printable(experiment_id),
        source=printable(folders[0]),
        artifacts=waiting,
        principal=principal,
    )
    return waiting


@dataclass(slots=True)
class ByHand:
    """Exports that people asked for, each answered as soon as its outcome is on record."""

    mirror: Mirror
    recorder: Recorder
    _answers: dict[bytes, list[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorder.listeners.append(self._heard)

    def ask(self, path: bytes, name: str | None, principal: str, answer: Answer) -> None:
        """Export the file at `path` below the data directory, under `name` if one is given."""
        found = self.mirror.intake.artifact(path)
        if found is None:
            answer(_final(path, ok=False, reason="it is no part of an experiment in the data directory"))
            return
        self.recorder.log.info("export.requested", source=printable(path), name=name, principal=principal)
        self.mirror.intake.asked[path] = name
        decision = self.mirror.intake.decide(found, 0)
        if isinstance(decision, LeftAlone | Unnameable):
            self.mirror.intake.asked.pop(path)
            answer(_final(path, ok=False, reason=decision.reason))
            return
        self._answers.setdefault(path, []).append(answer)
        self.mirror.look_at([path], thorough=True)
        if path not in self.mirror.settler:
            self._answer(path, _final(path, ok=False, reason=self._why_not(path)))

    def _why_not(self, path: bytes) -> str:
        """Why a file that was asked for is not even waited for."""
        for lane in self.mirror.pipeline.lanes.values():
            if lane.out_since is not None:
                return f"{lane.store} is out: {lane.reason}"
        return f"no file is at {printable(path)}"

    def _heard(self, item: Recorded) -> None:
        path = item.row.artifact.path
        if path not in self._answers:
            return
        final = isinstance(item.event, _FINAL)
        fields = item.entry.fields
        ok = isinstance(item.event, Proven | Unchanged)
        self._answer(path, {**fields, "action": ACTIONS[type(item.event)][0], "final": final, "ok": ok})

    def _answer(self, path: bytes, fields: Mapping[str, Any]) -> None:
        for answer in self._answers[path]:
            answer(fields)
        if fields["final"]:
            self.mirror.intake.asked.pop(path, None)
            del self._answers[path]


def _final(path: bytes, *, ok: bool, reason: str) -> dict[str, Any]:
    return {"final": True, "ok": ok, "source": printable(path), "reason": reason}


def relative(data_directory: Path, path: str) -> bytes | None:
    """`path` relative to the data directory, if it lies below; the last part is never resolved. None: it does not."""
    folder, name = os.path.split(os.path.abspath(path))
    inside = os.path.relpath(os.path.join(os.path.realpath(folder), name), data_directory)
    return None if inside.startswith("..") else os.fsencode(inside)
