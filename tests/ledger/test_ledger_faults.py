"""What the ledger survives: death at any call, two writers, a full disk, flipped bytes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

import pytest

from artifactd.decisions.lifecycle import Change, Row, State
from artifactd.ledger.compact import key_hash, source_hash
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import InUse, lock
from artifactd.ledger.record import breaks
from artifactd.ledger.schema import FILE, Damaged, Unwritable, set_aside
from tests.support.rows import D1, a_row, proven, started
from tests.support.tampering import Deed, rewrite, unguarded

REPOSITORY = Path(__file__).parents[2]
BATCH = 20
PATIENCE = 120

WRITER = """
import sys
from pathlib import Path
from artifactd.ledger.ledger import Ledger
from tests.ledger.test_ledger_faults import a_batch

directory, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
ledger = Ledger.open(directory)
for number in range(first, first + count):
    ledger.record(a_batch(number), float(number))
    print(number, flush=True)
ledger.close()
"""

HOLDER = """
import sys
from pathlib import Path
from artifactd.ledger.lock import lock

with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def a_batch(number: int) -> list[Change]:
    """Copies of this batch's own, each begun and proven."""
    rows = [a_row(number * BATCH + n) for n in range(BATCH)]
    return [Change(row, event) for row in rows for event in (started(D1), proven())]


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-B", "-c", script, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'daemon'}"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def strace(*arguments: str) -> list[str]:
    found = shutil.which("strace") or pytest.fail("strace is not installed: apt-get install strace")
    return [found, "-f", "-qq", *arguments]


def assert_whole(ledger: Ledger) -> int:
    """Rows and record say the same, in whole batches. Returns how many batches."""
    entries = list(ledger.entries())
    assert list(breaks(entries)) == []
    batches, rest = divmod(len(entries), 2 * BATCH)
    assert rest == 0
    rows = {row.artifact.experiment_id: row.state for row in ledger.rows()}
    assert rows == dict.fromkeys((str(entry.fields["experiment_id"]) for entry in entries), State.PROVEN)
    assert len(rows) == batches * BATCH
    return batches


# --- death ---


def calls(directory: Path, name: str) -> int:
    """How many of these calls the writer makes."""
    done = run(*strace("-e", f"trace={name}"), *python(WRITER, directory, 0, 3))
    assert done.returncode == 0, done.stderr
    return len(re.findall(rf"\b{name}\(", done.stderr))


@pytest.mark.parametrize("name", ["fdatasync", "pwrite64"])
def test_killed_at_any_call_all_of_a_batch_is_on_record_or_nothing(tmp_path: Path, name: str) -> None:
    total = calls(tmp_path / "counted", name)
    assert total > 3
    for number in sorted({1 + total * part // 9 for part in range(9)} | {total}):
        directory = tmp_path / f"{name}-{number}"
        kill = strace("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}")
        done = run(*kill, *python(WRITER, directory, 0, 3))
        assert done.returncode != 0
        ledger = Ledger.open(directory)
        assert assert_whole(ledger) >= len(done.stdout.split()), "what was acknowledged is lost"
        batch = a_batch(9)
        assert len(ledger.record(batch, 9.0)) == len(batch)
        ledger.close()


# --- several processes ---


def test_processes_that_write_at_once_keep_the_chain_whole(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(python(WRITER, tmp_path, first, 25), env=environment(), stdout=subprocess.DEVNULL)
        for first in (0, 100, 200)  # the schema too is made by all of them at once
    ]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    ledger = Ledger.open(tmp_path)
    assert assert_whole(ledger) == 75
    ledger.close()


def test_only_one_exports_from_a_state_and_the_other_is_told_who(tmp_path: Path) -> None:
    with lock(tmp_path):
        done = run(*python(HOLDER, tmp_path))
    assert done.returncode == 1
    assert f"InUse: another artifactd (process {os.getpid()}) already works on {tmp_path}" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    with lock(tmp_path):
        pass


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    command = python(HOLDER, tmp_path)
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InUse, match=f"process {holder.pid}\\)"), lock(tmp_path):
            pytest.fail("two hold it")
        holder.send_signal(signal.SIGKILL)
        holder.wait(PATIENCE)
    with lock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_what_goes_wrong_inside_the_lock_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), lock(tmp_path):
        raise BlockingIOError
    with lock(tmp_path):
        pass


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for attempt in (lock(tmp_path / "file/state").__enter__, lambda: Ledger.open(tmp_path / "file/state")):
        with pytest.raises(Unwritable, match=r"/state is no directory, or lies below a file\. Mend"):
            attempt()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to("victim")
    with pytest.raises(Unwritable), lock(tmp_path):
        pytest.fail("it was followed")
    assert (tmp_path / "victim").read_text() == "precious"


# --- a full disk ---


