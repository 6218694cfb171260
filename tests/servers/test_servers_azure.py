"""The facts about Azurite that the tests of the Azure store rest on, and that its HTTPS is real."""

from collections.abc import Callable

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.storage.blob import BlobBlock, BlobClient

from tests.servers.azure import AzureServer, Tokens

WRONG_MD5 = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
WRONG_CRC64 = {"x-ms-content-crc64": "AAAAAAAAAAA="}

NO_ENTRY = "AuthorizationFailure"  # where Azure itself says AuthenticationFailed


def blob(server: AzureServer, credential: str | Tokens | None = None) -> BlobClient:
    container, prefix = server.destination()
    return server.client(credential).get_blob_client(container, f"{prefix}blob")


def refusal(ask: Callable[[], object]) -> str:
    """The error's code; "" where the server did as it was asked."""
    try:
        ask()
    except HttpResponseError as error:
        code = getattr(error, "error_code", "")
        return str(getattr(code, "value", code))
    return ""


# --- destinations ---


def test_a_destination_is_empty_and_another_one_each_time(azurite: AzureServer) -> None:
    first, second = azurite.destination(), azurite.destination()
    assert first != second
    for container, prefix in (first, second):
        listed = azurite.client().get_container_client(container).list_blobs(name_starts_with=prefix)
        assert list(listed) == []


def test_a_new_container_takes_blobs_of_its_own(azurite: AzureServer) -> None:
    here, there = azurite.new_container(), azurite.new_container()
    azurite.client().get_blob_client(here, "k").upload_blob(b"content")
    assert list(azurite.client().get_container_client(here).list_blob_names()) == ["k"]
    assert list(azurite.client().get_container_client(there).list_blob_names()) == []


def test_an_unknown_container_is_not_made_by_itself(azurite: AzureServer) -> None:
    lost = azurite.client().get_blob_client("unknown", "k")
    assert refusal(lambda: lost.upload_blob(b"content")) == "ContainerNotFound"


# --- conditions and integrity ---


def test_a_put_creates_only(azurite: AzureServer) -> None:
    here = blob(azurite)
    here.upload_blob(b"first")
    assert refusal(lambda: here.upload_blob(b"second")) == "BlobAlreadyExists"
    assert here.download_blob().readall() == b"first"


@pytest.mark.parametrize("kind", ["PutBlob", "PutBlockList"])
def test_a_put_replaces_what_it_knows(azurite: AzureServer, kind: str) -> None:
    here = blob(azurite)
    etag = here.upload_blob(b"first")["etag"]

    def put(content: bytes, known: str) -> None:
        same = MatchConditions.IfNotModified
        if kind == "PutBlob":
            here.upload_blob(content, overwrite=True, etag=known, match_condition=same)
        else:
            here.stage_block("MQ==", content)
            here.commit_block_list([BlobBlock("MQ==")], etag=known, match_condition=same)

    assert refusal(lambda: put(b"second", '"0x0"')) == "ConditionNotMet"
    assert here.download_blob().readall() == b"first"
    put(b"third", etag)
    assert here.download_blob().readall() == b"third"


@pytest.mark.parametrize(
    ("claim", "refused"), [(WRONG_MD5, "Md5Mismatch"), (WRONG_CRC64, "Crc64Mismatch")], ids=["MD5", "CRC64"]
)
def test_wrong_checksums_are_refused(azurite: AzureServer, claim: dict[str, str], refused: str) -> None:
    here = blob(azurite)
    assert refusal(lambda: here.upload_blob(b"content", headers=claim)) == refused
    assert refusal(lambda: here.stage_block("MQ==", b"content", headers=claim)) == refused
    assert not here.exists()


# --- who may ---


def test_a_wrong_key_is_refused(azurite: AzureServer) -> None:
    stranger = blob(azurite, "d3Jvbmc=")
    assert refusal(lambda: stranger.upload_blob(b"content")) == NO_ENTRY


def test_a_signature_gives_the_rights_that_it_names(azurite: AzureServer) -> None:
    here = blob(azurite, azurite.sas("rcw"))
    here.upload_blob(b"content")
    assert here.download_blob().readall() == b"content"
    assert refusal(here.delete_blob) == "AuthorizationPermissionMismatch"
    container = azurite.client(azurite.sas("rcw")).get_container_client(here.container_name)
    assert refusal(lambda: list(container.list_blobs())) == "AuthorizationPermissionMismatch"


def test_a_signature_that_is_over_is_refused(azurite: AzureServer) -> None:
    late = blob(azurite, azurite.sas("rcw", seconds=-60))
    assert refusal(lambda: late.upload_blob(b"content")) == NO_ENTRY


def test_tokens_are_taken_over_https(azurite_tls: AzureServer) -> None:
    here = blob(azurite_tls, Tokens())
    here.upload_blob(b"content")
    assert here.download_blob().readall() == b"content"


def test_https_is_refused_by_who_does_not_know_the_authority(azurite_tls: AzureServer) -> None:
    trusting = AzureServer(url=azurite_tls.url, ca_file=None)
    with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        blob(trusting).upload_blob(b"content")
