"""Files that somebody writes, and a model of what each of them ever held while it was complete."""

import os
import shutil
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import IO
from zipfile import ZipFile

from artifactd import checksum
from artifactd.artifact import Digest


def zipped(content: bytes) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("model", content)
    return buffer.getvalue()


class Artifacts:
    """Files below `data`, by path. Who writes a file that another holds open leaves it alone."""

    def __init__(self, base: Path, data: Path) -> None:
        self.base, self.data = base, data
        self.held: dict[str, IO[bytes]] = {}
        self.complete: defaultdict[str, set[Digest]] = defaultdict(set)
        """path → what the file held at any time while nobody had it open; of a cut zip not even then"""
        self._count = 0
        (base / "secret").write_bytes(b"of another place")

    def close(self) -> None:
        for file in self.held.values():
            file.close()

    # --- what is there ---

    def file(self, path: str) -> Path:
        return self.data / path

    def exists(self, path: str) -> bool:
        """Whether a file is there that nobody has open."""
        return path not in self.held and self.file(path).is_file() and not self.file(path).is_symlink()

    def unfit(self, path: str) -> bool:
        """Whether it can never be exported as it is."""
        return self.file(path).is_symlink() or self.file(path).stat().st_nlink > 1

    def incomplete(self, path: str) -> bool:
        return path in self.held or (path.endswith(".zip") and not self._known(path))

    def _known(self, path: str) -> bool:
        return checksum.of_bytes(self.file(path).read_bytes()) in self.complete[path]

    # --- what is written ---

    def content(self, path: str, size: int) -> bytes:
        """Bytes that nothing else holds."""
        self._count += 1
        content = b"%d:" % self._count + b"x" * size
        return zipped(content) if path.endswith(".zip") else content

    def put_down(self, path: str, content: bytes) -> None:
        """The file holds `content` now, and nobody has it open."""
        self.complete[path].add(checksum.of_bytes(content))
        self.file(path).parent.mkdir(parents=True, exist_ok=True)
        if self.file(path).is_symlink():
            self.file(path).unlink()
        self.file(path).write_bytes(content)

    def write(self, path: str, size: int) -> None:
        if path not in self.held:
            self.put_down(path, self.content(path, size))

    def append(self, path: str, size: int) -> None:
        if self.exists(path) and path.endswith(".csv"):
            self.put_down(path, self.file(path).read_bytes() + self.content(path, size))

    def replace(self, path: str, size: int) -> None:
        if path not in self.held:
            content = self.content(path, size)
            temporary = f"{path}.tmp"
            self.put_down(temporary, content)
            self.complete[path].add(checksum.of_bytes(content))
            self.file(temporary).rename(self.file(path))

    def rename(self, path: str, other: str) -> None:
        if self.exists(path) and other not in self.held and Path(path).suffix == Path(other).suffix:
            if self._known(path):
                self.complete[other].add(checksum.of_bytes(self.file(path).read_bytes()))
            self.file(other).parent.mkdir(parents=True, exist_ok=True)
            self.file(path).rename(self.file(other))

    def hold(self, path: str, size: int) -> None:
        """Begin to write it, or go on."""
        if path not in self.held:
            if self.file(path).is_symlink():
                return
            self.file(path).parent.mkdir(parents=True, exist_ok=True)
            self.held[path] = self.file(path).open("wb")
        self.held[path].write(b"y" * size)
        self.held[path].flush()

    def let_go(self, path: str, size: int) -> None:
        """Write it to its end."""
        if path in self.held:
            file = self.held.pop(path)
            file.seek(0)
            file.truncate()
            content = self.content(path, size)
            file.write(content)
            file.close()
            self.complete[path].add(checksum.of_bytes(content))

    # --- what else happens to files ---

    def touch(self, path: str) -> None:
        if self.exists(path):
            os.utime(self.file(path), (1, self._count))

    def delete(self, path: str) -> None:
        if path not in self.held:
            self.file(path).unlink(missing_ok=True)

    def delete_tree(self, folder: str) -> None:
        if not any(path.startswith(folder) for path in self.held):
            shutil.rmtree(self.file(folder), ignore_errors=True)

    def cut(self, path: str) -> None:
        if self.exists(path) and path.endswith(".zip"):
            os.truncate(self.file(path), self.file(path).stat().st_size - 5)

    def link(self, path: str) -> None:
        if self.exists(path):
            self._count += 1
            (self.base / "names").mkdir(exist_ok=True)
            os.link(self.file(path), self.base / "names" / str(self._count))

    def unlink_other_names(self) -> None:
        shutil.rmtree(self.base / "names", ignore_errors=True)

    def symlink(self, path: str) -> None:
        if path not in self.held and self.file(path).parent.is_dir():
            self.file(path).unlink(missing_ok=True)
            self.file(path).symlink_to(self.base / "secret")
