"""Faults of the disk and sudden deaths: nothing half-written is ever visible, and putting again ends right.

A child process puts while strace changes what the kernel answers, or kills the child at one call of the put.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.stores.base import Put, Receipt, Source
from artifactd.stores.filesystem.store import FileSystemStore
from tests.support.harness import a_put, digest, pattern

CHILD = """
import json, os, sys
from pathlib import Path
from artifactd.stores.filesystem.store import FileSystemStore
from tests.stores.filesystem.test_faults import puts

root, kind, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
batch = puts(kind, count, root.parent)
results = FileSystemStore(root, owner="me").put(batch)
print(json.dumps([type(result).__name__ for result in results]))
"""

REPOSITORY = Path(__file__).parents[3]
SIZE = 300_000


def puts(kind: str, count: int, folder: Path) -> list[Put]:
    """New copies, each in a folder of its own, of content or of an open file."""
    content = pattern(SIZE)
    if kind == "content":
        return [a_put(f"u/e{n}/k", content) for n in range(count)]
    (folder / "source").write_bytes(content)
    fd = os.open(folder / "source", os.O_RDONLY)
    return [Put(Key(f"u/e{n}/k"), Source(SIZE, fd=fd), digest(content)) for n in range(count)]


def child(root: Path, kind: str, count: int) -> list[str]:
    return [sys.executable, "-B", "-c", CHILD, str(root), kind, str(count)]


def strace() -> str:
    return shutil.which("strace") or pytest.fail("strace is not installed: apt-get install strace")


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    paths = [os.environ.get("PYTHONPATH", ""), str(REPOSITORY), str(REPOSITORY / "daemon")]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def run_with(fault: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it while strace injects `fault`, for example "fsync:error=EIO:when=1"."""
    call = fault.partition(":")[0]
    # The calls of the interpreter's own start come first, so only calls that it does not make can be counted.
    return run([strace(), "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}", *command])


def results_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    results: list[str] = json.loads(done.stdout)
    return results


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def copies(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("u/*/*")}


def leftovers(root: Path) -> list[Path]:
    return list((root / ".artifactd").glob("*/*"))


def assert_converges(root: Path, kind: str, count: int) -> None:
    """Whatever is there is whole, and putting again, as the same daemon started anew, ends right."""
    whole = {f"u/e{n}/k": pattern(SIZE) for n in range(count)}
    assert copies(root).items() <= whole.items()
    results = FileSystemStore(root, owner="me", used_before=(root / ".artifactd").exists()).put(
        puts(kind, count, root.parent)
    )
    assert all(isinstance(result, Receipt) for result in results), results
    assert copies(root) == whole
    assert leftovers(root) == []


# --- the order of things ---


def test_a_copy_is_flushed_before_it_has_its_name_and_the_name_before_the_receipt(root: Path) -> None:
    trace = _trace(root, "content", 1)
    steps = [step for step in trace if step != ("fsync", str(root))]
    temporary = str(root / ".artifactd/tmp")
    assert [(call, re.sub(r"/me-[^/]*$", "/*", path)) for call, path in steps] == [
        ("fsync", f"{temporary}/*"),
        ("renameat2", temporary),
        *[("fsync", path) for call, path in steps[2:] if call == "fsync"],
    ]
    assert {path for _, path in steps[2:]} == {f"{root}/u", f"{root}/u/e0"}
    assert trace.index(("fsync", str(root))) < trace.index(("renameat2", temporary))
    assert trace[-1][0] == "fsync"
    assert trace[2:].count(("fsync", str(root))) == 1  # the name of "u"


def test_a_batch_shares_its_flushes(root: Path) -> None:
    calls = [call for call, path in _trace(root, "file", 20) if path != str(root) or call == "syncfs"]
    assert calls == ["syncfs", *["renameat2"] * 20, "syncfs"]


def test_a_copy_that_was_there_is_flushed_before_the_receipt(root: Path) -> None:
    """Somebody else may have written it a moment ago, or this daemon before it was killed."""
    (root / "u/e0").mkdir(parents=True)
    (root / "u/e0/k").write_bytes(pattern(SIZE))
    assert _trace(root, "content", 1)[-2:] == [("fsync", f"{root}/u/e0/k"), ("fsync", f"{root}/u/e0")]


def _trace(root: Path, kind: str, count: int) -> list[tuple[str, str]]:
    """The durable steps of a put: each call with the path of its first descriptor."""
    log = root.parent / "trace"
    options = [
        "-f",
        "-y",
        "-o",
        str(log),
        "-e",
        "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,linkat",
    ]
    done = run([strace(), *options, *child(root, kind, count)])
    assert results_of(done) == ["Receipt"] * count
    return re.findall(r"(\w+)\(\d+<([^>]*)>", log.read_text())


