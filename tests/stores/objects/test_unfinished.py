"""What an upload log remembers of large puts, the one in memory and the tests' own in a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.stores.objects.unfinished import InMemory, Unfinished, UploadLog
from tests.support.harness import digest
from tests.support.upload_logs import Written

ONE = Unfinished("s3", Key("u/e/é.zip"), digest(b"1"), 5 << 20, "upload-1", "attempt-1", 1.5)
TWO = replace(ONE, upload="upload-2", parts={1: "a"})
ELSEWHERE = replace(ONE, store="other", upload="upload-3", parts={})


@pytest.fixture(params=["loose", "written", "written and read again"])
def upload_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UploadLog]:
    if request.param == "loose":
        upload_log: UploadLog = InMemory()
        fill(upload_log)
        yield upload_log
        return
    written = Written(tmp_path / "upload_log")
    fill(written)
    if request.param == "written and read again":
        written.close()
        written = Written(tmp_path / "upload_log")
    yield written
    written.close()


def fill(upload_log: UploadLog) -> None:
    for one in (ONE, TWO, ELSEWHERE):
        upload_log.begun(replace(one, parts=dict(one.parts)))


def test_what_was_begun_is_known_by_its_store_the_oldest_first(upload_log: UploadLog) -> None:
    assert list(upload_log.unfinished("s3")) == [ONE, TWO]
    assert list(upload_log.unfinished("other")) == [ELSEWHERE]
    assert list(upload_log.unfinished("unknown")) == []


def test_parts_are_added_to_their_upload(upload_log: UploadLog) -> None:
    upload_log.has("upload-2", 7, "g")
    upload_log.has("upload-3", 1, "x")
    assert [one.parts for one in upload_log.unfinished("s3")] == [{}, {1: "a", 7: "g"}]
    assert [one.parts for one in upload_log.unfinished("other")] == [{1: "x"}]


def test_what_ended_is_forgotten_and_may_end_again(upload_log: UploadLog) -> None:
    upload_log.ended("upload-1")
    upload_log.ended("upload-1")
    assert [one.upload for one in upload_log.unfinished("s3")] == ["upload-2"]


def test_what_begins_anew_has_no_part_yet() -> None:
    assert TWO.named("upload-4") == replace(ONE, upload="upload-4")
