"""Which account is meant, and where it is: as the SDK reads it."""

import base64

import pytest
from azure.storage.blob import BlobServiceClient

from artifactd.stores.azure.account import Access, Account, Endpoint, account
from artifactd.stores.base import Denied

KEY = base64.b64encode(b"the key").decode()
SAS = "sv=2024-05-04&se=2026-01-02T03%3A04%3A05Z&sp=rcw&sig=a%2Bb%3D"
HOME = "https://artifacts.blob.core.windows.net"

CASES = {
    "a name and a key": (Access("artifacts", KEY), "", Account(HOME, "artifacts", b"the key")),
    "a name and a token": (Access("artifacts", sas_token=SAS), "", Account(HOME, "artifacts", sas=SAS)),
    "a token as the portal shows it": (
        Access("artifacts", sas_token=f"?{SAS}\n"),
        "",
        Account(HOME, "artifacts", sas=SAS),
    ),
    "an identity": (Access("artifacts"), "", Account(HOME, "artifacts")),
    "an address": (
        Access("artifacts", KEY),
        "https://private.example:8443/",
        Account("https://private.example:8443", "artifacts", b"the key"),
    ),
    "an address that names the account": (
        Access(key=KEY),
        f"{HOME}/",
        Account(HOME, "artifacts", b"the key"),
    ),
    "an address that names it in its path": (
        Access(key=KEY),
        "http://127.0.0.1:10000/artifacts",
        Account("http://127.0.0.1:10000/artifacts", "artifacts", b"the key"),
    ),
    "an address with a token": (Access(), f"{HOME}/?{SAS}", Account(HOME, "artifacts", sas=SAS)),
    "an address with somebody's name": (
        Access("artifacts", KEY),
        "https://me:secret@private.example",
        Account("https://private.example", "artifacts", b"the key"),
    ),
}

STRINGS = {
    "as the portal shows it": (
        f"DefaultEndpointsProtocol=https;AccountName=artifacts;AccountKey={KEY};"
        "EndpointSuffix=core.windows.net"
    ),
    "with a semicolon at its end": f"AccountName=artifacts;AccountKey={KEY};",
    "of another cloud": f"AccountName=artifacts;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn",
    "over http": f"DefaultEndpointsProtocol=http;AccountName=artifacts;AccountKey={KEY};EndpointSuffix=a.b",
    "with an address": (
        f"AccountName=artifacts;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/artifacts;"
    ),
    "with a token": f"BlobEndpoint={HOME}/;SharedAccessSignature={SAS}",
    "with a token and a name": f"AccountName=artifacts;SharedAccessSignature={SAS}",
    "in other letters": f"ACCOUNTNAME=artifacts;accountkey={KEY}",
    "of the emulator": "UseDevelopmentStorage=true",
}

REFUSED = {
    "nothing": (Access(), "", "artifacts_azure_blob_account_name"),
    "no address": (Access("artifacts"), "ftp://artifacts", "endpoint_url"),
    "a key that is none": (Access("artifacts", "no key!"), "", "artifacts_azure_blob_account_key"),
    "a token that is none": (Access("artifacts", "", "", "sig=a b"), "", "artifacts_azure_sas_token"),
    "a string that is none": (Access(connection_string="secret"), "", "artifacts_azure_connection_string"),
    "a string without credentials": (Access(connection_string="AccountName=a"), "", "no credentials"),
}


@pytest.mark.parametrize(("access", "url", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_configured_names_an_account(access: Access, url: str, expected: Account) -> None:
    assert account(access, Endpoint("c", url)) == expected


@pytest.mark.parametrize("written", STRINGS.values(), ids=STRINGS.keys())
def test_a_connection_string_is_read_as_the_sdk_reads_it(written: str) -> None:
    found = account(Access(connection_string=written), Endpoint("c"))
    client = BlobServiceClient.from_connection_string(written)
    assert found.url == f"{client.scheme}://{client.primary_hostname}"
    assert found.name == client.account_name
    assert found.sas == client.url.partition("?")[2]
    key = getattr(client.credential, "account_key", "")
    assert base64.b64encode(found.key).decode() == key


@pytest.mark.parametrize(("access", "url", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_names_none_is_refused_with_its_mend(access: Access, url: str, told: str) -> None:
    with pytest.raises(Denied, match=told) as refused:
        account(access, Endpoint("c", url))
    for secret in filter(None, (access.key, access.connection_string, access.sas_token)):
        assert secret not in str(refused.value)


def test_no_repr_shows_a_secret() -> None:
    access = Access("a", KEY, "AccountKey=" + KEY, SAS)
    for told in (
        repr(access),
        repr(account(Access("a", KEY), Endpoint("c"))),
        repr(Account("", "", b"k", SAS)),
    ):
        assert KEY not in told
        assert "sig=" not in told
        assert "key" not in told.replace("accountkey", "")


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        (SAS, 1767323045.0),
        ("se=2026-01-02&sig=x", 1767312000.0),
        ("sig=x", None),
        ("se=never&sig=x", None),
    ],
)
def test_a_token_tells_when_it_ends(token: str, ends: float | None) -> None:
    assert Account(HOME, "artifacts", sas=token).sas_ends == ends