# --- errors of the disk ---


@pytest.mark.parametrize(
    ("kind", "count", "fault", "expected"),
    [
        ("content", 1, "write:error=EIO:when=1", "StoreError"),
        ("content", 1, "write:error=ENOSPC:when=1", "StoreError"),  # smaller ones have room
        ("content", 1, "write:error=EDQUOT:when=1", "StoreError"),
        ("content", 1, "write:retval=5:when=1", "Corrupt"),  # it lies: nothing was written
        ("file", 1, "copy_file_range:error=EIO:when=1", "StoreError"),
        ("file", 1, f"copy_file_range:retval={SIZE}:when=1", "Corrupt"),
        ("file", 1, "copy_file_range:retval=5:when=1", "Corrupt"),
        ("file", 1, "/preadv:error=EIO:when=1", "StoreError"),  # reading back
        ("content", 1, "fchmod:error=EPERM", "StoreError"),
        (
            "content",
            1,
            "fsync:error=EIO:when=2",
            "StoreError",
        ),  # the first is of the root's name for .artifactd
        ("content", 1, "mkdirat:error=EACCES:when=1", "Denied"),  # the store's own folder
        ("content", 1, "mkdirat:error=EROFS:when=1", "Unavailable"),
        ("content", 1, "mkdirat:error=EACCES:when=3", "StoreError"),  # one user's folder
        ("content", 1, "renameat2:error=EIO", "StoreError"),
        ("file", 5, "syncfs:error=EIO:when=1", "StoreError"),
    ],
)
def test_after_an_error_nothing_is_visible_and_a_repeat_converges(
    root: Path, kind: str, count: int, fault: str, expected: str
) -> None:
    assert results_of(run_with(fault, child(root, kind, count))) == [expected] * count
    assert copies(root) == {}
    assert leftovers(root) == []
    assert_converges(root, kind, count)


@pytest.mark.parametrize(
    ("count", "fault"),
    [(1, "fsync:error=EIO:when=3+"), (5, "syncfs:error=EIO:when=2"), (5, "syncfs:error=ENOSPC:when=2")],
)
def test_a_name_that_was_not_flushed_gets_no_receipt(root: Path, count: int, fault: str) -> None:
    assert "Receipt" not in results_of(run_with(fault, child(root, "content", count)))
    assert leftovers(root) == []
    assert_converges(root, "content", count)


def test_a_fault_of_one_file_delays_no_other(root: Path) -> None:
    done = run_with("write:error=EIO:when=2", child(root, "content", 5))
    assert results_of(done) == ["Receipt", "StoreError", "Receipt", "Receipt", "Receipt"]
    assert_converges(root, "content", 5)


@pytest.mark.parametrize("fault", ["write:error=ENOSPC:when=3", "syncfs:error=ENOSPC:when=1"])
def test_where_a_batch_finds_no_room_each_file_is_written_anew_by_itself(root: Path, fault: str) -> None:
    assert results_of(run_with(fault, child(root, "content", 5))) == ["Receipt"] * 5
    assert leftovers(root) == []
    assert_converges(root, "content", 5)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("file", "copy_file_range:error=EXDEV"),
        ("file", "copy_file_range:error=ENOSYS"),
        ("file", "copy_file_range:error=EOPNOTSUPP"),
        ("content", "renameat2:error=EINVAL"),  # NFS
        ("content", "renameat2:error=ENOSYS"),
    ],
)
def test_what_a_file_system_cannot_do_is_done_in_another_way(root: Path, kind: str, fault: str) -> None:
    assert results_of(run_with(fault, child(root, kind, 1))) == ["Receipt"]
    assert copies(root) == {"u/e0/k": pattern(SIZE)}
    assert leftovers(root) == []
    (root / "u/e0/k").unlink()
    (root / "u/e0/k").write_bytes(b"foreign")
    assert results_of(run_with(fault, child(root, kind, 1))) == ["Conflict"]
    assert copies(root) == {"u/e0/k": b"foreign"}