def fill(path: Path) -> None:
    """Take all the space that is left."""
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def test_on_a_full_disk_nothing_is_committed_and_it_works_again_with_space(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    directory = tmpfs(tmp_path / "state", "1m")
    ledger = Ledger.open(directory)
    ledger.record(a_batch(0), 0.0)
    fill(directory / "filler")
    many = [change for number in range(1, 20) for change in a_batch(number)]
    for _ in range(3):
        with pytest.raises(
            Unwritable, match=rf"^no room: the file system of {directory} has .* of 1\.0 MiB\. Make"
        ):
            ledger.record(many, 1.0)
        assert assert_whole(ledger) == 1
    with lock(directory):
        pass  # the lock needs no space
    (directory / "filler").unlink()
    ledger.record(many, 2.0)
    assert assert_whole(ledger) == 20
    ledger.close()
    again = Ledger.open(directory)
    assert assert_whole(again) == 20
    again.close()


def test_an_error_of_the_disk_commits_nothing(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    failing = strace("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1+")
    done = run(*failing, *python(WRITER, tmp_path, 0, 1))
    assert f"Unwritable: the ledger {tmp_path}/{FILE}: disk I/O error. The disk is broken" in done.stderr
    ledger = Ledger.open(tmp_path)
    assert assert_whole(ledger) == 0
    ledger.close()


# --- damage ---


def a_closed_ledger(directory: Path) -> Path:
    ledger = Ledger.open(directory)
    for number in range(5):
        ledger.record(a_batch(number), float(number))
    ledger.close()
    assert [path.name for path in directory.iterdir()] == [FILE]
    return directory / FILE


def indexed(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def check_all(ledger: Ledger) -> None:
    while not ledger.check_on(64):
        pass


def flip(path: Path, needle: bytes, *, by: int = 1, last: bool = False) -> None:
    """Change one byte in the middle of `needle` where it lies in the file."""
    content = bytearray(path.read_bytes())
    place = content.rfind(needle) if last else content.find(needle)
    assert place >= 0
    content[place + len(needle) // 2] ^= by
    path.write_bytes(content)


FLIPS = {
    "digest": (bytes.fromhex(D1), 1),
    "key": (b"alice/e7/mojo.zip", 1),
    "key, no UTF-8": (b"alice/e7/mojo.zip", 0x80),
    "proof": (b"read_back", 2),
    "evidence": (b"closed+no_writer", 4),
    "folder": (b"h2oai_experiment_e7", 1),
    "where an index has the path": (indexed(source_hash(a_row(7).artifact.path)), 1),
    "where an index has the key": (indexed(key_hash("file_system", "alice/e7/mojo.zip")), 1),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("needle", "by"), FLIPS.values(), ids=FLIPS)
def test_a_flipped_byte_is_recognised(tmp_path: Path, needle: bytes, by: int, last: bool) -> None:  # noqa: FBT001 - a column
    flip(a_closed_ledger(tmp_path), needle, by=by, last=last)
    with pytest.raises(Damaged), closing(Ledger.open(tmp_path)) as ledger:
        check_all(ledger)


def test_the_newest_rows_are_checked_before_a_ledger_is_used_and_the_others_when_they_are_read(
    tmp_path: Path,
) -> None:
    path = a_closed_ledger(tmp_path)
    flip(path, b"alice/e99/mojo.zip")
    with pytest.raises(Damaged, match="is not the one that was written"):
        Ledger.open(tmp_path)
    old = tmp_path / "old"
    flip(a_closed_ledger(old), b"alice/e7/mojo.zip")
    for opening in (Ledger.open, Ledger.look):
        ledger = opening(old)
        with pytest.raises(Damaged, match="is not the one that was written"):
            list(ledger.rows())
        with pytest.raises(Damaged):
            ledger.of_sources([a_row(7).artifact.path])
        ledger.close()


def forget(seq: int) -> Deed:
    return lambda entry: None if entry.seq == seq else entry


def alter(seq: int) -> Deed:
    return lambda one: replace(one, line=one.line.replace("alice", "malice")) if one.seq == seq else one


@pytest.mark.parametrize(("deed", "found"), [(forget, 101), (alter, 100)])
def test_a_changed_record_is_a_break_and_its_end_is_checked_before_a_ledger_is_used(
    tmp_path: Path, deed: Callable[[int], Deed], found: int
) -> None:
    path = a_closed_ledger(tmp_path)
    rewrite(path, deed(100))
    ledger = Ledger.open(tmp_path)
    assert [one.seq for one in breaks(ledger.entries())] == [found]
    with pytest.raises(Damaged, match=f"entry {found} of the record"):
        check_all(ledger)
    ledger.close()
    rewrite(path, deed(199))
    with pytest.raises(Damaged, match=f"entry {found + 99} of the record"):
        Ledger.open(tmp_path)


def test_lines_that_cannot_be_unpacked_are_breaks_and_no_crash(tmp_path: Path) -> None:
    with unguarded(a_closed_ledger(tmp_path)) as connection:
        connection.execute("UPDATE entries SET lines = x'ff00ff' WHERE first = 41")
    ledger = Ledger.open(tmp_path)
    assert {one.seq for one in breaks(ledger.entries())} == set(range(41, 81))
    with pytest.raises(Damaged):
        check_all(ledger)
    ledger.close()


# --- checking on ---


def test_a_pass_over_the_whole_is_made_of_small_steps(tmp_path: Path) -> None:
    a_closed_ledger(tmp_path)
    ledger = Ledger.open(tmp_path)
    assert not ledger.check_on(7)
    ledger.record(a_batch(9), 9.0)  # work goes on meanwhile
    check_all(ledger)
    steps = 1
    while not ledger.check_on(7):  # after one pass another begins
        steps += 1
    assert steps == ceil(120 / 7) + 240 // 7 + 1
    ledger.close()


def test_a_step_reads_no_more_than_it_may(tmp_path: Path) -> None:
    """However large the ledger is: some hundred steps of SQLite's machine for each row, and no sorting."""
    for number in (10, 100):
        ledger = Ledger.open(tmp_path / str(number))
        for batch in range(number):
            ledger.record(a_batch(batch), float(batch))
        words: list[None] = []
        ledger._db.set_progress_handler(partial(words.append, None), 100)  # noqa: SLF001 - SQLite counts its work
        while not ledger.check_on(10):
            assert len(words) < 60
            words.clear()
        ledger.close()


def test_a_row_that_an_index_misses_is_recognised(tmp_path: Path) -> None:
    with unguarded(a_closed_ledger(tmp_path)) as connection:
        connection.execute("UPDATE copies SET source_hash = source_hash + 1 WHERE id = 3")
    with closing(Ledger.open(tmp_path)) as ledger, pytest.raises(Damaged, match="not found by its index"):
        check_all(ledger)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_ledger_is_recognised(tmp_path: Path, keep: float) -> None:
    path = a_closed_ledger(tmp_path)
    os.truncate(path, int(path.stat().st_size * keep) // 4096 * 4096)
    with pytest.raises(Damaged):
        Ledger.open(tmp_path)


@pytest.mark.parametrize("content", [b"garbage" * 10_000, b"\0" * 8192, b"SQLite format 3\0"])
def test_garbage_is_recognised(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(Damaged):
        Ledger.open(tmp_path)


def test_a_damaged_ledger_is_set_aside_with_all_its_files_and_a_new_one_begins(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.record(a_batch(0), 0.0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {FILE, f"{FILE}-wal", f"{FILE}-shm"}
    aside = set_aside(tmp_path, "2026")
    assert aside == tmp_path / f"{FILE}.damaged-2026"
    assert {
        path.name.replace(".damaged-2026", ""): path.read_bytes() for path in tmp_path.iterdir()
    } == before
    ledger.close()
    new = Ledger.open(tmp_path)
    assert new.head().seq == 0
    assert rows(new) == []
    new.close()


def test_a_log_that_was_left_behind_by_a_death_while_setting_aside_is_not_taken_up(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.record(a_batch(0), 0.0)
    (tmp_path / FILE).rename(tmp_path / "aside")
    new = Ledger.open(tmp_path)
    assert rows(new) == []
    new.close()
    ledger.close()


def rows(ledger: Ledger) -> list[Row]:
    return list(ledger.rows())


# --- a file that lies there no more ---


def moved(directory: Path) -> None:
    (directory / FILE).rename(directory / "elsewhere")


def replaced(directory: Path) -> None:
    shutil.copy(directory / FILE, directory / "copy")
    (directory / "copy").replace(directory / FILE)


DISPLACED: dict[str, Callable[[Path], object]] = {
    "deleted": lambda directory: (directory / FILE).unlink(),
    "its log deleted": lambda directory: (directory / f"{FILE}-wal").unlink(),
    "moved": moved,
    "replaced": replaced,
    "with its directory": shutil.rmtree,
}


@pytest.mark.parametrize("displace", DISPLACED.values(), ids=DISPLACED)
def test_nothing_is_written_into_a_file_that_lies_at_its_place_no_more(
    tmp_path: Path, displace: Callable[[Path], object]
) -> None:
    directory = tmp_path / "state"
    ledger = Ledger.open(directory)
    ledger.record(a_batch(0), 1.0)
    ledger.in_place()
    displace(directory)
    for use in (ledger.in_place, lambda: ledger.record(a_batch(1), 2.0), lambda: ledger.note(2.0, {})):
        with pytest.raises(Unwritable, match=r"was deleted, moved or replaced.*restart artifactd"):
            use()
    ledger.close()


def test_a_file_that_comes_back_to_its_place_is_written_again(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "state")
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    with pytest.raises(Unwritable):
        ledger.record(a_batch(0), 1.0)
    (tmp_path / "elsewhere").rename(tmp_path / "state")
    ledger.record(a_batch(0), 1.0)
    assert ledger.head().seq == 2 * BATCH
    ledger.close()


def test_what_others_do_with_the_ledger_displaces_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.record(a_batch(0), 1.0)
    with unguarded(tmp_path / FILE) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    Ledger.open(tmp_path).close()
    Ledger.look(tmp_path).close()
    ledger.record(a_batch(1), 1.0)
    ledger.close()
