import errno
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifactd.linux.open_beneath import DIRECTORY, READ, directory, open_beneath, walk
from tests.support.seccomp import OPENAT2, without

Open = Callable[[int, bytes, int, int], int]

both_ways = pytest.mark.parametrize("way", [open_beneath, walk], ids=["openat2", "walk"])


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/file").write_bytes(b"inside")
    descriptor = os.open(tmp_path / "root", DIRECTORY)
    yield descriptor
    os.close(descriptor)


def content(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@both_ways
def test_a_file_below_is_opened(root: int, way: Open) -> None:
    descriptor = way(root, b"a/b/file", READ, 0)
    assert not os.get_inheritable(descriptor)
    assert content(descriptor) == b"inside"


@both_ways
def test_a_name_of_any_bytes_is_opened(root: int, tmp_path: Path, way: Open) -> None:
    name = b"\xff \n" + b"x" * 200
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/root/" + name)).write_bytes(b"odd")
    assert content(way(root, name, READ, 0)) == b"odd"


@both_ways
def test_a_directory_that_may_be_passed_through_but_not_read_is_passed_through(
    root: int, tmp_path: Path, way: Open
) -> None:
    (tmp_path / "root/a").chmod(0o311)
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(65534)  # root may read everything
    try:
        assert content(way(root, b"a/b/file", READ, 0)) == b"inside"
    finally:
        if privileged:
            os.seteuid(0)
        (tmp_path / "root/a").chmod(0o755)


@both_ways
def test_a_file_is_made_with_its_mode(root: int, tmp_path: Path, way: Open) -> None:
    os.close(way(root, b"a/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    assert (tmp_path / "root/a/new").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        way(root, b"a/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


@both_ways
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("link", "../outside/secret"),
        ("link", "a/b/file"),
        ("link", "nowhere"),
        ("a/link/secret", "../../outside"),
        ("a/link/file", "b"),
        ("a/link/more/file", "/"),
        ("link/fd/0", "/proc/self"),
    ],
)
def test_a_link_is_not_followed(root: int, tmp_path: Path, way: Open, path: str, target: str) -> None:
    before, link, _ = path.partition("link")
    (tmp_path / "root" / (before + link)).symlink_to(target)
    _assert_refused(root, way, path.encode(), errno.ELOOP)


@both_ways
def test_a_link_in_the_place_of_a_directory_is_told_as_a_link(root: int, tmp_path: Path, way: Open) -> None:
    (tmp_path / "root/link").symlink_to("a")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        way(root, b"link", DIRECTORY, 0)


@both_ways
@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"missing", errno.ENOENT),
        (b"missing/file", errno.ENOENT),
        (b"a/b/file/more", errno.ENOTDIR),
        (b"a/" + b"x" * 256, errno.ENAMETOOLONG),
    ],
)
def test_errors_are_those_of_open(root: int, way: Open, path: bytes, number: int) -> None:
    _assert_refused(root, way, path, number)


@pytest.mark.parametrize(
    "path", [b"..", b"../outside/secret", b"a/../a/b/file", b"a/b/../../../outside/secret", b"/etc"]
)
def test_a_path_that_leads_up_or_starts_elsewhere_is_refused(root: int, path: bytes) -> None:
    _assert_refused(root, open_beneath, path, errno.EXDEV)


def test_a_path_is_never_cut_at_a_nul(root: int) -> None:
    with pytest.raises(ValueError, match="null byte"):
        open_beneath(root, b"a/b/file\0.zip", READ)


@both_ways
@pytest.mark.parametrize("path", [b"self/status", b"self"])
def test_a_mount_is_not_crossed(way: Open, path: bytes) -> None:
    slash = os.open("/", DIRECTORY)
    try:
        _assert_refused(slash, way, b"proc/" + path, errno.EXDEV)
        _assert_refused(slash, way, b"proc", errno.EXDEV)
    finally:
        os.close(slash)


@both_ways
def test_a_fifo_does_not_block(root: int, tmp_path: Path, way: Open) -> None:
    os.mkfifo(tmp_path / "root/fifo")
    os.close(way(root, b"fifo", READ, 0))


@both_ways
def test_a_lease_of_another_process_is_an_error_at_once(root: int, tmp_path: Path, way: Open) -> None:
    """Whoever owns a file can lease it. Waiting would let a user stop the daemon for 45 seconds."""
    hold = (
        "import fcntl, signal, sys; signal.signal(signal.SIGIO, signal.SIG_IGN); f = open(sys.argv[1], 'r+');"
        "fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "root/a/b/file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        _assert_refused(root, way, b"a/b/file", errno.EAGAIN)
        holder.communicate(b"\n")


def test_a_directory_is_open_for_the_length_of_the_block(root: int) -> None:
    for path, names in ((b"", ["a"]), (b"a", ["b"]), (b"a/b", ["file"])):
        with directory(root, path) as descriptor:
            assert [entry.name for entry in os.scandir(descriptor)] == names
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    with pytest.raises(NotADirectoryError), directory(root, b"a/b/file"):
        pass


@both_ways
def test_a_folder_swapped_for_a_link_gives_no_secret_away(root: int, tmp_path: Path, way: Open) -> None:
    (tmp_path / "root/a/b/secret").write_bytes(b"inside")
    (tmp_path / "root/a/link").symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def swap() -> None:
        folder, link, aside = (tmp_path / "root/a" / name for name in ("b", "link", "aside"))
        while not stop.is_set():
            for source, target in ((folder, aside), (link, folder), (folder, link), (aside, folder)):
                source.rename(target)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        read = Counter(_read(root, way, b"a/b/secret") for _ in range(1000))
        until = time.monotonic() + 60.0
        while (
            len(read) < 2 and time.monotonic() < until
        ):  # on a busy machine one thread may stand still a while
            read[_read(root, way, b"a/b/secret")] += 1
    finally:
        stop.set()
        swapping.join()
    assert set(read) == {b"inside", None}  # the swap was seen, and nothing else


OPEN = """
import ctypes, errno, os, sys
from artifactd.linux.open_beneath import READ, open_beneath
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(437, -1, b"", None, 0) == -1
assert ctypes.get_errno() == errno.ENOSYS
root = os.open(sys.argv[1], os.O_RDONLY)
sys.stdout.buffer.write(os.read(open_beneath(root, b"a/b/file", READ), 100))
"""


def test_inside_a_sandbox_that_has_no_such_call_it_walks(tmp_path: Path) -> None:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/file").write_bytes(b"inside")
    command = [*without(OPENAT2), sys.executable, "-c", OPEN, str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"inside", b"")


def _read(root: int, way: Open, path: bytes) -> bytes | None:
    try:
        return content(way(root, path, READ, 0))
    except OSError:
        return None


def _assert_refused(root: int, way: Open, path: bytes, number: int) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        way(root, path, READ, 0)
    assert caught.value.errno == number
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
