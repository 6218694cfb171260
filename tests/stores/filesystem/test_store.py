"""The file system store keeps the contract, and what is true of directories alone."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from artifactd.artifact import KEY_BYTES, Key
from artifactd.stores.base import CHUNK, Conflict, Proof, Put, Source, Unavailable
from artifactd.stores.filesystem.delivery import FileDelivery
from artifactd.stores.filesystem.store import FileSystemStore
from tests.stores.conformance import StoreConformance
from tests.support.harness import NewDestination, a_put, digest, only, outcome, pattern, receipt

NEW, FOREIGN = b"new", b"foreign"


def files(folder: Path) -> Iterator[Path]:
    """What lies below `folder`, the store's own folder left out."""
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] != ".artifactd" and not path.is_dir():
            yield path


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / ".artifactd/tmp").glob("*")]


class FileSystemHarness:
    """A folder, looked at with pathlib."""

    proof = Proof.READ_BACK
    key_bytes = KEY_BYTES

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self._owners = count()

    def store(self) -> FileSystemStore:
        return FileSystemStore(self.root, owner=f"owner{next(self._owners)}")

    def contents(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files(self.root)}

    def plant(self, key: str, content: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def marks(self) -> dict[str, object]:
        """A write makes a new file or changes its times; so does a new name in a folder."""
        found = {path: path.stat() for path in (self.root, *self.root.rglob("*"))}
        return {
            str(path): (at.st_ino, at.st_mtime_ns, at.st_ctime_ns)
            for path, at in found.items()
            if path != self.root / ".artifactd" and path != self.root / ".artifactd/tmp" and path != self.root
        }


class TestFileSystemStore(StoreConformance):
    @pytest.fixture
    def new_destination(self, tmp_path: Path) -> NewDestination:
        numbers = count()
        return lambda: FileSystemHarness(tmp_path / f"destination{next(numbers)}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"not ours")
    return tmp_path / "outside"


def a_store(root: Path, owner: str = "me") -> FileSystemStore:
    return FileSystemStore(root, owner=owner)


# --- the files ---


@pytest.mark.parametrize("mode", [0o444, 0o440, 0o644])
def test_a_copy_has_the_configured_mode_whatever_the_umask_and_after_a_replacement(
    root: Path, mode: int
) -> None:
    store = FileSystemStore(root, owner="me", file_mode=mode)
    for put in (a_put("u/e/k", b"old"), a_put("u/e/k", NEW, b"old")):
        receipt(store.put([put]))
        assert stat.S_IMODE((root / "u/e/k").stat().st_mode) == mode


def test_folders_have_the_configured_mode(root: Path) -> None:
    FileSystemStore(root, owner="me", directory_mode=0o700).put([a_put("u/e/k", NEW)])
    assert [stat.S_IMODE((root / folder).stat().st_mode) for folder in ("u", "u/e")] == [0o700, 0o700]


def test_a_reader_of_the_old_copy_keeps_it_while_it_is_replaced(root: Path) -> None:
    store = a_store(root)
    store.put([a_put("k", b"old")])
    with (root / "k").open("rb") as reader:
        receipt(store.put([a_put("k", NEW, b"old")]))
        assert reader.read() == b"old"


def test_a_source_on_another_file_system_is_copied(root: Path) -> None:
    content = pattern(3 << 20)
    descriptor = os.memfd_create("source")  # lies on a tmpfs of the kernel's own, so never on the root's
    try:
        assert os.fstat(descriptor).st_dev != root.stat().st_dev
        os.write(descriptor, content)
        receipt(a_store(root).put([Put(Key("k"), Source(len(content), fd=descriptor), digest(content))]))
    finally:
        os.close(descriptor)
    assert (root / "k").read_bytes() == content


def test_the_uri_names_the_file(tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path / os.fsdecode(b"d\xff"), owner="me")
    assert store.uri(Key("u s/é#?.zip")) == f"file://{tmp_path}/d%FF/u%20s/%C3%A9%23%3F.zip"


def test_nothing_stays_open(root: Path, outside: Path) -> None:
    def work(store: FileSystemStore) -> None:
        store.put([a_put(f"u{n}/e/k", b"x") for n in range(8)] + [a_put("link/k", NEW), a_put("u1/e/k", NEW)])
        store.put([a_put("u1/e", NEW)])
        assert store.digest(Key("u1/e/k")) == digest(b"x")
        assert len(list(store.keys())) == 8

    (root / "link").symlink_to(outside)
    store = a_store(root)
    work(store)
    before = sorted(Path("/proc/self/fd").iterdir())
    work(store)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- leftovers ---


def test_the_first_put_removes_what_a_crash_of_the_same_daemon_left_and_nobody_elses(root: Path) -> None:
    temporary = root / ".artifactd/tmp"
    temporary.mkdir(parents=True)
    mine, others = ["me-1-7f00-0", "me-99-1-12"], ["me-too-1-7f00-0", "you-1-7f00-0", "me", "readme.txt"]
    for name in mine + others:
        (temporary / name).write_bytes(b"partial")
    store = a_store(root)
    receipt(store.put([a_put("k", NEW)]))
    assert sorted(leftovers(root)) == sorted(others)

    (temporary / mine[0]).write_bytes(b"of a thread that is at work")
    receipt(store.put([a_put("l", NEW)]))
    assert mine[0] in leftovers(root)


def test_the_first_put_removes_what_other_hosts_left_a_day_ago_and_nothing_that_may_be_at_work(
    root: Path,
) -> None:
    temporary = root / ".artifactd/tmp"
    temporary.mkdir(parents=True)
    day = 86_400
    ages = {
        "gone-1-7f00-0": 2 * day,
        "slow-1-7f00-0": day // 2,
        "readme.txt": 9 * day,
        "a-link-1-7f-0": 9 * day,
    }
    (root / "kept").write_bytes(b"")
    for name, age in ages.items():
        if "link" in name:
            (temporary / name).symlink_to(root / "kept")
        else:
            (temporary / name).write_bytes(b"partial")
        written = time.time() - age
        os.utime(temporary / name, (written, written), follow_symlinks=False)
    (temporary / "alien-1-7f00-0").write_bytes(b"of another account")
    os.utime(temporary / "alien-1-7f00-0", (0, 0))
    os.chown(temporary / "alien-1-7f00-0", 65534, -1)
    receipt(a_store(root).put([a_put("k", NEW)]))
    assert sorted(leftovers(root)) == ["a-link-1-7f-0", "alien-1-7f00-0", "readme.txt", "slow-1-7f00-0"]


def test_no_result_leaves_a_temporary_file(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside)
    store = a_store(root)
    bad = Put(Key("bad"), Source(3, b"bad"), digest(b"announced"))
    store.put([a_put("k", NEW), a_put("k", FOREIGN), bad, a_put("link/k", NEW), a_put("k/k", NEW)])
    assert leftovers(root) == []


def test_reads_write_nothing(root: Path) -> None:
    store = a_store(root)
    assert (store.stat(Key("k")), store.digest(Key("k")), list(store.keys())) == (None, None, [])
    assert list(root.iterdir()) == []


# --- a hostile destination ---


def _fifo(path: Path, _outside: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, _outside: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _folder(path: Path, _outside: Path) -> None:
    path.mkdir()


def _dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "new")


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "file")


def _linked_folder(path: Path, outside: Path) -> None:
    path.symlink_to(outside, target_is_directory=True)


def _file(path: Path, _outside: Path) -> None:
    path.write_bytes(FOREIGN)


OBSTACLES: list[tuple[str, Callable[[Path, Path], None]]] = [
    ("u/e/k", _fifo),
    ("u/e/k", _socket),
    ("u/e/k", _folder),
    ("u/e/k", _link),
    ("u/e/k", _dangling),
    ("u/e/k", _linked_folder),
    ("u/e", _linked_folder),
    ("u/e", _dangling),
    ("u/e", _fifo),
    ("u/e", _file),
    ("u", _linked_folder),
    ("u", _file),
    (".artifactd", _linked_folder),
    (".artifactd", _file),
    (".artifactd/tmp", _linked_folder),
]


@pytest.mark.parametrize(("place", "obstacle"), OBSTACLES)
def test_what_stands_in_the_way_is_a_conflict_and_nothing_outside_is_touched(
    root: Path, outside: Path, place: str, obstacle: Callable[[Path, Path], None]
) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    obstacle(root / place, outside)
    before = (root / place).lstat()
    result = only(a_store(root).put([a_put("u/e/k", NEW, b"not ours", FOREIGN)]))
    assert isinstance(result, Conflict), result
    assert (root / place).lstat().st_ino == before.st_ino
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"file": b"not ours"}


