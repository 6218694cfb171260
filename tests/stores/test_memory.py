"""The reference store keeps the contract."""

import pytest

from artifactd.artifact import KEY_BYTES, Key
from artifactd.stores.base import Proof
from artifactd.stores.memory import MemoryStore
from tests.stores.conformance import StoreConformance
from tests.support.harness import NewDestination


class MemoryHarness:
    """A dictionary that stores share."""

    proof = Proof.READ_BACK
    key_bytes = KEY_BYTES

    def __init__(self) -> None:
        self._copies = dict[Key, bytes]()

    def store(self) -> MemoryStore:
        return MemoryStore(copies=self._copies)

    def contents(self) -> dict[str, bytes]:
        return {key.text: content for key, content in self._copies.items()}

    def plant(self, key: str, content: bytes) -> None:
        self._copies[Key(key)] = content

    def marks(self) -> dict[str, object]:
        return {key.text: id(content) for key, content in self._copies.items()}


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def new_destination(self) -> NewDestination:
        return MemoryHarness
