"""Rows and events as the tests of the deciding and recording layer need them."""

import hashlib

from artifactd.artifact import Artifact, Digest, Identity, Kind
from artifactd.decisions.lifecycle import Proven, Row, Started, State, step


def digest(text: str) -> Digest:
    return Digest(hashlib.sha256(text.encode()).hexdigest())


D1, D2, D3 = digest("one"), digest("two"), digest("three")


def identity(number: int = 1) -> Identity:
    """A large inode, as XFS and ZFS have them."""
    return Identity(66306, 2**64 - number, 100 + number, 10**18 + number, 10**18 + number)


def an_artifact(number: int = 0, path: bytes | None = None) -> Artifact:
    path = path or b"alice/h2oai_experiment_e%d/mojo_pipeline/mojo.zip" % number
    return Artifact(path, "alice", f"e{number}", b"mojo_pipeline/mojo.zip", Kind.MOJO_PIPELINE)


def a_row(number: int = 0, *, key: str | None = None, wanted_key: str | None = None) -> Row:
    key = f"alice/e{number}/mojo.zip" if key is None else key
    return Row("file_system", an_artifact(number), key, key if wanted_key is None else wanted_key, "all")


def started(content: Digest = D1, seen: Identity | None = None) -> Started:
    seen = seen or identity()
    return Started(seen, content, seen.size, "closed+no_writer")


def proven(seconds: float = 2.0) -> Proven:
    return Proven("read_back", "v1", written=True, seconds=seconds, uri="file:///exports/mojo.zip")


def a_proven_row(number: int = 0, content: Digest = D1, seen: Identity | None = None, key: str = "") -> Row:
    row = a_row(number, key=key or None, wanted_key=f"alice/e{number}/mojo.zip")
    row = step(step(row, started(content, seen)), proven())
    assert row.state is State.PROVEN
    return row
