"""The S3 store keeps the contract on four servers, each strict about something else."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from artifactd.artifact import KEY_BYTES
from artifactd.stores.base import Proof, Receipt, Store
from artifactd.stores.objects.store import ObjectStore
from tests.servers.s3 import S3Server
from tests.stores.conformance import FOREIGN, NEW, StoreConformance, any_sequence, by_server
from tests.support.buckets import PART, a_store
from tests.support.harness import Harness, NewDestination, a_put, at_once, only, outcome, pattern, put_file


@dataclass
class S3Harness:
    """A prefix in a bucket, seen by a plain client."""

    server: S3Server
    proof: Proof
    client: Any
    place: tuple[str, str]
    _stores: list[Store] = field(default_factory=list)

    @property
    def key_bytes(self) -> int:
        return KEY_BYTES - len(self.place[1])

    def store(self) -> ObjectStore:
        store = a_store(self.server, self.place)
        self._stores.append(store)
        return store

    def contents(self) -> dict[str, bytes]:
        return {
            key: self.client.get_object(Bucket=self.place[0], Key=self.place[1] + key)["Body"].read()
            for key in self._listed()
        }

    def plant(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.place[0], Key=self.place[1] + key, Body=content)

    def marks(self) -> dict[str, object]:
        return {key: (one["ETag"], one["LastModified"]) for key, one in self._listed().items()}

    def _listed(self) -> dict[str, Any]:
        bucket, prefix = self.place
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {one["Key"].removeprefix(prefix): one for page in pages for one in page.get("Contents", ())}

    def close(self) -> None:
        for store in self._stores:
            store.close()


def destinations(server: S3Server, proof: Proof) -> Iterator[NewDestination]:
    harnesses: list[S3Harness] = []
    client = server.client()

    def new_destination() -> Harness:
        harnesses.append(S3Harness(server, proof, client, server.destination()))
        return harnesses[-1]

    yield new_destination
    for harness in harnesses:
        harness.close()


class S3Conformance(StoreConformance):
    test_any_sequence_of_batches_ends_as_in_a_dictionary = any_sequence(15)


class TestS3StoreOnSeaweed(S3Conformance):
    @pytest.fixture
    def new_destination(self, seaweed: S3Server) -> Iterator[NewDestination]:
        yield from destinations(seaweed, Proof.SERVER_CHECKSUM)

    def test_a_large_copy_is_replaced_without_reading_what_it_replaces(
        self, harness: Harness, store: Store, tmp_path: Path
    ) -> None:
        """Its checksum is over parts, which tells nothing of other bytes; its version tells whose it is."""
        old, new = pattern(PART + 1), pattern(PART + 2)[1:]
        with (tmp_path / "mojo.zip").open("w+b", buffering=0) as file:
            path = tmp_path / "mojo.zip"
            first = only(store.put([put_file("u/e/mojo.zip", path, old, file.fileno())]))
            assert isinstance(first, Receipt)
            reads = store.requests()["GetObject"]
            again = put_file("u/e/mojo.zip", path, new, file.fileno())
            result = only(
                store.put([replace(again, ours=(first.digest, again.digest), version=first.version)])
            )
        assert outcome(result) == "written"
        assert store.requests()["GetObject"] == reads
        assert harness.contents() == {"u/e/mojo.zip": new}


@pytest.mark.conformance
class TestS3StoreOnCeph(S3Conformance):
    @pytest.fixture
    def new_destination(self, ceph: S3Server) -> Iterator[NewDestination]:
        yield from destinations(ceph, Proof.SERVER_CHECKSUM)

    def test_what_it_ignores_is_told_and_what_it_compares_bare_is_not(self, store: Store) -> None:
        store.put([a_put("k", NEW)])
        (doubt,) = store.doubts()
        assert "parts of a large copy" in doubt


class LastOneWins(S3Conformance):
    """Of a server for which looking and writing are two steps."""

    @by_server
    @pytest.mark.parametrize("stores", ["one store", "two stores"])
    def test_of_two_that_create_a_key_at_once_one_wins(self, harness: Harness, stores: str) -> None:
        """Here both may have written, and the last one wins."""
        first = harness.store()
        second = first if stores == "one store" else harness.store()
        keys = [f"u/e{n}/k" for n in range(20)]
        at_once([first, second], keys, [NEW, FOREIGN])
        contents = harness.contents()
        assert contents.keys() == set(keys)
        assert set(contents.values()) <= {NEW, FOREIGN}

    @by_server
    def test_of_two_that_create_the_same_copy_at_once_both_succeed(self, harness: Harness) -> None:
        """Here both may have written."""
        keys = [f"u/e{n}/k" for n in range(20)]
        results = at_once([harness.store(), harness.store()], keys, [NEW, NEW])
        assert {outcome(result) for pair in results for result in pair} <= {"there", "written"}
        assert harness.contents() == dict.fromkeys(keys, NEW)


@pytest.mark.elsewhere
class TestS3StoreOnMoto(LastOneWins):
    @pytest.fixture
    def new_destination(self, moto: S3Server) -> Iterator[NewDestination]:
        yield from destinations(moto, Proof.READ_BACK)


@pytest.mark.elsewhere
class TestS3StoreOnRclone(LastOneWins):
    @pytest.fixture
    def new_destination(self, rclone: S3Server) -> Iterator[NewDestination]:
        yield from destinations(rclone, Proof.SERVER_CHECKSUM)

    @by_server
    def test_a_server_that_ignores_conditions_is_found_out(self, store: Store) -> None:
        store.put([a_put("k", NEW)])
        assert any("If-None-Match" in doubt for doubt in store.doubts())
