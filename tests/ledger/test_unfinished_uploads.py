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
from artifactd.ledger.unfinished_uploads import LedgerNotebook
from artifactd.stores.base import Unavailable
from artifactd.stores.objects.unfinished import Loose, Notebook, Unfinished

ONE = Unfinished("s3", Key("alice/one/mojo.zip"), Digest("1" * 64), 5 << 20, "upload-1", "attempt-1", 10.0)
TWO = Unfinished("s3", Key("alice/two/mojo.zip"), Digest("2" * 64), 5 << 20, "upload-2", "attempt-2", 5.0)
ELSEWHERE = replace(ONE, store="azure", upload="upload-3")

Open = Callable[[], Notebook]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    Ledger.open(tmp_path).close()
    return tmp_path


@pytest.fixture(params=["in the ledger", "in memory"])
def notebook(request: pytest.FixtureRequest, state: Path) -> Iterator[Notebook]:
    if request.param == "in memory":
        yield Loose()
        return
    opened = LedgerNotebook(state)
    yield opened
    opened.close()


def test_what_is_written_down_is_told_by_store_the_oldest_first(notebook: Notebook) -> None:
    for one in (TWO, ONE, ELSEWHERE):
        notebook.begun(one)
    notebook.has("upload-1", 2, '"etag-2"')
    notebook.has("upload-1", 1, '"etag-1"')
    with_parts = replace(ONE, parts={1: '"etag-1"', 2: '"etag-2"'})
    assert notebook.unfinished("s3") == [TWO, with_parts]
    assert notebook.unfinished("azure") == [ELSEWHERE]
    assert notebook.unfinished("bitbucket") == []


def test_what_has_ended_is_forgotten_with_its_parts(notebook: Notebook) -> None:
    for one in (ONE, TWO):
        notebook.begun(one)
        notebook.has(one.upload, 1, "etag")
    notebook.ended("upload-1")
    notebook.ended("unknown")
    assert notebook.unfinished("s3") == [replace(TWO, parts={1: "etag"})]
    notebook.begun(ONE)
    assert notebook.unfinished("s3")[1] == ONE


def test_threads_may_write_at_the_same_time_and_beside_the_ledger(state: Path) -> None:
    ledger, notebook = Ledger.open(state), LedgerNotebook(state)
    notebook.begun(ONE)
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(notebook.has, "upload-1", n, str(n)) for n in range(100)]
        for number in range(20):
            ledger.note(float(number), {"action": "test", "outcome": "success"})
        assert [one.exception() for one in done] == [None] * 100
    assert notebook.unfinished("s3") == [replace(ONE, parts={n: str(n) for n in range(100)})]
    assert ledger.head().seq == 20
    notebook.close()
    ledger.close()


WRITES = """
import os, sys
from pathlib import Path
from artifactd.ledger.unfinished_uploads import LedgerNotebook
from tests.ledger.test_unfinished_uploads import ONE

notebook = LedgerNotebook(Path(sys.argv[1]))
notebook.begun(ONE)
notebook.has("upload-1", 1, "etag-1")
os.kill(os.getpid(), 9)
"""


def test_what_was_written_down_survives_a_kill(state: Path) -> None:
    folder = Path(__file__).parents[2]
    paths = os.pathsep.join((str(folder), str(folder / "daemon")))
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(state)], env=os.environ | {"PYTHONPATH": paths}, check=False
    )
    assert done.returncode == -9
    notebook = LedgerNotebook(state)
    assert notebook.unfinished("s3") == [replace(ONE, parts={1: "etag-1"})]
    notebook.close()


def test_a_notebook_that_cannot_be_written_is_a_store_that_is_unavailable_for_now(state: Path) -> None:
    notebook = LedgerNotebook(state)
    other = sqlite3.connect(state / FILE)
    other.execute("DROP TABLE parts")
    notebook.begun(ONE)
    with pytest.raises(Unavailable, match="unfinished uploads cannot be written down"):
        notebook.has("upload-1", 1, "etag")
    with pytest.raises(Unavailable):
        notebook.ended("upload-1")
    assert other.execute("SELECT count(*) FROM unfinished").fetchone() == (1,), "nothing was half forgotten"
    notebook.close()
    other.close()
