"""Programs that write a data directory at once, and what each of their files ever held.

Each writer may find that another has taken its directory away meanwhile.
"""

import hashlib
import os
import random
import shutil
import subprocess
import tarfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from tests.support.artifacts import zipped


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
    return zipped(content) if path.endswith(".zip") else content


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