@pytest.mark.parametrize("obstacle", [_fifo, _socket, _folder])
def test_what_is_no_file_is_no_copy(
    root: Path, outside: Path, obstacle: Callable[[Path, Path], None]
) -> None:
    obstacle(root / "k", outside)
    store = a_store(root)
    assert (store.stat(Key("k")), store.digest(Key("k"))) == (None, None)
    assert list(store.keys()) == []


@pytest.mark.parametrize("place", ["u", "u/e", "u/e/k"])
def test_a_link_is_not_read_through(root: Path, outside: Path, place: str) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (outside / "e").mkdir()
    (outside / "e/k").write_bytes(b"secret")
    (outside / "k").write_bytes(b"secret")
    (root / place).symlink_to(outside if place != "u/e/k" else outside / "k")
    with pytest.raises(Conflict):
        a_store(root).digest(Key("u/e/k"))
    assert list(a_store(root).keys()) == []


def test_listing_passes_over_what_can_be_no_key(root: Path, outside: Path) -> None:
    harness = ["u/e/k", ".snapshot/u/e/k", "lost+found/#12", "u/.hidden/k", "u/-dash", "lost+found too/k"]
    for name in harness:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(NEW)
    Path(os.fsdecode(os.fsencode(root) + b"/u/\xff")).write_bytes(NEW)
    (root / "linked").symlink_to(outside)
    assert sorted(map(str, a_store(root).keys())) == ["lost+found too/k", "u/e/k"]


