import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifactd.artifact import Identity, Sighting
from artifactd.discovery.scan import (
    BATCH,
    DEPTH,
    DIRECTORIES,
    Found,
    Gone,
    Seen,
    Unobservable,
    below,
    experiments,
    root,
    scan,
    sight,
    walk,
)
from artifactd.linux.files import identity_of
from artifactd.linux.open_beneath import READ
from artifactd.linux.open_beneath import walk as walk_beneath

PATIENCE = 120.0
"""Seconds after which what should have happened never will."""

ONE = "alice/h2oai_experiment_one"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def write(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sightings(found: Iterator[Found]) -> list[Sighting]:
    return [sighting for one in found if isinstance(one, Seen) for sighting in one.sightings]


def paths(found: Iterator[Found]) -> set[str]:
    """Every file that was found; nothing was unobservable."""
    everything = list(found)
    assert all(isinstance(one, Seen) for one in everything), everything
    return {os.fsdecode(sighting.path) for sighting in sightings(iter(everything))}


def hidden(found: Iterator[Found]) -> dict[str, str]:
    """Path and reason of what could not be observed."""
    return {os.fsdecode(one.path): one.reason for one in found if isinstance(one, Unobservable)}


def number(path: Path) -> tuple[int, int]:
    return path.stat().st_dev, path.stat().st_ino


# --- the layouts ---


def test_experiments_are_found_with_and_without_a_user_level(data: Path) -> None:
    inside = {
        f"{ONE}/mojo_pipeline/mojo.zip",
        f"{ONE}/train_preds.csv",
        "bob@example.com/h2oai_experiment_two/a.csv",
        "h2oai_experiment_abcdefgh/a.csv",
    }
    outside = {
        "master.db",
        "h2oai_experiment_a_file.zip",
        "alice/audit.log",
        "alice/mli_experiment_one/a.csv",
        "alice/deeper/h2oai_experiment_three/a.csv",
        "h2oai_experiment_/a.csv",
        "contrib/a.csv",
    }
    for path in inside | outside:
        write(data / path)
    (data / "linked user").symlink_to(data / "alice")
    assert paths(scan(data)) == inside
    assert set(experiments(data)) == {
        b"alice/h2oai_experiment_one",
        b"bob@example.com/h2oai_experiment_two",
        b"h2oai_experiment_abcdefgh",
    }


def test_a_sighting_is_what_lstat_says(data: Path) -> None:
    path = write(data / ONE / "a.csv")
    status = path.lstat()
    found = Sighting(f"{ONE}/a.csv".encode(), identity_of(status), status.st_mode)
    assert sightings(scan(data)) == [found]
    assert found.identity == Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


@pytest.mark.parametrize(
    "name", [b"new\nline", b"\xff\xfe", b"-rf", b".hidden", b"x" * 255, "ä".encode(), b"a\x1b[31m", b" "]
)
def test_names_of_any_bytes_are_seen(data: Path, name: bytes) -> None:
    path = name + b"/h2oai_experiment_" + name[:200] + b"/" + name + b"/" + name
    write(data / os.fsdecode(path))
    assert [sighting.path for sighting in sightings(scan(data))] == [path]


def test_what_is_no_directory_is_seen_for_what_it_is_and_no_link_is_followed(
    data: Path, tmp_path: Path
) -> None:
    write(tmp_path / "outside" / "secret")
    folder = data / ONE
    folder.mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "socket", stat.S_IFSOCK)
    (folder / "file").symlink_to(tmp_path / "outside/secret")
    (folder / "directory").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("missing")
    found = {
        sighting.path.rsplit(b"/", 1)[1]: stat.S_IFMT(sighting.mode) for sighting in sightings(scan(data))
    }
    links = dict.fromkeys((b"file", b"directory", b"loop", b"nowhere"), stat.S_IFLNK)
    assert found == {b"fifo": stat.S_IFIFO, b"socket": stat.S_IFSOCK, **links}


def test_a_linked_experiment_is_told_and_not_walked(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "secret")
    (data / "alice").mkdir()
    (data / ONE).symlink_to(tmp_path / "outside")
    (data / "h2oai_experiment_two").symlink_to(tmp_path / "outside")
    assert hidden(scan(data)) == dict.fromkeys(
        (ONE, "h2oai_experiment_two"), "a link: links are not followed"
    )
    assert sightings(scan(data)) == []


