import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from artifactd import checksum
from artifactd.artifact import Digest, Identity, Key, Sighting
from artifactd.decisions.lifecycle import Event, Failed, Postponed, Proven, Refused, step
from artifactd.decisions.settle import Settled
from artifactd.discovery.reading import Reading
from artifactd.linux.files import identity_of
from artifactd.mirror.upload import Outage, Times, Upload, failure, upload
from artifactd.stores.base import (
    About,
    Conflict,
    Corrupt,
    Denied,
    Proof,
    Put,
    Receipt,
    Result,
    Source,
    Stat,
    Store,
    StoreError,
    Unacceptable,
    Unavailable,
    no_progress,
)
from tests.support.rows import D2, a_row, started
from tests.support.subjects import a_subject

NOW = 1_800_000_000.0
CONTENT = b"content"
URI = "scripted:alice/e0/mojo.zip"
DIGEST = checksum.of_bytes(CONTENT)
IDENTITY = Identity(1, 2, len(CONTENT), 3, 4)


@dataclass
class Scripted(Store):
    """Answers as it is told, and remembers what it was asked."""

    answers: Sequence[Result]
    name: str = "scripted"
    asked: Sequence[Put] = ()

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        self.asked = puts
        return list(self.answers)

    def uri(self, key: Key) -> str:
        return f"scripted:{key}"

    def stat(self, key: Key) -> Stat | None:
        raise NotImplementedError

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        raise NotImplementedError

    def keys(self, prefix: str = "") -> Iterator[Key]:
        raise NotImplementedError


def times(wait: float | None = 8.0) -> Times:
    return Times(monotonic=lambda: 110.0, now=lambda: NOW, retry_in=lambda _failures: wait)


def a_reading(source: Source | None = None, identity: Identity = IDENTITY) -> Reading:
    settled = Settled(a_subject(Sighting(b"file", identity, 0o100644)), "closed", 2.0, 100.0)
    return Reading(settled, identity, DIGEST, source or Source(len(CONTENT), CONTENT), "closed+no_writer")


def an_upload(number: int = 0, reading: Reading | None = None) -> Upload:
    return Upload(step(a_row(number), started(DIGEST, IDENTITY)), reading or a_reading())


def a_receipt(*, written: bool = True) -> Receipt:
    return Receipt(DIGEST, len(CONTENT), Proof.READ_BACK, "v7", written)


def the_event(result: Result, reading: Reading) -> Event:
    return upload(Scripted([result]), [an_upload(reading=reading)], times()).delivered[0].event


@pytest.mark.parametrize(
    ("result", "event", "outage"),
    [
        (a_receipt(), Proven("read_back", "v7", True, 10.0, URI), None),
        (
            a_receipt(written=False),
            Proven("read_back", "v7", False, 10.0, URI),
            None,
        ),
        (StoreError("reset"), Failed("reset", NOW + 8.0, IDENTITY), None),
        (Corrupt("flipped"), Failed("flipped", NOW + 8.0, IDENTITY), None),
        (Conflict("other bytes"), Refused("other bytes", IDENTITY), None),
        (Unacceptable("too long"), Refused("too long", IDENTITY), None),
        (Unavailable("no answer"), Postponed("no answer", NOW), Outage("no answer", needs_person=False)),
        (Denied("expired"), Postponed("expired", NOW), Outage("expired", needs_person=True)),
    ],
)
def test_each_answer_of_a_store_is_an_event_of_the_copy(
    result: Result, event: Event, outage: Outage | None
) -> None:
    one = an_upload()
    outcome = upload(Scripted([result]), [one], times())
    assert [(said.upload, said.event) for said in outcome.delivered] == [(one, event)]
    assert outcome.outage == outage


def test_a_receipt_for_other_bytes_is_a_failure() -> None:
    outcome = upload(Scripted([Receipt(D2, 7, Proof.SERVER_CHECKSUM)]), [an_upload()], times())
    assert isinstance(outcome.delivered[0].event, Failed)


def test_a_store_is_told_what_it_may_replace() -> None:
    one = an_upload()
    store = Scripted([a_receipt()])
    upload(store, [replace(one, row=replace(one.row, ours=(D2, DIGEST)))], times())
    assert [(put.key.text, put.digest, put.ours) for put in store.asked] == [
        ("alice/e0/mojo.zip", DIGEST, (D2, DIGEST))
    ]


def test_a_store_is_told_the_version_that_was_proven_last_and_whose_bytes_these_are() -> None:
    one = an_upload()
    store = Scripted([a_receipt()])
    upload(store, [replace(one, row=replace(one.row, version="v6"))], times())
    (put,) = store.asked
    assert put.version == "v6"
    artifact = one.row.artifact
    assert put.about == About(artifact.path.decode(), artifact.user, artifact.experiment_id, artifact.kind)