# --- a destination that is not there ---


def test_a_missing_destination_is_unavailable_and_the_mend_is_told(root: Path) -> None:
    root.rmdir()
    result = only(a_store(root).put([a_put("k", NEW)]))
    assert isinstance(result, Unavailable)
    assert str(root) in str(result)
    assert "artifacts_file_system_directory" in str(result)
    assert not root.exists()
    with pytest.raises(Unavailable):
        a_store(root).stat(Key("k"))


def test_a_destination_that_is_no_folder_takes_nothing(root: Path) -> None:
    root.rmdir()
    root.write_bytes(FOREIGN)
    assert isinstance(only(a_store(root).put([a_put("k", NEW)])), Unavailable)
    assert root.read_bytes() == FOREIGN


@pytest.mark.parametrize("how", ["told so", "by its own put"])
def test_a_destination_that_was_used_and_is_empty_now_is_not_mounted(root: Path, how: str) -> None:
    store = FileSystemStore(root, owner="me", used_before=how == "told so")
    if how == "by its own put":
        receipt(store.put([a_put("k", NEW)]))
        root.rename(root.with_name("unmounted"))
        root.mkdir()
    result = only(store.put([a_put("l", NEW)]))
    assert isinstance(result, Unavailable)
    assert f"mkdir {root}/.artifactd" in str(result)
    for read in (lambda: store.stat(Key("k")), lambda: store.digest(Key("k")), lambda: list(store.keys())):
        with pytest.raises(Unavailable):
            read()
    assert list(root.iterdir()) == []

    (root / ".artifactd").mkdir()  # the mend that was told
    assert receipt(store.put([a_put("l", NEW)])).written


