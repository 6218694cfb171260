"""The Azure store keeps the contract on Azurite, with each kind of credentials."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from azure.storage.blob import BlobProperties, ContainerClient

from artifactd.artifact import KEY_BYTES
from artifactd.config.destinations.azure import AzureAccess
from artifactd.stores.azure.account import TokenSource
from artifactd.stores.base import Proof, Store
from artifactd.stores.objects.store import ObjectStore
from tests.servers.azure import AzureServer, Tokens
from tests.stores.conformance import StoreConformance, any_sequence
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import Harness, NewDestination


@dataclass
class AzureHarness:
    """A prefix in a container, seen by a plain client."""

    server: AzureServer
    access: AzureAccess
    client: ContainerClient
    place: tuple[str, str]
    block: int
    identity: TokenSource | None
    proof: Proof = Proof.SERVER_CHECKSUM
    _stores: list[Store] = field(default_factory=list)

    @property
    def key_bytes(self) -> int:
        return KEY_BYTES - len(self.place[1])

    def store(self) -> ObjectStore:
        container = a_container(self.server, self.place, access=self.access, identity=self.identity)
        store = a_store(self.server, self.place, container, block=self.block)
        self._stores.append(store)
        return store

    def contents(self) -> dict[str, bytes]:
        return {key: self.client.download_blob(one.name).readall() for key, one in self._listed().items()}

    def plant(self, key: str, content: bytes) -> None:
        self.client.upload_blob(self.place[1] + key, content, overwrite=True)

    def marks(self) -> dict[str, object]:
        return {key: (one.etag, one.last_modified) for key, one in self._listed().items()}

    def _listed(self) -> dict[str, BlobProperties]:
        prefix = self.place[1]
        found = self.client.list_blobs(name_starts_with=prefix)
        return {one.name.removeprefix(prefix): one for one in found}

    def close(self) -> None:
        for store in self._stores:
            store.close()


def destinations(
    server: AzureServer, access: AzureAccess, block: int = 2 << 20, identity: TokenSource | None = None
) -> Iterator[NewDestination]:
    harnesses: list[AzureHarness] = []
    with server.client() as service:

        def new_destination() -> Harness:
            place = server.destination()
            client = service.get_container_client(place[0])
            harnesses.append(AzureHarness(server, access, client, place, block, identity))
            return harnesses[-1]

        yield new_destination
    for harness in harnesses:
        harness.close()


class AzureConformance(StoreConformance):
    test_any_sequence_of_batches_ends_as_in_a_dictionary = any_sequence(5)


class TestAzureStoreWithAKey(AzureConformance):
    test_any_sequence_of_batches_ends_as_in_a_dictionary = any_sequence(15)

    @pytest.fixture
    def new_destination(self, azurite: AzureServer) -> Iterator[NewDestination]:
        yield from destinations(azurite, AzureAccess(azurite.account, key=azurite.key))


@pytest.mark.elsewhere
class TestAzureStoreInBlocks(AzureConformance):
    """Here what is larger than 64 KiB, and only that, goes in blocks."""

    @pytest.fixture
    def new_destination(self, azurite: AzureServer) -> Iterator[NewDestination]:
        yield from destinations(azurite, AzureAccess(azurite.account, key=azurite.key), BLOCK)


@pytest.mark.elsewhere
class TestAzureStoreWithASignature(AzureConformance):
    @pytest.fixture
    def new_destination(self, azurite: AzureServer) -> Iterator[NewDestination]:
        token = azurite.sas("rcwl")
        yield from destinations(azurite, AzureAccess(azurite.account, sas_token=f"?{token}"))


@pytest.mark.elsewhere
class TestAzureStoreWithAnIdentity(AzureConformance):
    @pytest.fixture
    def new_destination(self, azurite_tls: AzureServer) -> Iterator[NewDestination]:
        yield from destinations(azurite_tls, AzureAccess(), identity=Tokens())