def test_the_data_directory_itself_may_be_a_link(data: Path, tmp_path: Path) -> None:
    write(data / ONE / "a.csv")
    (tmp_path / "link").symlink_to(data)
    assert paths(scan(tmp_path / "link")) == {f"{ONE}/a.csv"}


@contextmanager
def dug(directory: Path, name: str, levels: int) -> Iterator[int]:
    """So many directories of this name, one in the other, for the length of the block; the last one, open."""
    fd = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        lower = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = lower
    try:
        yield fd
    finally:
        os.close(fd)
        subprocess.run(["rm", "-rf", directory / name], check=True)  # too deep for pytest, which uses shutil


def test_directories_as_deep_as_any_real_ones_are_looked_into(data: Path) -> None:
    write(data / ONE / ("d/" * DEPTH) / "a.csv")
    assert paths(scan(data)) == {f"{ONE}{'/d' * DEPTH}/a.csv"}


def test_deeper_ones_are_left_out_told_with_their_experiment_and_hide_nothing_else(data: Path) -> None:
    write(data / ONE / "a.csv")
    with dug(data / ONE, "d", 1000) as bottom:
        os.mknod("b.csv", dir_fd=bottom)
        found = list(scan(data))
    assert [sighting.path.decode() for sighting in sightings(iter(found))] == [f"{ONE}/a.csv"]
    reason = f"directories lie more than {DEPTH} deep in it: what is in those stays"
    assert hidden(iter(found)) == {ONE: reason}


def test_of_too_many_directories_some_are_left_out_and_told_with_their_experiment(data: Path) -> None:
    write(data / ONE / "a.csv")
    for number in range(DIRECTORIES + 10):
        (data / ONE / str(number)).mkdir()
    found = list(scan(data))
    assert [sighting.path.decode() for sighting in sightings(iter(found))] == [f"{ONE}/a.csv"]
    reason = f"it holds more than {DIRECTORIES} directories: what is in the rest stays"
    assert hidden(iter(found)) == {ONE: reason}


def test_each_step_of_a_walk_is_short_whatever_the_folder_holds(data: Path) -> None:
    for number in range(5000):
        (data / ONE / "empty" / str(number)).mkdir(parents=True)
    for number in range(1000):
        write(data / ONE / f"{number}.csv")
    with root(data) as top:
        steps = [one for one in walk(top, ONE.encode()) if isinstance(one, Seen)]
    assert max(len(one.sightings) for one in steps) == BATCH
    assert len(steps) > 5000 / 32


def test_what_lies_deeper_than_a_path_can_name_is_unobservable_and_hides_nothing_else(data: Path) -> None:
    write(data / ONE / "a.csv")
    with dug(data / ONE, "d" * 250, 20) as bottom:
        os.mknod("b.csv", dir_fd=bottom)
        found = list(scan(data))
    assert [sighting.path.decode() for sighting in sightings(iter(found))] == [f"{ONE}/a.csv"]
    assert list(hidden(iter(found)).values()) == ["File name too long"]


# --- what is passed over ---


def test_a_directory_to_skip_is_passed_over_wherever_it_lies(data: Path) -> None:
    for path in (f"{ONE}/a.csv", f"{ONE}/exports/b.csv", "exports/h2oai_experiment_x/c.csv"):
        write(data / path)
    skip = frozenset({number(data / ONE / "exports"), number(data / "exports")})
    assert paths(scan(data, skip)) == {f"{ONE}/a.csv"}
    assert paths(below(data, ONE.encode(), skip)) == {f"{ONE}/a.csv"}
    assert paths(below(data, b"exports", skip)) == set()


def test_neighbours_are_never_opened_below_their_names(data: Path) -> None:
    for path in ("contrib/deep/recipe.py", "alice/mli_experiment_one/a.csv", f"{ONE}/a.csv"):
        write(data / path)
    script = "import sys; from artifactd.discovery.scan import Path, scan; list(scan(Path(sys.argv[1])))"
    traced = subprocess.run(
        ["strace", "-f", "-e", "trace=%file,openat2,getdents64", sys.executable, "-c", script, data],
        capture_output=True,
        text=True,
        check=True,
    )
    calls = [line for line in traced.stderr.splitlines() if "openat2(" in line]
    assert any('"alice/h2oai_experiment_one"' in line for line in calls)
    assert any('"contrib"' in line for line in calls)
    for never in ("deep", "recipe.py", "mli_experiment_one"):
        assert never not in traced.stderr


