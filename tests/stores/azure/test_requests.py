"""What the Azure store asks for: nothing that it does not need, and each request with its checks."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient

from artifactd.artifact import Key
from artifactd.config.destinations.azure import AzureTable, ImmutabilityMode
from artifactd.stores.azure import blob_options
from artifactd.stores.base import About, StoreError
from artifactd.stores.objects.store import ObjectStore
from tests.servers.azure import AzureServer
from tests.servers.faults import Seen
from tests.servers.proxy import Proxy
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import a_put, digest, pattern, put_file, receipt

LARGE = 3 * BLOCK + 1
NOW = 1_767_323_045.0  # Fri, 02 Jan 2026 03:04:05 GMT


@dataclass
class Rig:
    """A place, a store that reaches it through a proxy, and a plain client that does not."""

    server: AzureServer
    proxy: Proxy
    place: tuple[str, str]
    store: ObjectStore

    def of(self, table: AzureTable) -> ObjectStore:
        container = a_container(self.server, self.place, url=self.proxy.url, table=table)
        return a_store(self.server, self.place, container, block=BLOCK)

    def blob(self, key: str) -> BlobClient:
        return self.server.client().get_blob_client(self.place[0], self.place[1] + key)

    def seen(self, operation: str) -> list[Seen]:
        return [seen for seen in self.proxy.seen if seen.operation == operation]


@pytest.fixture
def rig(azurite: AzureServer) -> Iterator[Rig]:
    place = azurite.destination()
    with Proxy(azurite.url, checking=True) as proxy:
        container = a_container(azurite, place, url=proxy.url)
        with closing(a_store(azurite, place, container, block=BLOCK)) as store:
            receipt(store.put([a_put("first", b"")]))
            proxy.seen.clear()
            yield Rig(azurite, proxy, place, store)


# --- how many ---


def test_a_small_copy_costs_one_request(rig: Rig) -> None:
    receipt(rig.store.put([a_put("k", b"content")]))
    assert rig.proxy.operations() == ["PutBlob"]


def test_many_small_copies_cost_one_request_each_over_few_connections(rig: Rig) -> None:
    rig.store.put([a_put(f"k{n}", pattern(n)) for n in range(100)])
    assert rig.proxy.operations() == ["PutBlob"] * 100


def test_a_replacement_of_a_known_version_costs_one_request(rig: Rig) -> None:
    there = receipt(rig.store.put([a_put("k", b"old")]))
    rig.proxy.seen.clear()
    assert receipt(rig.store.put([replace(a_put("k", b"new", b"old"), version=there.version)])).written
    assert rig.proxy.operations() == ["PutBlob"]
    assert rig.proxy.seen[0].headers["if-match"] == there.version


def test_a_large_copy_costs_a_look_its_blocks_and_their_list(rig: Rig, tmp_path: Path) -> None:
    with (tmp_path / "source").open("w+b") as file:
        receipt(rig.store.put([put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())]))
    assert Counter(rig.proxy.operations()) == {"HeadBlob": 1, "PutBlock": 4, "PutBlockList": 1}
    assert rig.proxy.operations()[0] == "HeadBlob"
    assert rig.proxy.operations()[-1] == "PutBlockList"


def test_what_was_sent_is_counted_by_operation(rig: Rig, tmp_path: Path) -> None:
    with (tmp_path / "source").open("w+b") as file:
        rig.store.put([put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())])
    rig.store.put([a_put("s", b"small")])
    rig.store.stat(Key("k"))
    rig.store.digest(Key("k"))
    list(rig.store.keys())
    assert rig.store.requests() == Counter(rig.proxy.operations()) + Counter(PutBlob=1, HeadBlob=1)
    assert set(rig.store.requests()) == {
        "PutBlob", "PutBlock", "PutBlockList", "HeadBlob", "GetBlob", "ListBlobs",
    }  # fmt: skip


def test_nothing_is_sent_before_the_first_put(azurite: AzureServer) -> None:
    with Proxy(azurite.url) as proxy:
        place = azurite.destination()
        container = a_container(azurite, place, url=proxy.url)
        container.ready()
        container.close()
        assert proxy.seen == []


def test_the_sdk_is_not_loaded_before_it_is_needed() -> None:
    program = (
        "import sys; from artifactd.stores.azure import container; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('azure', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


# --- what they say ---


def test_a_copy_is_sent_with_its_checks_and_its_type(rig: Rig) -> None:
    rig.store.put([a_put("k", b"content")])
    (seen,) = rig.proxy.seen
    assert seen.headers["if-none-match"] == "*"
    assert seen.headers["content-md5"] == "mgNkuembtIDdJeHwKEyFVQ=="
    assert rig.blob("k").get_blob_properties().content_settings.content_type == "application/octet-stream"


def test_every_block_and_their_list_are_sent_with_their_checksum(rig: Rig, tmp_path: Path) -> None:
    with (tmp_path / "source").open("w+b") as file:
        rig.store.put([put_file("k", tmp_path / "source", pattern(LARGE), file.fileno())])
    sent = rig.seen("PutBlock") + rig.seen("PutBlockList")
    assert ["content-md5" in seen.headers for seen in sent] == [True] * 5
    assert rig.seen("PutBlockList")[0].headers["if-none-match"] == "*"


@pytest.mark.parametrize("size", [7, LARGE])
def test_notes_are_kept_beside_the_bytes(rig: Rig, tmp_path: Path, size: int) -> None:
    about = About("u/h2oai_experiment_x/a  report é.zip", "alice", "x", "mojo_pipeline")
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("k", tmp_path / "source", pattern(size), file.fileno())
        receipt(rig.store.put([replace(put, about=about)]))
    kept = rig.blob("k").get_blob_properties().metadata
    assert kept["sha256"] == digest(pattern(size))
    assert kept["source"] == "u/h2oai_experiment_x/a %20report %C3%A9.zip"
    assert (kept["user"], kept["experiment"], kept["kind"]) == ("alice", "x", "mojo_pipeline")


@pytest.mark.parametrize("size", [7, LARGE])
def test_tier_and_tags_are_asked_for(rig: Rig, tmp_path: Path, size: int) -> None:
    with (
        closing(rig.of(AzureTable(access_tier="Cool", tags={"cost centre": "a+b", "kind": "x"}))) as store,
        (tmp_path / "source").open("w+b") as file,
    ):
        receipt(store.put([put_file("k", tmp_path / "source", pattern(size), file.fileno())]))
    assert rig.blob("k").get_blob_properties().blob_tier == "Cool"
    assert rig.blob("k").get_blob_tags() == {"cost centre": "a+b", "kind": "x"}


@pytest.mark.parametrize(
    ("table", "headers"),
    [
        (AzureTable(), {}),
        (
            AzureTable(immutability_mode=ImmutabilityMode.LOCKED, immutability_days=30),
            {
                "x-ms-immutability-policy-mode": "locked",
                "x-ms-immutability-policy-until-date": "Sun, 01 Feb 2026 03:04:05 GMT",
            },
        ),
        (AzureTable(legal_hold=True), {"x-ms-legal-hold": "true"}),
        (
            AzureTable(access_tier="Archive", tags={"a": "b c", "d": "/="}),
            {"x-ms-access-tier": "Archive", "x-ms-tags": "a=b%20c&d=%2F%3D"},
        ),
    ],
)
def test_how_blobs_are_kept_is_asked_for_in_headers(table: AzureTable, headers: dict[str, str]) -> None:
    assert blob_options.headers(table, NOW) == headers


@pytest.mark.parametrize("size", [7, LARGE])
def test_a_version_is_told_alike_by_put_and_look(rig: Rig, tmp_path: Path, size: int) -> None:
    with (tmp_path / "source").open("w+b") as file:
        put = receipt(rig.store.put([put_file("k", tmp_path / "source", pattern(size), file.fileno())]))
    found = rig.store.stat(Key("k"))
    assert found is not None
    assert (found.version, found.size, found.digest) == (put.version, size, None)
    assert put.version.startswith('"')


def test_a_uri_is_the_address_of_the_blob(rig: Rig) -> None:
    key = Key("a b/é?.zip")
    receipt(rig.store.put([a_put(key.text, b"content")]))
    assert rig.store.uri(key) == rig.blob(key.text).url.replace(rig.server.url, rig.proxy.url)


# --- reads ---


def test_what_is_larger_than_a_range_is_read_whole(rig: Rig) -> None:
    content = pattern((16 << 20) + 1)
    rig.blob("k").upload_blob(content)
    assert rig.store.digest(Key("k")) == digest(content)
    assert rig.store.requests()["GetBlob"] == 3


def test_the_bytes_of_two_versions_are_never_mixed(rig: Rig) -> None:
    rig.blob("k").upload_blob(bytes(16 << 20))
    told: list[int] = []

    def replaced(count: int) -> None:
        if not told:
            rig.blob("k").upload_blob(pattern(16 << 20), overwrite=True)
        told.append(count)

    with pytest.raises(StoreError):
        rig.store.digest(Key("k"), replaced)
    assert sum(told) < 16 << 20


def test_folders_of_a_hierarchical_account_are_no_copies(rig: Rig) -> None:
    rig.blob("folder").upload_blob(b"", metadata={"hdi_isfolder": "true"})
    rig.blob("folder/k").upload_blob(b"content")
    assert set(rig.store.keys()) == {Key("first"), Key("folder/k")}
