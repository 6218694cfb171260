import fcntl
import gc
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Identity, Sighting
from artifactd.decisions.settle import Settled
from artifactd.discovery import evidence
from artifactd.discovery.reading import SMALL, Missing, NotYet, Outcome, Reading, Unfit, Unreadable, read
from artifactd.discovery.scan import Seen, root, sight
from artifactd.stores.base import Parts
from tests.support.subjects import a_subject

PATIENCE = 120.0
"""Seconds after which what should have happened never will."""

QUIET = 2.0

EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = b"\2\0\0\0"
"""From Linux's fs/ext4: the file system goes down as in a power cut, with what the disk has by then."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    evidence.prepare()
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def seen(data: Path, path: str = "file") -> Sighting:
    with root(data) as top:
        match sight(top, path.encode()):
            case Seen((sighting,)):
                return sighting
            case other:
                raise AssertionError(other)


def look(data: Path, sighting: Sighting, max_size: int | None = None) -> Outcome:
    """What comes of the file, seen like this a quiet period and more ago."""
    with root(data) as top:
        return read(top, Settled(a_subject(sighting), "closed", 10 * QUIET, 0.0), QUIET, max_size)


def the_reading(outcome: Outcome) -> Reading:
    assert isinstance(outcome, Reading), outcome
    return outcome


def descriptors() -> int:
    gc.collect()  # or what an earlier test left behind is closed at any moment
    return len(list(Path("/proc/self/fd").iterdir()))


# --- what is read ---


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL + 7])
def test_a_complete_file_is_hashed_and_can_be_put(data: Path, size: int) -> None:
    content = os.urandom(size)
    (data / "file").write_bytes(content)
    before = descriptors()
    reading = the_reading(look(data, seen(data)))
    assert reading.digest == hashlib.sha256(content).hexdigest()
    assert (reading.source.size, b"".join(reading.source.chunks())) == (size, content)
    assert (reading.identity, reading.evidence) == (seen(data).identity, "closed+no_writer")
    assert descriptors() == before + (size > SMALL), "the descriptor of a small file is closed at once"
    assert reading.unchanged()
    reading.close()
    assert descriptors() == before


def test_a_file_larger_than_a_part_is_hashed_in_parts_too(data: Path) -> None:
    content = os.urandom(3 * SMALL + 7)
    (data / "file").write_bytes(content)
    with root(data) as top:
        settled = Settled(a_subject(seen(data)), "closed", 10 * QUIET, 0.0)
        in_parts = the_reading(read(top, settled, QUIET, None, 2 * SMALL))
        whole = the_reading(read(top, settled, QUIET, None, 4 * SMALL))
    cut = (content[: 2 * SMALL], content[2 * SMALL :])
    assert in_parts.source.parts == Parts(2 * SMALL, tuple(hashlib.sha256(one).digest() for one in cut))
    assert in_parts.digest == whole.digest == hashlib.sha256(content).hexdigest()
    assert whole.source.parts is None
    in_parts.close()
    whole.close()


def test_a_large_file_that_changes_after_it_was_read_shows(data: Path) -> None:
    path = data / "file"
    path.write_bytes(bytes(SMALL + 1))
    reading = the_reading(look(data, seen(data)))
    path.write_bytes(b"other")
    assert not reading.unchanged()
    reading.close()


def test_a_small_file_that_changes_after_it_was_read_is_put_as_it_was(data: Path) -> None:
    (data / "file").write_bytes(b"content")
    reading = the_reading(look(data, seen(data)))
    (data / "file").write_bytes(b"other")
    assert reading.unchanged()
    assert reading.source.content == b"content"


def test_a_date_in_the_past_is_no_problem(data: Path) -> None:
    (data / "file").write_bytes(b"unpacked by tar")
    os.utime(data / "file", (0, 0))
    assert the_reading(look(data, seen(data))).identity.mtime_ns == 0


def test_a_name_of_any_bytes_is_read(data: Path) -> None:
    name = os.fsdecode(b"\xff\n -" + b"x" * 200)
    (data / name).write_bytes(b"content")
    with root(data) as top:
        status = os.lstat(data / name)
        identity = Identity(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )
        sighting = Sighting(os.fsencode(name), identity, status.st_mode)
        assert isinstance(read(top, Settled(a_subject(sighting), "quiet", 9.0, 0.0), QUIET, None), Reading)


# --- what is refused ---


def a_fifo(path: Path, _outside: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path, _outside: Path) -> None:
    os.mknod(path, stat.S_IFSOCK)


def a_device(path: Path, _outside: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null


def a_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def a_hard_link(path: Path, outside: Path) -> None:
    path.hardlink_to(outside)


def a_sparse_giant(path: Path, _outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def too_large(path: Path, _outside: Path) -> None:
    path.write_bytes(bytes(1001))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_fifo, "a FIFO: only regular files are exported"),
        (a_socket, "a socket: only regular files are exported"),
        (a_device, "a device: only regular files are exported"),
        (a_link, "a link: only regular files are exported"),
        (a_hard_link, "it has more than one name (hard links), and another may lie elsewhere"),
        (a_sparse_giant, "it claims 1099511627776 bytes and holds 0: a sparse file"),
        (too_large, "its 1001 bytes are over limits.max_file_size (1000 bytes)"),
    ],
)
def test_what_is_no_plain_file_of_its_own_is_unfit(
    data: Path, tmp_path: Path, make: Callable[[Path, Path], None], reason: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    make(data / "file", tmp_path / "secret")
    sighting = seen(data)
    before = descriptors()
    outcome = look(data, sighting, None if make is a_sparse_giant else 1000)
    assert isinstance(outcome, Unfit)
    assert outcome.reason == reason
    assert descriptors() == before


@pytest.mark.parametrize("make", [a_fifo, a_device, a_link, a_socket])
def test_what_takes_a_files_place_after_it_was_seen_is_not_read(
    data: Path, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (data / "file").write_bytes(b"content")
    sighting = seen(data)
    (data / "file").unlink()
    make(data / "file", tmp_path / "secret")
    before = descriptors()
    assert isinstance(look(data, sighting), Unfit | Unreadable)
    assert descriptors() == before


def test_a_large_file_without_a_hole_is_read(data: Path) -> None:
    with (data / "file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 65 << 20)
    reading = the_reading(look(data, seen(data)))
    assert reading.source.size == 65 << 20
    reading.close()


def test_a_file_on_another_mount_is_unfit(data: Path, tmpfs: Callable[[Path, str], Path]) -> None:
    mounted = tmpfs(data / "mounted", "1m")
    (mounted / "file").write_bytes(b"content")
    status = (mounted / "file").stat()
    identity = Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    outcome = look(data, Sighting(b"mounted/file", identity, status.st_mode))
    assert isinstance(outcome, Unfit)
    assert outcome.reason == "it lies on another file system: mounts are not crossed"


def test_a_link_on_the_way_is_unfit(data: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (data / "folder").mkdir()
    for directory in (tmp_path / "outside", data / "folder"):
        (directory / "file").write_bytes(b"content")
    sighting = seen(data, "folder/file")
    (data / "folder").rename(data / "away")
    (data / "folder").symlink_to(tmp_path / "outside")
    outcome = look(data, sighting)
    assert isinstance(outcome, Unfit)
    assert outcome.reason == "a link on its path: links are not followed"


@pytest.mark.parametrize("path", ["file", "folder/file", "folder"])
def test_a_file_that_is_gone_is_missing(data: Path, path: str) -> None:
    (data / "file").write_bytes(b"content")
    sighting = replace(seen(data), path=path.encode())
    (data / "file").unlink()
    assert isinstance(look(data, sighting), Missing)


def test_a_file_whose_folder_became_a_file_is_missing(data: Path) -> None:
    (data / "file").write_bytes(b"content")
    assert isinstance(look(data, replace(seen(data), path=b"file/file")), Missing)


# --- what is not complete ---


def not_yet(outcome: Outcome) -> str:
    assert isinstance(outcome, NotYet), outcome
    return outcome.incomplete.reason


def test_a_file_that_is_open_for_writing_is_not_complete(data: Path) -> None:
    with (data / "file").open("wb"):
        assert not_yet(look(data, seen(data))) == "open for writing"


@pytest.mark.parametrize("name", ["mojo.zip", "MOJO.ZIP"])
def test_a_zip_is_not_complete_before_its_directory_reads(data: Path, name: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"content")
    (data / name).write_bytes(file.getvalue()[:-1])
    assert "zip" in not_yet(look(data, seen(data, name)))
    (data / name).write_bytes(file.getvalue())
    assert isinstance(look(data, seen(data, name)), Reading)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"more content"),
        lambda path: path.with_name("new").replace(path),
        lambda path: os.utime(path, (0, 0)),
        lambda path: path.chmod(0o600),
    ],
    ids=["written", "replaced", "dated", "mode"],
)
def test_a_file_that_changed_since_it_was_seen_is_not_complete(
    data: Path, change: Callable[[Path], object]
) -> None:
    (data / "file").write_bytes(b"content")
    (data / "new").write_bytes(b"content")
    sighting = seen(data)
    change(data / "file")
    outcome = look(data, sighting)
    assert not_yet(outcome) == "it changed since it was seen"
    assert isinstance(outcome, NotYet)
    assert outcome.identity == seen(data).identity != sighting.identity


READ = """
import os, sys
from pathlib import Path
from artifactd.discovery.reading import read
from artifactd.discovery.scan import root, sight
from artifactd.decisions.assessment import Subject
from artifactd.decisions.settle import Settled
os.chdir(sys.argv[1])
if "as nobody" in sys.argv and os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
with root(Path(".")) as top:
    sighting = sight(top, b"file").sightings[0]
    print(os.getpid(), flush=True)
    outcome = read(top, Settled(Subject(sighting, None, None), "closed", 10.0, 0.0), 1.0, None)
    print(type(outcome).__name__, getattr(outcome, "reason", ""), getattr(outcome, "incomplete", ""))
