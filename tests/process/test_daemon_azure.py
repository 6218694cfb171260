"""The real daemon on a real Azure Blob Storage server: exported, verified, told apart from what is wrong."""

import os
from collections.abc import Iterator

import pytest

from artifactd.clock import SYSTEM
from artifactd.config.assemble import load
from artifactd.inspection.probe import probed
from tests.servers.azure import AzureServer
from tests.servers.proxy import Proxy
from tests.support.process import CSV, Site

KEY = "alice/one/train_preds.csv"


class Contained:
    """A site that exports to a place in a container, through a proxy that sees every request."""

    def __init__(self, site: Site, server: AzureServer, proxy: Proxy) -> None:
        self.site, self.server, self.proxy = site, server, proxy
        self.container, self.prefix = server.destination()
        self._client = server.client().get_container_client(self.container)
        self.configure()

    def configure(self, *, container: str = "", key: str = "", more: str = "") -> None:
        self.site.environment |= {
            "DRIVERLESS_AI_ARTIFACTS_STORE": "azure",
            "DRIVERLESS_AI_ARTIFACTS_AZURE_BLOB_ACCOUNT_NAME": self.server.account,
            "DRIVERLESS_AI_ARTIFACTS_AZURE_BLOB_ACCOUNT_KEY": key or self.server.key,
        }
        self.site.configure(
            f'[azure]\nendpoint_url = "{self.proxy.url}"\ncontainer = "{container or self.container}"\n'
            f'prefix = "{self.prefix.rstrip("/")}"\nblock_size = "64 KiB"\n{more}'
            "[retry]\nfirst_seconds = 0.2\ncap_seconds = 0.5\n"
        )

    def sign(self, rights: str) -> None:
        """Let a SAS token take the place of the key."""
        del self.site.environment["DRIVERLESS_AI_ARTIFACTS_AZURE_BLOB_ACCOUNT_KEY"]
        token = self.server.sas(rights, self.container)
        self.site.environment["DRIVERLESS_AI_ARTIFACTS_AZURE_SAS_TOKEN"] = token

    def content(self, key: str) -> bytes:
        return bytes(self._client.download_blob(self.prefix + key).readall())

    def sent(self) -> list[str]:
        """The operations for artifacts, in order."""
        return [one.operation for one in list(self.proxy.seen) if "_artifactd" not in one.target]


@pytest.fixture
def contained(site: Site, azurite: AzureServer) -> Iterator[Contained]:
    with Proxy(azurite.url) as proxy:
        yield Contained(site, azurite, proxy)


def test_artifacts_arrive_for_one_request_each_and_are_verified(contained: Contained) -> None:
    site = contained.site
    with site.daemon() as daemon:
        site.write("train_preds.csv")
        exported = daemon.hear("artifact.exported")
    assert (exported["proof"], exported["key"]) == ("server_checksum", KEY)
    assert contained.content(KEY) == CSV
    assert contained.sent() == ["PutBlob", "HeadBlob"], "the first one is looked for"
    before = len(contained.proxy.seen)
    site.ok("sync")
    assert len(contained.proxy.seen) == before, "what is proven costs no request again"
    site.ok("verify")
    assert "GetBlob" not in contained.sent(), "the version that Azure verified is still there"
    site.ok("verify", "--read")
    assert "GetBlob" in contained.sent()


def test_a_large_file_goes_in_blocks_and_newer_bytes_replace_it(contained: Contained) -> None:
    for content in (os.urandom(600_000), os.urandom(600_000)):
        contained.site.write("train_preds.csv", content)
        contained.site.ok("sync")
        assert contained.content(KEY) == content
    assert contained.sent().count("PutBlockList") == 2
    assert contained.sent().count("PutBlock") == 20
    assert contained.site.command("verify", "--read").returncode == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"container": "no-such-container"}, "ContainerNotFound"),
        ({"key": "bm90IHRoZSBrZXk="}, "AuthorizationFailure"),  # Azure itself says AuthenticationFailed
    ],
    ids=["container", "key"],
)
def test_what_a_person_has_to_mend_is_said_and_the_daemon_stays_up(
    contained: Contained, wrong: dict[str, str], said: str
) -> None:
    contained.configure(**wrong)
    contained.site.write("train_preds.csv")
    with contained.site.daemon() as daemon:
        told = daemon.hear("store.unavailable")
        assert told["needs_person"]
        assert said in told["reason"]
    assert contained.site.command("check").returncode == 7


def test_check_says_what_the_container_does(contained: Contained) -> None:
    said = contained.site.ok("check")
    assert "takes a put (server_checksum), reads it back, leaves what is there alone" in said


def test_who_may_write_and_not_read_is_told_so_by_each_check(contained: Contained) -> None:
    contained.sign("cw")
    for taken in ("takes a put (server_checksum)", "holds an earlier put"):
        store = probed(load(contained.site.config, contained.site.environment), "azure", SYSTEM, 30.0)
        assert store.ok, store
        assert store.found.startswith(f"{taken}, does not let this account read")
        assert store.found.endswith("leaves what is there alone")


def test_who_may_create_and_not_write_is_told_what_it_lacks_by_each_check(contained: Contained) -> None:
    contained.sign("c")
    for put in ("a put where one lies already failed: ", "a put failed: "):
        store = probed(load(contained.site.config, contained.site.environment), "azure", SYSTEM, 30.0)
        assert not store.ok
        assert store.found.startswith(put)
        assert (
            "the right to create (c), or to write (w) where a blob lies already; docs/azure.md" in store.found
        )
