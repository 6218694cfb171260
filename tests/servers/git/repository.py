"""A bare repository as a server has it, looked at and written to with git alone."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

BRANCH = "dev"

RULE = b"* -text -ident -filter -working-tree-encoding\n"
"""A `.gitattributes` of artifactd's."""

PLAIN = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Somebody Else",
    "GIT_AUTHOR_EMAIL": "else@example.com",
    "GIT_COMMITTER_NAME": "Somebody Else",
    "GIT_COMMITTER_EMAIL": "else@example.com",
}
"""The environment of a person without any configuration."""


NOTHING: Mapping[str, str] = {}


def git(directory: Path, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] = NOTHING) -> bytes:
    """What a git command of somebody else says."""
    command = ["git", "-C", str(directory), *arguments]
    done = subprocess.run(command, input=stdin, env=PLAIN | dict(env), capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout


class Repository:
    """The bare repository at `path`, made with what servers allow."""

    def __init__(self, path: Path, *, filters: bool = True) -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", f"--initial-branch={BRANCH}")
        self.configure("uploadpack.allowFilter", str(filters).lower())
        self.configure("http.receivepack", "true")

    def configure(self, name: str, value: str) -> None:
        git(self.path, "config", name, value)

    def head(self, branch: str = BRANCH) -> str:
        """Its commit; empty: it has none."""
        ref = f"refs/heads/{branch}"
        return git(self.path, "for-each-ref", "--format=%(objectname)", ref).decode().strip()

    def blobs(self, branch: str = BRANCH) -> dict[str, str]:
        """Every file, by path: git's name for its bytes."""
        if not self.head(branch):
            return {}
        listed = git(self.path, "ls-tree", "-r", "-z", branch).decode().split("\0")[:-1]
        return {line.partition("\t")[2]: line.split()[2] for line in listed}

    def contents(self, branch: str = BRANCH) -> dict[str, bytes]:
        """Every file, but those with nothing but the rule that artifactd writes into its own folders."""
        found = self._contents(branch)
        return {path: content for path, content in found.items() if content != RULE}

    def _contents(self, branch: str) -> dict[str, bytes]:
        blobs = self.blobs(branch)
        asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
        told = git(self.path, "cat-file", "--batch", stdin=asked)
        return dict(zip(blobs, _contents(told), strict=True))

    def commits(self, branch: str = BRANCH) -> list[str]:
        """The messages, the newest first."""
        if not self.head(branch):
            return []
        return git(self.path, "log", "-z", "--format=%B", branch).decode().split("\0")[:-1]

    def write(self, files: dict[str, bytes], *, branch: str = BRANCH, mode: str = "100644") -> str:
        """A commit of somebody else's with these files beside what is there."""
        index = {"GIT_INDEX_FILE": str(self.path / "index-of-somebody-else")}
        parent = self.head(branch)
        git(self.path, "read-tree", parent or "--empty", env=index)
        for path, content in files.items():
            blob = git(self.path, "hash-object", "-w", "--no-filters", "--stdin", stdin=content)
            self._add(mode, blob.decode().strip(), path, index)
        return self._commit(index, parent, branch)

    def write_link(self, path: str, commit: str) -> str:
        """A commit that holds another repository at `path`."""
        index = {"GIT_INDEX_FILE": str(self.path / "index-of-somebody-else")}
        git(self.path, "read-tree", self.head() or "--empty", env=index)
        self._add("160000", commit, path, index)
        return self._commit(index, self.head(), BRANCH)

    def _add(self, mode: str, name: str, path: str, index: dict[str, str]) -> None:
        line = f"{mode} {name}\t{path}\0".encode()
        git(self.path, "update-index", "-z", "--index-info", stdin=line, env=index)

    def _commit(self, index: dict[str, str], parent: str, branch: str) -> str:
        tree = git(self.path, "write-tree", env=index).decode().strip()
        parents = ("-p", parent) if parent else ()
        new = git(self.path, "commit-tree", tree, *parents, "-m", "by somebody else").decode().strip()
        git(self.path, "update-ref", f"refs/heads/{branch}", new)
        return new

    def fsck(self) -> None:
        """Everything that the branches need is there and whole."""
        git(self.path, "fsck", "--full", "--strict", "--connectivity-only")

    def checkout(self, into: Path, *options: str) -> Path:
        """A plain clone, as anybody has it."""
        git(self.path, "clone", "--quiet", *options, f"--branch={BRANCH}", str(self.path), str(into))
        return into


def _contents(batch: bytes) -> Sequence[bytes]:
    found = []
    while batch:
        header, _, rest = batch.partition(b"\n")
        size = int(header.split()[2])
        found.append(rest[:size])
        batch = rest[size + 1 :]
    return found
