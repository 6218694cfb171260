"""What stores write down of unfinished puts survives the process, and forgets what it was told to forget."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Digest, Key
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import FILE
from artifactd.ledger.unfinished_uploads import LedgerUploadLog
from artifactd.stores.base import Unavailable
from artifactd.stores.objects.unfinished import InMemory, Unfinished, UploadLog

ONE = Unfinished("s3", Key("alice/one/mojo.zip"), Digest("1" * 64), 5 << 20, "upload-1", "attempt-1", 10.0)
TWO = Unfinished("s3", Key("alice/two/mojo.zip"), Digest("2" * 64), 5 << 20, "upload-2", "attempt-2", 5.0)
ELSEWHERE = replace(ONE, store="azure", upload="upload-3")

Open = Callable[[], UploadLog]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    Ledger.open(tmp_path).close()
    return tmp_path


@pytest.fixture(params=["in the ledger", "in memory"])
def upload_log(request: pytest.FixtureRequest, state: Path) -> Iterator[UploadLog]:
    if request.param == "in memory":
        yield InMemory()
        return
    opened = LedgerUploadLog(state)
    yield opened
    opened.close()


def test_what_is_written_down_is_told_by_store_the_oldest_first(upload_log: UploadLog) -> None:
    for one in (TWO, ONE, ELSEWHERE):
        upload_log.begun(one)
    upload_log.has("upload-1", 2, '"etag-2"')
    upload_log.has("upload-1", 1, '"etag-1"')
    with_parts = replace(ONE, parts={1: '"etag-1"', 2: '"etag-2"'})
    assert upload_log.unfinished("s3") == [TWO, with_parts]
    assert upload_log.unfinished("azure") == [ELSEWHERE]
    assert upload_log.unfinished("bitbucket") == []


def test_what_has_ended_is_forgotten_with_its_parts(upload_log: UploadLog) -> None:
    for one in (ONE, TWO):
        upload_log.begun(one)
        upload_log.has(one.upload, 1, "etag")
    upload_log.ended("upload-1")
    upload_log.ended("unknown")
    assert upload_log.unfinished("s3") == [replace(TWO, parts={1: "etag"})]
    upload_log.begun(ONE)
    assert upload_log.unfinished("s3")[1] == ONE


def test_threads_may_write_at_the_same_time_and_beside_the_ledger(state: Path) -> None:
    ledger, upload_log = Ledger.open(state), LedgerUploadLog(state)
    upload_log.begun(ONE)
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(upload_log.has, "upload-1", n, str(n)) for n in range(100)]
        for number in range(20):
            ledger.note(float(number), {"action": "test", "outcome": "success"})
        assert [one.exception() for one in done] == [None] * 100
    assert upload_log.unfinished("s3") == [replace(ONE, parts={n: str(n) for n in range(100)})]
    assert ledger.head().seq == 20
    upload_log.close()
    ledger.close()


WRITES = """
import os, sys
from pathlib import Path
from artifactd.ledger.unfinished_uploads import LedgerUploadLog
from tests.ledger.test_unfinished_uploads import ONE

upload_log = LedgerUploadLog(Path(sys.argv[1]))
upload_log.begun(ONE)
upload_log.has("upload-1", 1, "etag-1")
os.kill(os.getpid(), 9)
"""


def test_what_was_written_down_survives_a_kill(state: Path) -> None:
    folder = Path(__file__).parents[2]
    paths = os.pathsep.join((str(folder), str(folder / "daemon")))
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(state)], env=os.environ | {"PYTHONPATH": paths}, check=False
    )
    assert done.returncode == -9
    upload_log = LedgerUploadLog(state)
    assert upload_log.unfinished("s3") == [replace(ONE, parts={1: "etag-1"})]
    upload_log.close()


def test_an_upload_log_that_cannot_be_written_is_a_store_that_is_unavailable_for_now(state: Path) -> None:
    upload_log = LedgerUploadLog(state)
    other = sqlite3.connect(state / FILE)
    other.execute("DROP TABLE parts")
    upload_log.begun(ONE)
    with pytest.raises(Unavailable, match="unfinished uploads cannot be written down"):
        upload_log.has("upload-1", 1, "etag")
    with pytest.raises(Unavailable):
        upload_log.ended("upload-1")
    assert other.execute("SELECT count(*) FROM unfinished").fetchone() == (1,), "nothing was half forgotten"
    upload_log.close()
    other.close()
