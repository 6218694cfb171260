"""The daemon on a tree that many programs write at once, killed at random: zero lost, zero wrong."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from artifactd.cli.exits import Exit

CONFIG = """
enable_artifacts_upload = true
data_directory = "data"
artifacts_file_system_directory = "exports"
[artifactd]
state_directory = "state"
[watch]
quiet_seconds = 0.3
rescan_seconds = 5.0
[[policy]]
name = "no logs"
action = "ignore"
match = ["*logs*.zip"]
[[policy]]
name = "all"
match = ["**/*.csv", "**/*.zip"]
as = "{path}"
"""


@dataclass
class Tree:
    """The data directory, and what its files ever held while they were complete. Writers share it."""

    base: Path
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _ever: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _number: int = 0

    def experiment(self, chance: random.Random) -> str:
        """A folder below the data directory: few of them, so that writers meet."""
        return chance.choice(
            ["alice/h2oai_experiment_%d", "bob@x.org/h2oai_experiment_%d"]
        ) % chance.randrange(6)

    def fresh(self, suffix: str = "csv") -> str:
        """A name that nobody has used."""
        with self._turn:
            self._number += 1
            return f"{self._number}.{suffix}"

    def complete(self, path: str, content: bytes) -> None:
        """From now on the file may be exported with this content."""
        with self._turn:
            self._ever[key_of(path)].add(hashlib.sha256(content).hexdigest())

    def ever(self, key: str) -> set[str]:
        with self._turn:
            return set(self._ever[key])

    def file(self, path: str) -> Path:
        return self.base / "data" / path

    def moved(self, path: str, other: str) -> None:
        """Everything that a file below `path` ever held may be exported from below `other` too."""
        with self._turn:
            for key, digests in list(self._ever.items()):
                if key.startswith(key_of(path)):
                    self._ever[key_of(other) + key.removeprefix(key_of(path))] |= digests


def key_of(path: str) -> str:
    return path.replace("h2oai_experiment_", "")


def content_of(chance: random.Random, path: str) -> bytes:
    content = chance.randbytes(chance.choice([0, 10, 5000, 400_000]))
    if not path.endswith(".zip"):
        return content
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("model", content)
    return buffer.getvalue()


# --- writers; each may find that another has taken its directory away meanwhile ---


def slowly(tree: Tree, chance: random.Random) -> None:
    """In place, piece by piece, held open for longer than the quiet period."""
    path = f"{tree.experiment(chance)}/{tree.fresh(chance.choice(['csv', 'zip']))}"
    content = content_of(chance, path)
    tree.file(path).parent.mkdir(parents=True, exist_ok=True)
    tree.complete(path, content)
    with tree.file(path).open("wb") as file:
        for start in range(0, len(content), max(1, len(content) // 4)):
            file.write(content[start : start + max(1, len(content) // 4)])
            file.flush()
            time.sleep(chance.choice([0.0, 0.01, 0.5]))


def renamed_into_place(tree: Tree, chance: random.Random) -> None:
    """One of a few names, again and again."""
    path = f"{tree.experiment(chance)}/again/{chance.randrange(8)}.csv"
    content = content_of(chance, path)
    temporary = tree.file(f"{path}.tmp{threading.get_ident()}")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    tree.complete(path, content)
    with suppress(FileNotFoundError):  # the directory was moved out
        temporary.write_bytes(content)
        temporary.rename(tree.file(path))


def copied(tree: Tree, chance: random.Random) -> None:
    """cp -rp of a tree from elsewhere: old dates, new directories."""
    source = tree.base / "elsewhere" / tree.fresh("dir")
    target = f"{tree.experiment(chance)}/{tree.fresh('dir')}"
    for name in files_of(chance):
        content = content_of(chance, name)
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
        os.utime(source / name, (1_000_000_000, 1_000_000_000))
        tree.complete(f"{target}/{name}", content)
    tree.file(target).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-rp", source, tree.file(target)], check=False, capture_output=True)


def unpacked(tree: Tree, chance: random.Random) -> None:
    """tar -x: created, written, dated back, in directories that are new."""
    target = f"{tree.experiment(chance)}/{tree.fresh('dir')}"
    archive = tree.base / "elsewhere" / tree.fresh("tar")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as packed:
        for name in files_of(chance):
            content = content_of(chance, name)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), 1_000_000_000
            packed.addfile(entry, BytesIO(content))
            tree.complete(f"{target}/{name}", content)
    tree.file(target).mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", archive, "-C", tree.file(target)], check=False, capture_output=True)
    archive.unlink()


def moved_in(tree: Tree, chance: random.Random) -> None:
    """A whole directory, by one rename; perhaps another user's experiment."""
    source = tree.base / "elsewhere" / tree.fresh("dir")
    target = f"{tree.experiment(chance)}_{tree.fresh('in')}"
    for name in files_of(chance):
        content = content_of(chance, name)
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
        tree.complete(f"{target}/{name}", content)
    tree.file(target).parent.mkdir(parents=True, exist_ok=True)
    source.rename(tree.file(target))


def moved_out_and_back(tree: Tree, chance: random.Random) -> None:
    """A directory leaves, and comes back elsewhere under another name."""
    folder = f"{tree.experiment(chance)}/again"
    away = tree.base / "elsewhere" / tree.fresh("away")
    away.parent.mkdir(parents=True, exist_ok=True)
    other = f"{tree.experiment(chance)}/{tree.fresh('back')}"
    with suppress(FileNotFoundError):
        tree.file(folder).rename(away)
        time.sleep(chance.choice([0.0, 0.2]))
        tree.file(other).parent.mkdir(parents=True, exist_ok=True)
        tree.moved(folder, other)
        away.rename(tree.file(other))