# --- what cannot be observed ---


def test_a_missing_data_directory_is_unobservable(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert hidden(scan(missing)) == {"": "No such file or directory"}
    assert hidden(below(missing, ONE.encode())) == {ONE: "No such file or directory"}
    assert list(experiments(missing)) == []
    with pytest.raises(FileNotFoundError), root(missing):
        pass


def test_a_data_directory_that_is_a_file_is_unobservable(tmp_path: Path) -> None:
    write(tmp_path / "file")
    assert hidden(scan(tmp_path / "file")) == {"": "Not a directory"}


AS_NOBODY = """
import os, sys
from pathlib import Path
from artifactd.discovery.scan import root, scan, sight
os.chdir(sys.argv[1])  # the way to it is closed to others
if os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
for found in scan(Path(".")):
    print(found)
with root(Path(".")) as top:
    for path in sys.argv[2:]:
        print(sight(top, path.encode()))
"""


def as_nobody(data: Path, *sights: str) -> list[str]:
    """A scan, and a look at some paths, as another user."""
    data.chmod(0o755)
    said = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, data, *sights], capture_output=True, text=True, check=True
    )
    return said.stdout.splitlines()


DENIED = "Permission denied: the daemon's account may not read it"


def test_an_unreadable_directory_is_unobservable_and_hides_nothing_else(data: Path) -> None:
    for path in (f"{ONE}/closed/a.csv", f"{ONE}/b.csv", "bob/h2oai_experiment_two/c.csv"):
        write(data / path)
    (data / ONE / "closed").chmod(0)
    (data / "bob").chmod(0)
    lines = as_nobody(data, f"{ONE}/closed/a.csv", f"{ONE}/b.csv")
    (data / ONE / "closed").chmod(0o700)
    (data / "bob").chmod(0o700)
    assert repr(Unobservable(f"{ONE}/closed".encode(), DENIED)) in lines
    assert repr(Unobservable(b"bob", DENIED)) in lines
    assert repr(Unobservable(f"{ONE}/closed/a.csv".encode(), DENIED)) in lines
    assert [f"{ONE}/b.csv" in line for line in lines].count(True) == 2  # by the scan, and by itself


def test_files_that_cannot_be_looked_at_are_told_once_for_their_directory(data: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write(data / ONE / name)
    (data / ONE).chmod(0o744)  # may be listed, not searched
    lines = as_nobody(data)
    assert lines == [repr(Unobservable(ONE.encode(), DENIED))]


def test_a_mount_in_an_experiment_is_not_crossed(data: Path, tmpfs: Callable[[Path, str], Path]) -> None:
    write(data / ONE / "a.csv")
    write(tmpfs(data / ONE / "mounted", "1m") / "b.csv")
    found = list(scan(data))
    reason = "another file system is mounted there: mounts are not crossed"
    assert hidden(iter(found)) == {f"{ONE}/mounted": reason}
    assert [sighting.path.decode() for sighting in sightings(iter(found))] == [f"{ONE}/a.csv"]


# --- a part of the tree ---


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("alice", {f"{ONE}/a/b/c.csv", f"{ONE}/d.csv"}),
        (ONE, {f"{ONE}/a/b/c.csv", f"{ONE}/d.csv"}),
        (f"{ONE}/a", {f"{ONE}/a/b/c.csv"}),
        (f"{ONE}/a/b", {f"{ONE}/a/b/c.csv"}),
        ("h2oai_experiment_two", {"h2oai_experiment_two/e.csv"}),
        (f"{ONE}/missing", set()),
        ("nobody", set()),
        ("alice/other", set()),
        ("", set()),
    ],
)
def test_below_a_directory_only_its_part_of_the_tree_is_seen(data: Path, path: str, found: set[str]) -> None:
    for name in (f"{ONE}/a/b/c.csv", f"{ONE}/d.csv", "h2oai_experiment_two/e.csv", "alice/other/f.csv"):
        write(data / name)
    assert paths(below(data, path.encode())) == found