def test_a_file_system_that_can_give_no_name_once_is_told_as_one(root: Path) -> None:
    """exFAT and FAT through FUSE: no RENAME_NOREPLACE, no links."""
    faults = ["-e", "inject=renameat2:error=EINVAL", "-e", "inject=linkat:error=EPERM"]
    options = ["-f", "-o", "/dev/null", "-e", "trace=renameat2,linkat", *faults]
    put = child(root, "content", 2)
    put[3] = put[3].replace("type(result).__name__", "[type(result).__name__, str(result)]")
    results = json.loads(run([strace(), *options, *put]).stdout)
    assert [kind for kind, _ in results] == ["Denied", "Denied"]
    assert "This file system can neither rename" in results[0][1]
    assert "Choose a directory on another" in results[0][1]
    assert "account" not in results[0][1]
    assert copies(root) == {}
    assert leftovers(root) == []
    assert_converges(root, "content", 2)


# --- sudden death ---


@pytest.mark.parametrize(
    ("kind", "count", "call", "when"),
    [
        *[("content", 1, "fsync", n) for n in range(1, 6)],
        *[("content", 1, "mkdirat", n) for n in range(1, 5)],
        ("content", 1, "write", 1),
        ("file", 1, "copy_file_range", 1),
        ("content", 1, "fchmod", 1),
        ("content", 1, "renameat2", 1),
        *[("content", 5, "write", n) for n in (1, 3)],
        *[("file", 5, "syncfs", n) for n in (1, 2)],
        *[("file", 5, "renameat2", n) for n in (1, 3, 5)],
    ],
)
def test_a_death_at_any_step_leaves_nothing_half_written_and_a_repeat_converges(
    root: Path, kind: str, count: int, call: str, when: int
) -> None:
    done = run_with(f"{call}:signal=KILL:when={when}", child(root, kind, count))
    assert done.returncode == -9, (done.returncode, done.stderr)  # strace dies as its child did
    assert_converges(root, kind, count)


def test_a_death_between_link_and_unlink_leaves_nothing_either(root: Path) -> None:
    faults = ["-e", "inject=renameat2:error=EINVAL", "-e", "inject=unlinkat:signal=KILL:when=1"]
    options = ["-f", "-o", "/dev/null", "-e", "trace=renameat2,unlinkat", *faults]
    done = run([strace(), *options, *child(root, "content", 1)])
    assert done.returncode == -9, done.stderr
    assert [path.stat().st_nlink for path in leftovers(root)] == [2]
    assert_converges(root, "content", 1)


# --- real file systems ---

ON_A_SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
from artifactd.stores.filesystem.store import FileSystemStore
from tests.support.harness import a_put, pattern

def told(results):
    return [type(result).__name__ for result in results]

root = Path(sys.argv[1])
mount = lambda *options: subprocess.run(["mount", *options], check=True)
mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root))
store = FileSystemStore(root, owner="me")
(root / "ballast").write_bytes(pattern(900_000))
big = a_put("u/e/big", pattern(300_000))

refused, small = store.put([big, a_put("u/e/small", b"it has room")])
full = [told([refused, small]), str(refused)]
after_full = [str(key) for key in store.keys()] + os.listdir(root / ".artifactd/tmp")
(root / "ballast").unlink()
with_room = told(store.put([big]))

mount("-o", "remount,ro", str(root))
read_only = told(store.put([a_put("u/e/other", b"other")]))
mount("-o", "remount,rw", str(root))

(root / "u2").mkdir()
mount("-t", "tmpfs", "tmpfs", str(root / "u2"))
crossing = told(store.put([a_put("u2/e/k", b"crossing")])) + os.listdir(root / "u2")
print(json.dumps([full, after_full, with_room, read_only, crossing]))
"""


@functools.cache
def namespace() -> list[str]:
    """The command that gives a child mounts of its own: as root, or as root of a user namespace."""
    ways = [["unshare", "-m"], ["unshare", "-Urm"]]
    for way in ways:
        if run([*way, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).returncode == 0:
            return way
    return pytest.fail("neither root nor a user namespace may mount here: the tests of a full disk need one")


def test_a_full_a_read_only_and_a_crossed_disk(root: Path) -> None:
    done = run([*namespace(), sys.executable, "-c", ON_A_SMALL_DISK, str(root)])
    assert done.returncode == 0, done.stderr
    full, after_full, with_room, read_only, crossing = json.loads(done.stdout)
    kinds, reason = full
    assert (kinds, sorted(after_full)) == (["StoreError", "Receipt"], ["ballast", "u/e/small"])
    free = r"\d+\.\d KiB free of 1\.0 MiB"
    assert re.fullmatch(
        rf"u/e/big: no room: the file system of {root} has {free}, and this file has 293\.0 KiB", reason
    )
    assert with_room == ["Receipt"]
    assert read_only == ["Unavailable"]
    assert crossing == ["Conflict"]
