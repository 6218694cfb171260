"""A branch of a git repository keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.artifact import KEY_BYTES
from artifactd.stores.base import Proof
from artifactd.stores.git.store import GitStore
from tests.servers.git.repository import Repository
from tests.servers.git.stores import store_on
from tests.stores.conformance import StoreConformance, any_sequence
from tests.support.harness import NewDestination


class GitHarness:
    """A folder of a repository in a directory. The other tests use the repository's root."""

    proof = Proof.SERVER_CHECKSUM

    def __init__(self, directory: Path, prefix: str = "exports/of dai/") -> None:
        self.repository = Repository(directory / "repository.git")
        self._home = directory / "home"
        self._prefix = prefix
        self._open: list[GitStore] = []

    @property
    def key_bytes(self) -> int:
        return KEY_BYTES - len(self._prefix.encode())

    def store(self) -> GitStore:
        url = str(self.repository.path)
        self._open.append(store_on(url, self._home, prefix=self._prefix.rstrip("/")))
        return self._open[-1]

    def contents(self) -> dict[str, bytes]:
        contents = self.repository.contents().items()
        return {path.removeprefix(self._prefix): content for path, content in contents}

    def plant(self, key: str, content: bytes) -> None:
        self.repository.write({self._prefix + key: content})

    def marks(self) -> dict[str, object]:
        return {"the branch": self.repository.head()}

    def close(self) -> None:
        for store in self._open:
            store.close()


class TestGitStore(StoreConformance):
    races = 8  # each is two pushes, which one of both repeats: 60 processes
    test_any_sequence_of_batches_ends_as_in_a_dictionary = any_sequence(15)

    @pytest.fixture
    def new_destination(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDestination]:
        made: list[GitHarness] = []

        def new() -> GitHarness:
            made.append(GitHarness(tmp_path_factory.mktemp("git")))
            return made[-1]

        yield new
        for harness in made:
            harness.close()