def linked(tree: Tree, chance: random.Random) -> None:
    """A second name: refused while it is there, exported when it is gone."""
    path = f"{tree.experiment(chance)}/{tree.fresh()}"
    other = tree.base / "elsewhere" / tree.fresh("link")
    content = content_of(chance, path)
    other.parent.mkdir(parents=True, exist_ok=True)
    tree.file(path).parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(content)
    tree.complete(path, content)
    os.link(other, tree.file(path))
    time.sleep(chance.choice([0.0, 0.5]))
    other.unlink()


def deleted(tree: Tree, chance: random.Random) -> None:
    """Some directory goes away with all it holds."""
    folders = list(tree.file(tree.experiment(chance)).glob("*.dir"))
    if folders:
        shutil.rmtree(chance.choice(folders), ignore_errors=True)


def clutter(tree: Tree, chance: random.Random) -> None:
    """Files that nobody wants, in bursts that fill the kernel's queue while the daemon stands still."""
    folder = tree.file(f"{tree.experiment(chance)}/clutter")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1500):
        with suppress(FileNotFoundError):
            (folder / f"{number}.pickle").write_bytes(b"")
    shutil.rmtree(folder, ignore_errors=True)


WRITERS: tuple[Callable[[Tree, random.Random], None], ...] = (
    slowly,
    slowly,
    renamed_into_place,
    renamed_into_place,
    copied,
    unpacked,
    moved_in,
    moved_out_and_back,
    linked,
    deleted,
    clutter,
)


def files_of(chance: random.Random) -> list[str]:
    names = ["1.csv", "below/2.csv", "below/far/3.zip", "below/far/4.csv", "other/5.csv"]
    return chance.sample(names, chance.randrange(1, len(names)))


@contextmanager
def writing(tree: Tree, seed: int) -> Iterator[None]:
    """All writers, each in a thread, for the length of the block. It raises what goes wrong in one."""
    ending = threading.Event()
    errors: list[BaseException] = []

    def go_on(number: int) -> None:
        chance = random.Random(seed * 1000 + number)  # noqa: S311 - a test's dice
        try:
            while not ending.is_set():
                WRITERS[number](tree, chance)
                time.sleep(chance.random() * 0.1)
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(len(WRITERS))]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert not errors, errors


# --- the daemon ---


class Daemon:
    """The real process, started again after each death. Its log goes to a file."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.log = base / "log.jsonl"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "artifactd", "run", "--config", str(self.base / "config.toml")],
                stdout=log,
                stderr=log,
            )

    def stand_still(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def die(self) -> None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        self.process.kill()
        self.process.wait()
        self.start()

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=60) == Exit.OK, self.log.read_text()[-3000:]

    def events(self) -> list[str]:
        return [
            json.loads(line)["event"] for line in self.log.read_text().splitlines() if line.startswith("{")
        ]


def exported(tree: Tree) -> Iterator[tuple[str, Path]]:
    exports = tree.base / "exports"
    for file in exports.rglob("*"):
        path = file.relative_to(exports)
        if file.is_file() and not path.parts[0].startswith((".artifactd", "_artifactd")):
            yield path.as_posix(), file


def wrong(tree: Tree) -> list[str]:
    """Copies that are nothing that their file ever was."""
    return [
        key
        for key, file in exported(tree)
        if hashlib.sha256(file.read_bytes()).hexdigest() not in tree.ever(key)
    ]


def lost(tree: Tree) -> list[str]:
    """Files whose copy is missing or another."""
    data = tree.base / "data"
    return [
        str(file)
        for file in data.rglob("*.*")
        if file.suffix in {".csv", ".zip"} and file.is_file()
        if not same(file, tree.base / "exports" / key_of(file.relative_to(data).as_posix()))
    ]


def same(file: Path, copy: Path) -> bool:
    return copy.is_file() and file.read_bytes() == copy.read_bytes()


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_on_a_churning_tree_nothing_is_lost_and_nothing_is_wrong(tmp_path: Path, seed: int) -> None:
    for name in ("data", "exports", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    tree, chance = Tree(tmp_path), random.Random(seed)  # noqa: S311 - a test's dice
    daemon = Daemon(tmp_path)
    try:
        with writing(tree, seed):
            until = time.monotonic() + 80.0
            while time.monotonic() < until:
                time.sleep(chance.random() * 4.0)
                if chance.random() < 0.5:
                    daemon.stand_still(chance.random() * 6.0)
                else:
                    daemon.die()
                assert wrong(tree) == []
        deadline = time.monotonic() + 120.0
        while lost(tree) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert (lost(tree), wrong(tree)) == ([], [])
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        daemon.end()
    assert "Traceback" not in daemon.log.read_text()
    assert "watch.doubted" in daemon.events(), "the queue of events never overflowed: the test is too mild"
    config = str(tmp_path / "config.toml")
    for command in ("sync", "verify"):
        ours = [sys.executable, "-m", "artifactd", command, "--config", config]
        ended = subprocess.run(ours, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == Exit.OK, ended.stdout[-3000:] + ended.stderr
    assert list((tmp_path / "exports/.artifactd/tmp").iterdir()) == []
