"""Which account is meant, and where it is."""

import base64

import pytest

from artifactd.config.destinations.azure import AzureAccess
from artifactd.stores.azure.account import Account, account
from artifactd.stores.base import Denied

KEY = base64.b64encode(b"the key").decode()
SAS = "sv=2024-05-04&se=2026-01-02T03%3A04%3A05Z&sp=rcw&sig=a%2Bb%3D"
HOME = "https://artifacts.blob.core.windows.net"

CASES = {
    "a name and a key": (AzureAccess("artifacts", HOME, KEY), Account(HOME, "artifacts", b"the key")),
    "a name and a token": (AzureAccess("artifacts", HOME, "", SAS), Account(HOME, "artifacts", sas=SAS)),
    "a token as the portal shows it": (
        AzureAccess("artifacts", HOME, "", f"?{SAS}\n"),
        Account(HOME, "artifacts", sas=SAS),
    ),
    "an identity": (AzureAccess("artifacts", HOME), Account(HOME, "artifacts")),
    "an address": (
        AzureAccess("artifacts", "https://private.example:8443/", KEY),
        Account("https://private.example:8443", "artifacts", b"the key"),
    ),
    "an address that names the account": (
        AzureAccess("", f"{HOME}/", KEY),
        Account(HOME, "artifacts", b"the key"),
    ),
    "an address that names it in its path": (
        AzureAccess("", "http://127.0.0.1:10000/artifacts", KEY),
        Account("http://127.0.0.1:10000/artifacts", "artifacts", b"the key"),
    ),
    "an address with a token": (AzureAccess("", f"{HOME}/", "", SAS), Account(HOME, "artifacts", sas=SAS)),
    "an address with somebody's name": (
        AzureAccess("artifacts", "https://me:secret@private.example", KEY),
        Account("https://private.example", "artifacts", b"the key"),
    ),
}

REFUSED = {
    "nothing": (AzureAccess(), "artifacts_azure_blob_account_name"),
    "no address": (AzureAccess("artifacts", "ftp://artifacts"), "endpoint_url"),
    "a key that is none": (AzureAccess("artifacts", HOME, "no key!"), "artifacts_azure_blob_account_key"),
    "a token that is none": (AzureAccess("artifacts", HOME, "", "sig=a b"), "artifacts_azure_sas_token"),
}


@pytest.mark.parametrize(("access", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_configured_names_an_account(access: AzureAccess, expected: Account) -> None:
    assert account(access) == expected


@pytest.mark.parametrize(("access", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_names_none_is_refused_with_its_mend(access: AzureAccess, told: str) -> None:
    with pytest.raises(Denied, match=told) as refused:
        account(access)
    for secret in filter(None, (access.key, access.sas_token)):
        assert secret not in str(refused.value)


def test_no_repr_shows_a_secret() -> None:
    access = AzureAccess("a", f"{HOME}/?{SAS}", KEY, SAS)
    for told in (repr(access), repr(account(access)), repr(Account("", "", b"k", SAS))):
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