@pytest.mark.parametrize(
    "path", ["..", "../outside/h2oai_experiment_x", f"{ONE}/../../../outside", "alice/h2oai_experiment_l"]
)
def test_below_never_leads_out_of_the_data_directory(data: Path, tmp_path: Path, path: str) -> None:
    write(tmp_path / "outside/h2oai_experiment_x/secret")
    write(data / ONE / "a.csv")
    (data / "alice/h2oai_experiment_l").symlink_to(tmp_path / "outside")
    assert sightings(below(data, path.encode())) == []


# --- one path ---


def look(data: Path, path: str) -> Found:
    with root(data) as top:
        return sight(top, path.encode())


def test_one_path_is_seen_gone_or_unobservable(data: Path, tmp_path: Path) -> None:
    write(data / ONE / "a.csv")
    (data / ONE / "link").symlink_to(tmp_path)
    assert sightings(iter([look(data, f"{ONE}/a.csv")])) == sightings(scan(data))[:1]
    assert look(data, ONE) == Seen(())
    for missing in (f"{ONE}/b.csv", "bob/h2oai_experiment_two/b.csv", f"{ONE}/a.csv/b.csv"):
        assert look(data, missing) == Gone(missing.encode())
    assert isinstance(look(data, f"{ONE}/../../a.csv"), Unobservable)
    assert not isinstance(look(data, f"{ONE}/link/data"), Seen)


def test_a_file_whose_device_is_not_the_trees_is_told_by_the_trees(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path]
) -> None:
    """As on overlayfs, and in a subvolume of btrfs."""
    lower, upper = tmpfs(tmp_path / "lower", "1m"), tmpfs(tmp_path / "upper", "1m")
    path = write(lower / ONE / "a.csv").relative_to(lower)
    for name in ("files", "work"):
        (upper / name).mkdir()
    (tree := tmp_path / "tree").mkdir()
    layers = f"lowerdir={lower},upperdir={upper}/files,workdir={upper}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", tree], check=True)
    try:
        [scanned] = sightings(scan(tree))
        [seen] = sightings(iter([look(tree, path.as_posix())]))
        assert (tree / path).stat().st_dev != tree.stat().st_dev
        assert scanned.identity.dev == seen.identity.dev == tree.stat().st_dev
        with root(tree) as top:
            os.close(walk_beneath(top, os.fsencode(path), READ))
    finally:
        subprocess.run(["umount", tree], check=True)


# --- a tree that moves ---


def test_a_renaming_attacker_never_makes_it_see_what_lies_outside(data: Path, tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / "outside" / f"secret{number}")
        write(data / ONE / "a" / f"file{number}")
    (data / ONE / "link").symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def attack() -> None:
        folder = data / ONE
        while not stop.is_set():
            for source, target in (("a", "b"), ("link", "a"), ("a", "link"), ("b", "a")):
                (folder / source).rename(folder / target)

    attacker = threading.Thread(target=attack)
    attacker.start()
    seen: set[bytes] = set()
    refused, deadline = 0, time.monotonic() + PATIENCE
    try:
        while refused < 2:
            assert time.monotonic() < deadline, "the attack hardly ever met the scan: the test proves nothing"
            found = list(scan(data))
            refused += len(hidden(iter(found)))
            seen |= {sighting.path for sighting in sightings(iter(found))}
    finally:
        stop.set()
        attacker.join()
    assert not [path for path in seen if b"secret" in path]


def test_a_scan_survives_a_tree_that_is_deleted_under_it(data: Path) -> None:
    for name in range(50):
        write(data / ONE / f"{name}" / "a.csv")
    found = scan(data)
    with root(data):
        for name in range(50):
            (data / ONE / f"{name}" / "a.csv").unlink()
            (data / ONE / f"{name}").rmdir()
        assert paths(found) == set()


# --- size ---


def test_many_files_stream_in_little_memory(data: Path) -> None:
    (data / ONE).mkdir(parents=True)
    fd = os.open(data / ONE, os.O_RDONLY)
    for name in range(30_000):
        os.mknod(str(name), dir_fd=fd)
    os.close(fd)
    tracemalloc.start()
    files = largest = 0
    for found in scan(data):
        assert isinstance(found, Seen)
        files += len(found.sightings)
        largest = max(largest, len(found.sightings))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (files, largest) == (30_000, BATCH)
    assert peak < 2 << 20


def test_an_abandoned_scan_leaves_no_descriptor_open(data: Path) -> None:
    for name in range(BATCH + 1):
        write(data / ONE / str(name))

    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    found = scan(data)
    next(found)
    assert held() > before
    del found
    assert held() == before
