"""Copies as a company has them, as many as are wanted: long names, digests that nobody can guess."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence

from artifactd.artifact import Artifact, Digest, Identity, Kind
from artifactd.decisions.lifecycle import Change, Proven, Row, Started
from artifactd.ledger.ledger import Ledger, Recorded

CONTEXT = {
    "version": "0.1.0",
    "config_digest": hashlib.sha256(b"configuration").hexdigest(),
    "host": "dai-production-01.example.com",
    "service_account": "artifactd",
}
BEGAN = 1_790_000_000.0

_NAMES = (
    (Kind.MOJO_PIPELINE, "mojo_pipeline/mojo.zip"),
    (Kind.TRAIN_PREDICTIONS, "train_preds.csv"),
    (Kind.SUMMARY, "h2oai_experiment_summary_{}.zip"),
    (Kind.LOGS, "h2oai_experiment_logs_{}.zip"),
)
IN_EXPERIMENT = len(_NAMES)


def copy(number: int) -> Row:
    """A copy that is not on record yet; four follow each other in each experiment."""
    experiment = str(uuid.UUID(bytes=hashlib.md5(b"%d" % (number // IN_EXPERIMENT)).digest()))  # noqa: S324 - a name
    user = f"user{number // IN_EXPERIMENT % 50:03}"
    kind, name = _NAMES[number % IN_EXPERIMENT]
    inside = name.format(experiment)
    path = f"{user}/h2oai_experiment_{experiment}/{inside}".encode()
    key = f"{user}/{experiment}/{inside.rsplit('/', 1)[-1]}"
    return Row("s3", Artifact(path, user, experiment, inside.encode(), kind), key, key, "everything")


def started(number: int) -> Started:
    """The begin of its put."""
    at = int(BEGAN * 1e9) + number * 1_000_003
    seen = Identity(66306, 1_000_000 + number, 8192 + number, at, at + 1_234_567)
    content = Digest(hashlib.sha256(b"%d" % number).hexdigest())
    return Started(seen, content, seen.size, "closed+no_writer")


def proven(number: int) -> Proven:
    """Its proof."""
    version = hashlib.md5(b"version %d" % number).hexdigest()  # noqa: S324 - an ETag
    uri = f"s3://company-models/exports/{copy(number).key}"
    return Proven("server_checksum", f'"{version}"', written=True, seconds=2.0 + number % 1000 / 1e3, uri=uri)


def export(ledger: Ledger, numbers: Sequence[int], at_once: int = 256) -> Iterator[Recorded]:
    """Put copies on record as a daemon does that carries so many at once: two commits for each batch."""
    for start in range(0, len(numbers), at_once):
        some = numbers[start : start + at_once]
        at = BEGAN + some[0]
        begun = ledger.record([Change(copy(number), started(number)) for number in some], at)
        ends = [Change(item.row, proven(number)) for item, number in zip(begun, some, strict=True)]
        yield from (*begun, *ledger.record(ends, at + 1))