# --- somebody else at the same key ---


@dataclass(frozen=True, slots=True)
class Meddled(Source):
    """A source whose reading gives somebody else the time to do something."""

    meddle: Callable[[], object] = object

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        self.meddle()
        return Source.chunks(self, size)


@pytest.mark.parametrize(
    ("before", "meanwhile", "expected", "after"),
    [
        (None, FOREIGN, "Conflict", FOREIGN),
        (None, NEW, "there", NEW),
        (None, b"old", "written", NEW),
        (b"old", FOREIGN, "Conflict", FOREIGN),
        (b"old", NEW, "there", NEW),
        (b"old", b"older", "written", NEW),
        (b"old", None, "written", NEW),
    ],
)
def test_what_changes_while_the_copy_is_written_is_looked_at_again(
    root: Path, before: bytes | None, meanwhile: bytes | None, expected: str, after: bytes
) -> None:
    def meddle() -> None:
        (root / "k").unlink(missing_ok=True)
        if meanwhile is not None:
            (root / "k").write_bytes(meanwhile)

    if before is not None:
        (root / "k").write_bytes(before)
    ours = (digest(b"old"), digest(b"older"))
    put = Put(Key("k"), Meddled(len(NEW), NEW, meddle=meddle), digest(NEW), ours)
    assert outcome(only(a_store(root).put([put]))) == expected
    assert (root / "k").read_bytes() == after
    assert leftovers(root) == []


def test_a_key_that_keeps_changing_is_left_to_its_owner(root: Path) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            (root / "other").write_bytes(FOREIGN)
            (root / "other").rename(root / "k")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        results = [only(a_store(root).put([a_put("k", NEW, FOREIGN)])) for _ in range(50)]
    finally:
        stop.set()
        churning.join()
    assert {outcome(result) for result in results} <= {"written", "there", "StoreError"}
    assert leftovers(root) == []


def test_bytes_that_another_writer_put_meanwhile_are_flushed_before_the_receipt(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def heard(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", heard)
    folder = os.open(root, os.O_RDONLY)
    try:
        delivery = FileDelivery(a_put("k", NEW), folder=folder)
        delivery.look(flush=True)
        delivery.write(folder, b"temporary", 0o444, flush=True)
        (root / "k").write_bytes(NEW)
        delivery.publish(folder)
    finally:
        os.close(folder)
    assert delivery.result is not None
    assert outcome(delivery.result) == "there"
    assert flushed == ["temporary", "k"]


def test_a_full_directory_is_told_with_the_room_that_it_had_then(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    """Not with what its temporary files gave back."""
    store = FileSystemStore(tmpfs(tmp_path / "small", "300k"), owner="me")
    results = store.put([a_put(f"u/e/{number}", bytes(20_000)) for number in range(20)])
    refused = [one for one in results if outcome(one) != "written"]
    assert refused
    assert all(isinstance(one, Unavailable) and "no room: the file" in str(one) for one in refused)
    assert all("has 0 B free of 300.0 KiB" in str(one) for one in refused)


def test_of_a_batch_without_room_each_file_that_fits_is_put(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    """One that does not fit fails alone, again and again, before it takes the room of the others."""
    root = tmpfs(tmp_path / "small", "1m")
    store = FileSystemStore(root, owner="me")
    sizes = {"small": 1000, "too large": 1 << 20, "a third": 350_000, "too large, too": 900_000, "last": 0}
    puts = [a_put(f"u/e/{name}", bytes(size)) for name, size in sizes.items()]
    for first in ("written", "there"):
        results = dict(zip(sizes, store.put(puts), strict=True))
        outcomes = {name: outcome(result) for name, result in results.items()}
        assert outcomes == {name: "StoreError" if "too" in name else first for name in sizes}
        assert str(results["too large"]).endswith("free of 1.0 MiB, and this file has 1.0 MiB")
    assert leftovers(root) == []
