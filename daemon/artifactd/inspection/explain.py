"""Everything that is known of one file: from its place to its copies, and what is still missing."""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from artifactd.artifact import Artifact, Sighting, count_of, printable
from artifactd.clock import rfc3339
from artifactd.config.effective import Config
from artifactd.decisions.assessment import admitted
from artifactd.decisions.lifecycle import DUE, Row
from artifactd.decisions.policy import LeftAlone, Unnameable, Wanted
from artifactd.decisions.settle import Writers
from artifactd.discovery import scan
from artifactd.discovery.evidence import writers, zip_problem
from artifactd.discovery.reading import OTHER_NAMES
from artifactd.ledger.ledger import Ledger
from artifactd.linux.open_beneath import READ, open_beneath
from artifactd.mirror.wanted import Selection


def explanation(
    config: Config, ledger: Ledger, path: bytes, now: float, stepped: float = 0.0
) -> dict[str, Any]:
    """Title → sentences, on the file at `path` below the data directory; `now` is seconds since the epoch.

    `stepped`: by how many of them the clock was set since the times of next tries were written down.
    """
    said: dict[str, Any] = {"file": printable(path)}
    selection = Selection(os.fsencode(config.data_directory), config.policy, config.user)
    found = selection.artifact(path)
    if found is None:
        return said | {"layout": "no file of an experiment: it is left alone"}
    said["layout"] = f"user {found.user}, experiment {found.experiment_id}, kind {found.kind}"
    rows = ledger.of_sources([path]).get(path, [])
    sighting = _sighting(config, path)
    if isinstance(sighting, str):
        said["on disk"] = sighting
    else:
        size = sighting.identity.size
        said["on disk"] = f"{size} bytes, last changed {rfc3339(sighting.identity.ctime_ns / 1e9)}"
        match admitted(selection.decide(found, size), rows):
            case Wanted(key, rule):
                said["policy"] = f"rule {rule!r} wants it at {key}"
                said["evidence"] = _evidence(config, found, sighting, now)
            case LeftAlone(reason):
                said["policy"] = f"left alone: {reason}"
            case Unnameable(reason, rule, _):
                said["policy"] = f"rule {rule!r} wants it, but {reason}"
            case other:
                assert_never(other)
    said["copies"] = [_copy(_by_the_clock(row, stepped), now) for row in rows] or "none on record"
    return said


def _sighting(config: Config, path: bytes) -> Sighting | str:
    try:
        with scan.root(config.data_directory) as root:
            match scan.sight(root, path):
                case scan.Seen((sighting,)):
                    return sighting
                case scan.Seen():
                    return "a directory"
                case scan.Gone():
                    return "not there"
                case scan.Unobservable(_, reason):
                    return reason
                case other:
                    assert_never(other)
    except OSError as error:
        return f"the data directory cannot be opened: {error.strerror}"


def _evidence(config: Config, found: Artifact, sighting: Sighting, now: float) -> Sequence[str]:
    """Each rung of completion, as it is now."""
    if not stat.S_ISREG(sighting.mode):
        return ["no regular file: it will be refused"]
    if found.inside.count(b"/") > scan.DEPTH:
        return [f"it lies more than {scan.DEPTH} directories deep, where nothing is looked at: move it up"]
    if sighting.names > 1:
        return [f"{OTHER_NAMES}: as long as it has, it is not read, and what was proven of it stays"]
    age = now - sighting.identity.ctime_ns / 1e9
    quiet = config.watch.quiet_seconds
    said = [f"unchanged for {age:.1f} s, {quiet:g} s are wanted" + ("" if age >= quiet else ": missing")]
    try:
        with scan.root(config.data_directory) as root:
            fd = open_beneath(root, sighting.path, READ)
    except OSError as error:
        return [*said, f"it cannot be opened: {error.strerror}"]
    try:
        said.append(_WRITERS[writers(fd)])
        if sighting.path.lower().endswith(b".zip"):
            said.append(zip_problem(fd, sighting.identity.size) or "the zip's directory reads")
    finally:
        os.close(fd)
    return said


_WRITERS: Final = {
    Writers.NONE: "nobody has it open for writing",
    Writers.SOME: "it is open for writing, and has to be closed: missing",
    Writers.UNKNOWN: "the kernel does not tell this account who has it open",
}


def _by_the_clock(row: Row, stepped: float) -> Row:
    return row if row.retry_at is None else replace(row, retry_at=row.retry_at + stepped)


def _copy(row: Row, now: float) -> str:
    parts = [f"{row.store}:{row.key} is {row.state}"]
    if row.digest:
        parts.append(f"sha256 {row.digest}")
    if row.lost:
        parts.append("it was proven, and then found missing or different")
    elif row.proof:
        parts.append(f"proof {row.proof}, evidence {row.evidence}")
    if row.failures:
        parts.append(count_of(row.failures, "failed try"))
    if row.retry_at is not None:
        parts.append(f"next try {DUE if row.retry_at <= now else rfc3339(row.retry_at)}")
    if row.reason:
        parts.append(f"because: {row.reason}")
    return "; ".join((*parts, f"since {rfc3339(row.changed_at)}, rule {row.rule!r}"))
