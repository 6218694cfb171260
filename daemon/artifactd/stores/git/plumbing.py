"""Commits built without a work tree, so that nothing in the repository can tell git what to do with a file.

No filter, attribute or ignore rule is asked: bytes go in by `hash-object --no-filters`, names by a private
index. What came of it is compared with what was meant before anybody gets to see it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from artifactd.config.destinations.git import Identity
from artifactd.stores.git.clone import HEAD, Clone

FILE: Final = "100644"
"""The mode of a plain file."""

EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_ABSENT: Final = "0" * 40
_PATHS: Final = 256
"""Of at most 1,024 bytes each: well within what a command line holds."""
_MANY: Final = 4 * _PATHS
"""Paths from which on one list of everything is cheaper than one of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at a path."""

    mode: str
    blob: str
    """git's name for it"""

    @property
    def is_file(self) -> bool:
        """Whether it is a file, not a link, a folder or another repository."""
        return self.mode in {FILE, "100755"}


def head(clone: Clone) -> str:
    """The commit that the remote's branch was at when it was last looked at; empty: none."""
    output = clone.git.run("for-each-ref", "--format=%(objectname)", HEAD, env=clone.local())
    return output.decode().strip()


def point(clone: Clone, new: str) -> None:
    """Note that the remote's branch is at `new` now.

    Raises:
        GitFailed: somebody else noted something at the same time.
    """
    clone.git.run("update-ref", HEAD, new, head(clone) or _ABSENT, env=clone.local())


def entries(clone: Clone, commit: str, paths: Sequence[str]) -> dict[str, Entry]:
    """What lies at each of these paths, where something does."""
    if not commit:
        return {}
    if len(paths) >= _MANY:
        listed = _listed(clone.git.run("ls-tree", "-r", "-t", "-z", commit, env=clone.local()))
    else:
        listed = {}
        for first in range(0, len(paths), _PATHS):
            batch = paths[first : first + _PATHS]
            listed |= _listed(clone.git.run("ls-tree", "-z", commit, "--", *batch, env=clone.local()))
    wanted = set(paths)
    return {path: entry for path, entry in listed.items() if path in wanted}


def files(clone: Clone, commit: str, folder: str = "") -> Iterator[tuple[str, Entry]]:
    """Every file below `folder`, which ends with a slash or is empty for all."""
    if not commit:
        return
    below = ("--", folder) if folder else ()
    listed = _listed(clone.git.run("ls-tree", "-r", "-z", commit, *below, env=clone.local()))
    yield from ((path, entry) for path, entry in listed.items() if entry.is_file)


def store(clone: Clone, paths: Sequence[str], fds: Sequence[int]) -> list[str]:
    """Make blobs of the bytes in these files; git's name for each."""
    if not paths:
        return []
    command = ("hash-object", "-w", "--no-filters", "--stdin-paths")
    lines = "".join(f"{path}\n" for path in paths).encode()
    return clone.git.run(*command, stdin=lines, env=clone.storing(), fds=fds).decode().split()


def load(clone: Clone, commit: str) -> None:
    """Let the private index be that of `commit`."""
    clone.git.run("read-tree", commit or "--empty", env=clone.local())


def commit(  # noqa: PLR0917 - all of it makes the commit
    clone: Clone, parent: str, blobs: Mapping[str, str], message: str, author: Identity, committer: Identity
) -> str:
    """The commit of the index with these blobs at their paths."""
    lines = "".join(f"{FILE} {blob}\t{path}\0" for path, blob in blobs.items()).encode()
    clone.git.run("update-index", "-z", "--index-info", stdin=lines, env=clone.local())
    tree = clone.git.run("write-tree", "--missing-ok", env=clone.local()).decode().strip()
    who = {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": committer.name,
        "GIT_COMMITTER_EMAIL": committer.email,
    }
    parents = ("-p", parent) if parent else ()
    command = ("commit-tree", tree, *parents, "-F", "-")
    return clone.git.run(*command, stdin=message.encode(), env=clone.local() | who).decode().strip()


def changes(clone: Clone, old: str, new: str) -> dict[str, Entry | None]:
    """What became of each path between two commits: what lies there now; None: it is gone."""
    command = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old or EMPTY_TREE, new)
    parts = clone.git.run(*command, env=clone.local()).decode("utf-8", "surrogateescape").split("\0")
    changed: dict[str, Entry | None] = {}
    for described, path in zip(parts[:-1:2], parts[1::2], strict=True):
        _, mode, _, blob, status = described.split(" ")
        changed[path] = None if status == "D" else Entry(mode, blob)
    return changed


def _listed(output: bytes) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for line in output.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        described, _, path = line.partition("\t")
        mode, _, blob = described.split(" ")
        entries[path] = Entry(mode, blob)
    return entries