def test_a_pause_that_a_store_asks_for_is_told() -> None:
    outcome = upload(Scripted([Unavailable("busy", retry_after=30.0)]), [an_upload()], times())
    assert outcome.outage == Outage("busy", needs_person=False, retry_after=30.0)


def test_a_batch_is_answered_one_by_one_and_an_outage_is_told_once_without_its_key() -> None:
    batch = [an_upload(number) for number in range(4)]
    answers: list[Result] = [
        a_receipt(),
        Unavailable("no room", "alice/e1/mojo.zip"),
        StoreError("reset", "alice/e2/mojo.zip"),
        Denied("expired", "alice/e3/mojo.zip"),
    ]
    outcome = upload(Scripted(answers), batch, times())
    assert [said.upload for said in outcome.delivered] == batch
    kinds = [type(said.event).__name__ for said in outcome.delivered]
    assert kinds == ["Proven", "Postponed", "Failed", "Postponed"]
    assert outcome.outage == Outage("no room", needs_person=False)


@pytest.mark.parametrize(
    "error",
    [Unavailable("no room", "prefix/alice/e1/mojo.zip, part 3"), Denied("no room", "alice/e1/mojo.zip")],
)
def test_what_is_of_the_store_names_no_copy_for_another(error: StoreError) -> None:
    outcome = upload(Scripted([error] * 3), [an_upload(number) for number in range(3)], times())
    assert [said.event for said in outcome.delivered] == [Postponed("no room", NOW)] * 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("no room", "alice/e0/mojo.zip"), "no room"),
        (Unavailable("no room", "a/prefix/alice/e0/mojo.zip"), "no room"),
        (Unavailable("SlowDown: wait", "a/prefix/alice/e0/mojo.zip, part 3"), "SlowDown: wait"),
        (Unavailable("example.org cannot be reached: refused"), "example.org cannot be reached: refused"),
        (Unavailable("no room for alice/e0/mojo.zip"), "no room for alice/e0/mojo.zip"),
        (Unavailable("not allowed", "the probe"), "the probe: not allowed"),
        (
            Unavailable("not allowed to see alice/e0/mojo.zip: no", "the probe"),
            "the probe: not allowed to see alice/e0/mojo.zip: no",
        ),
    ],
)
def test_an_outage_is_told_in_the_same_words_whichever_copy_met_it(error: Unavailable, told: str) -> None:
    one = an_upload()
    assert one.row.key == "alice/e0/mojo.zip"
    outcome = upload(Scripted([error]), [one], times())
    assert outcome.outage == Outage(told, needs_person=False)


def test_when_tries_are_used_up_a_person_is_needed() -> None:
    row = replace(a_row(), failures=4)
    assert failure("reset", row, IDENTITY, times(None)) == Refused("given up after 5 tries: reset", IDENTITY)
    asked: list[int] = []
    failure("reset", row, IDENTITY, replace(times(), retry_in=asked.append))
    assert asked == [5]


def test_a_clock_of_completion_that_lies_ahead_gives_no_negative_duration() -> None:
    reading = a_reading()
    late = replace(reading, settled=replace(reading.settled, complete_at=500.0))
    event = the_event(a_receipt(), late)
    assert isinstance(event, Proven)
    assert event.seconds == 0.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Path.exists, Failed("wrong bytes", NOW + 8.0, None)),
        (lambda path: path.write_bytes(b"other"), Postponed("it changed while it was uploaded", NOW)),
        (lambda path: path.unlink(), Postponed("it changed while it was uploaded", NOW)),
    ],
    ids=["unchanged", "written", "deleted"],
)
def test_wrong_bytes_of_a_source_that_changed_are_not_the_stores_fault(
    tmp_path: Path, change: Callable[[Path], object], expected: Event
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    identity = identity_of(os.fstat(fd))
    change(path)
    reading = a_reading(Source(len(CONTENT), fd=fd), identity)
    event = the_event(Corrupt("wrong bytes"), reading)
    os.close(fd)
    assert event == (replace(expected, identity=identity) if isinstance(expected, Failed) else expected)


def test_a_source_that_cannot_be_looked_at_any_more_counts_as_changed() -> None:
    closed = os.open("/", os.O_RDONLY)
    os.close(closed)
    reading = a_reading(Source(len(CONTENT), fd=closed))
    event = the_event(Corrupt("wrong bytes"), reading)
    assert isinstance(event, Postponed)