"""


def test_what_was_read_is_on_the_disk_whether_its_writer_flushed_it_or_not(tmp_path: Path) -> None:
    """The journal has the file's inode and not its bytes, as some seconds after any write: the power fails.

    Of the one that was read, with the same history, nothing is lost.
    """
    image, disk = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    disk.mkdir()
    mount = ["mount", "-o", "loop", str(image), str(disk)]
    subprocess.run(mount, check=True)
    try:
        for name in ("read", "not read"):
            (disk / name).write_bytes(b"content")
        look(disk, seen(disk, "read"))
        with (disk / "another").open("wb") as file:
            os.fsync(file.fileno())
        identities = {name: seen(disk, name).identity for name in ("read", "not read")}
        fd = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH)
        os.close(fd)
        subprocess.run(["umount", disk], check=True)
        subprocess.run(mount, check=True)
        assert (disk / "read").read_bytes() == b"content"
        assert (disk / "not read").read_bytes() == b""
        assert seen(disk, "not read").identity == replace(identities["not read"], size=0)
        assert seen(disk, "read").identity == identities["read"]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(("error", "outcome"), [("EIO", "Unreadable"), ("EINVAL", "Reading")])
def test_a_file_that_cannot_be_flushed_is_not_taken_for_read(data: Path, error: str, outcome: str) -> None:
    (data / "file").write_bytes(b"content")
    under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=fsync:error={error}"]
    said = subprocess.run(
        [*under, sys.executable, "-c", READ, data], capture_output=True, text=True, check=True
    ).stdout
    assert f"\n{outcome} " in said
    assert ("cannot be brought to its own disk" in said) is (error == "EIO")


def injecting(fault: str, trace: str = "/dev/null") -> list[str]:
    """What starts a reader that meets this fault when it hashes."""
    calls = "preadv,preadv2"
    return ["strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]


def changed_while_read(data: Path, change: Callable[[Path], object]) -> str:
    """What comes of a large file in a process that is stopped after its first read until `change` is done."""
    trace = data.parent / "trace"
    launcher = injecting("signal=SIGSTOP:when=1", str(trace))
    with subprocess.Popen(
        [*launcher, sys.executable, "-c", READ, data], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        reader = int(child.stdout.readline())
        deadline = time.monotonic() + PATIENCE
        while "stopped by SIGSTOP" not in trace.read_text():
            assert time.monotonic() < deadline, "it was never stopped"
        change(data / "file")
        os.kill(reader, signal.SIGCONT)
        return child.stdout.read()


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    "change",
    [
        appended,
        lambda path: path.write_bytes(bytes(SMALL + 1)),
        lambda path: os.truncate(path, 5),
        lambda path: os.utime(path, (0, 0)),
        lambda path: path.with_name("new").replace(path),
        lambda path: path.unlink(),
    ],
    ids=["appended", "written again", "cut", "dated", "replaced", "deleted"],
)
def test_a_file_that_changes_while_it_is_read_is_not_complete(
    data: Path, change: Callable[[Path], object]
) -> None:
    for name in ("file", "new"):
        (data / name).write_bytes(bytes(SMALL + 1))
    assert "it changed while it was read" in changed_while_read(data, change)


def test_a_file_that_is_opened_for_writing_while_it_is_read_is_not_complete(data: Path) -> None:
    (data / "file").write_bytes(bytes(SMALL + 1))
    held = []
    said = changed_while_read(data, lambda path: held.append(path.open("ab")))
    assert "it changed while it was read" in said
    held[0].close()


def test_a_file_that_nobody_changes_is_read_however_long_it_takes(data: Path) -> None:
    (data / "file").write_bytes(bytes(SMALL + 1))
    assert changed_while_read(data, lambda _path: None).startswith("Reading")


def test_a_file_that_cannot_be_read_is_unreadable(data: Path) -> None:
    (data / "file").write_bytes(bytes(SMALL + 1))
    said = subprocess.run(
        [*injecting("error=EIO:when=2"), sys.executable, "-c", READ, data],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines()[1] == "Unreadable it cannot be read: Input/output error "


def test_a_file_that_may_not_be_read_is_unreadable(data: Path) -> None:
    (data / "file").write_bytes(b"content")
    (data / "file").chmod(0)
    data.chmod(0o755)
    said = subprocess.run(
        [sys.executable, "-c", READ, data, "as nobody"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[1] == "Unreadable it cannot be opened: Permission denied "


# --- an attacker ---


def test_a_swapping_attacker_never_gets_the_secret_read(data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!")
    (data / "folder").mkdir()
    (data / "folder/file").write_bytes(b"content")
    (data / "folder/link").symlink_to(secret)
    stop = threading.Event()

    def attack() -> None:
        folder = data / "folder"
        while not stop.is_set():
            for source, target in (("file", "kept"), ("link", "file"), ("file", "link"), ("kept", "file")):
                (folder / source).rename(folder / target)

    sighting = seen(data, "folder/file")
    attacker = threading.Thread(target=attack)
    attacker.start()
    met, deadline, before = 0, time.monotonic() + PATIENCE, descriptors()
    try:
        while met < 20:
            assert time.monotonic() < deadline, (
                "the attack hardly ever met the reader: the test proves nothing"
            )
            match look(data, sighting):
                case Reading() as reading:
                    assert reading.source.content == b"content"
                case Unfit():
                    met += 1
                case _:
                    pass
    finally:
        stop.set()
        attacker.join()
    assert descriptors() == before
