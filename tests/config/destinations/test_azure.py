"""A container's description: what reaches its store, what contradicts itself, what is seldom meant."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from artifactd.config.assemble import load
from artifactd.config.destinations import azure
from artifactd.config.destinations.azure import Azure, AzureAccess, AzureTable, ImmutabilityMode
from artifactd.stores.azure.account import account
from tests.support.parsing import loaded, taken

CANARY = "canary-5f1d"
KEY = "Y2FuYXJ5"
AZURE = "artifacts_store = 'azure'\nazure.container = 'exports'\n"
NAME = "artifacts_azure_blob_account_name = 'account'\n"
ACCOUNT_KEY = f"artifacts_azure_blob_account_key = '{KEY}'\n"
SAS = "artifacts_azure_sas_token = '?sv=1&sig=a%2Fb'\n"
ENDPOINT = "azure.endpoint_url = 'https://account.blob.example'\n"
BESIDE = "artifacts_azure_connection_string is set as well and has its own"


def connected(string: str) -> str:
    return f"artifacts_azure_connection_string = '{string}'\n"


CONNECTION = connected(f"AccountName=account;AccountKey={KEY};")


def test_a_container_needs_little(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(AZURE + NAME)
    (found,) = load(tmp_path / "config.toml", {}).destinations
    access = AzureAccess("account", "https://account.blob.core.windows.net")
    assert found == Azure(access, AzureTable(container="exports"))


def test_every_key_of_a_container_reaches_its_store(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        """
        artifacts_store = "azure"
        artifacts_azure_blob_account_name = "account"
        artifacts_azure_blob_account_key = "a2V5"
        [azure]
        container = "exports"
        prefix = "dai"
        endpoint_url = "https://account.blob.example.org"
        endpoint_suffix = "core.chinacloudapi.cn"
        sas_over_http = true
        cert_location = "ca.pem"
        access_tier = "Cool"
        immutability_mode = "unlocked"
        immutability_days = 146000
        legal_hold = true
        block_size = "4000 MiB"
        connections = 64
        bandwidth = 1000
        connect_timeout_seconds = 3
        read_timeout_seconds = 30
        """,
    )
    found = load(tmp_path / "config.toml", {"ARTIFACTD_AZURE__TAGS": "team=risk, retention=7y"})
    expected = Azure(
        AzureAccess("account", "https://account.blob.example.org", "a2V5"),
        AzureTable(
            container="exports",
            prefix="dai",
            endpoint_url="https://account.blob.example.org",
            endpoint_suffix="core.chinacloudapi.cn",
            sas_over_http=True,
            cert_location=tmp_path / "ca.pem",
            access_tier="Cool",
            immutability_mode=ImmutabilityMode.UNLOCKED,
            immutability_days=146_000,
            legal_hold=True,
            tags={"retention": "7y", "team": "risk"},
            block_size=4000 * 2**20,
            connections=64,
            bandwidth=1000,
            connect_timeout_seconds=3.0,
            read_timeout_seconds=30.0,
        ),
    )
    assert found.destinations == (expected,)


@pytest.mark.parametrize(
    ("parse", "value", "right"),
    [
        *((azure.container_name, name, True) for name in ("", "abc", "a-b-c", "012", "x" * 63)),
        *(
            (azure.container_name, name, False)
            for name in ("ab", "x" * 64, "Abc", "a_b", "a.b", "a--b", "-ab", "ab-", "abc/d", "abc\n", None)
        ),
        *((azure.account_name, name, True) for name in ("", "abc", "devstoreaccount1", "x" * 24)),
        *(
            (azure.account_name, name, False)
            for name in ("ab", "x" * 25, "a-b", "Abc", "abc.example/", "abc٣")
        ),
        *((azure.suffix, name, True) for name in ("core.windows.net", "local")),
        *((azure.suffix, name, False) for name in ("", ".core.windows.net", "https://x", "x.net/", "x?y")),
    ],
)
def test_a_name_is_what_the_service_takes(
    parse: Callable[[object], object],
    value: object,
    right: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert taken(parse, value) is right


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            NAME + ACCOUNT_KEY + SAS,
            ["artifacts_azure_blob_account_key: artifacts_azure_sas_token is set as w"],
        ),
        (
            CONNECTION + ACCOUNT_KEY,
            [f"artifacts_azure_blob_account_key: {BESIDE} credentials; remove artifact"],
        ),
        (
            CONNECTION + SAS,
            [f"artifacts_azure_sas_token: {BESIDE} credentials; remove artifacts_azure_sas_t"],
        ),
        (
            CONNECTION + ACCOUNT_KEY + SAS + ENDPOINT,
            [
                f"artifacts_azure_blob_account_key: {BESIDE}",
                f"artifacts_azure_sas_token: {BESIDE}",
                f"azure.endpoint_url: {BESIDE} address",
            ],
        ),
        (
            CONNECTION + "artifacts_azure_blob_account_name = 'another'",
            ["artifacts_azure_blob_account_name: artifacts_azure_connection_string names another account; "],
        ),
        (
            ACCOUNT_KEY,
            ["artifacts_azure_blob_account_name: missing; artifacts_store names azure, which needs it"],
        ),
        (
            SAS,
            ["artifacts_azure_blob_account_name: missing; artifacts_store names azure, which needs it, or"],
        ),
        (
            NAME + "artifacts_azure_blob_account_key = 'x'",
            ["artifacts_azure_blob_account_key: allowed: a whole account key"],
        ),
        (
            NAME + "artifacts_azure_sas_token = 'sv=1&xsig=1&sig='",
            ["artifacts_azure_sas_token: allowed: a whole SAS"],
        ),
        (
            "azure.endpoint_url = 'http://localhost:10000/account'",
            ["azure.endpoint_url: Azure's identities send their tokens over https only; write https, or set"],
        ),
        (
            SAS + "azure.endpoint_url = 'http://account.blob.example'",
            ["azure.endpoint_url: it says http, and with each request the SAS token would travel unencry"],
        ),
        (
            connected("BlobEndpoint=http://account.example;SharedAccessSignature=sig=x"),
            ["artifacts_azure_connection_string: it says http, and with each request the SAS token would"],
        ),
        (
            NAME + "azure.immutability_days = 1",
            ["azure.immutability_days: it needs azure.immutability_mode bes"],
        ),
        (
            NAME + "azure.immutability_mode = 'locked'",
            ["azure.immutability_mode: it needs azure.immutability_d"],
        ),
    ],
)
def test_what_contradicts_itself_about_a_container_is_told(
    text: str, told: list[str], tmp_path: Path
) -> None:
    assert [
        line[: len(start)] for line, start in zip(loaded(AZURE + text, tmp_path), told, strict=True)
    ] == told


@pytest.mark.parametrize(
    "text",
    [
        AZURE + NAME,
        AZURE + ENDPOINT,
        AZURE + NAME + ACCOUNT_KEY,
        AZURE + NAME + SAS + ENDPOINT,
        AZURE + ACCOUNT_KEY + "azure.endpoint_url = 'http://localhost:10000/account'",
        AZURE + SAS + "azure.endpoint_url = 'http://127.0.0.1:10000/account'",
        AZURE + CONNECTION,
        AZURE + CONNECTION + NAME,
        AZURE + NAME + connected("BlobEndpoint=https://account.example;SharedAccessSignature=sig=x"),
        AZURE + NAME + "azure.immutability_days = 1\nazure.immutability_mode = 'unlocked'",
        # What is said of a store that is not chosen is not looked at.
        ACCOUNT_KEY
        + SAS
        + "data_directory = '/data'\naws_access_key_id = 'i'\ns3_skip_cert_verification = true",
    ],
)
def test_what_agrees_is_neither_a_problem_nor_a_warning(text: str, tmp_path: Path) -> None:
    assert loaded(text, tmp_path) == ()


# --- connection strings ---

SIGNED = "sv=2024-05-04&se=2026-01-02T03%3A04%3A05Z&sp=rcw&sig=a%2Bb%3D"
HOME = "https://artifacts.blob.core.windows.net"

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
    "with a token": f"BlobEndpoint={HOME}/;SharedAccessSignature={SIGNED}",
    "with a token and a name": f"AccountName=artifacts;SharedAccessSignature={SIGNED}",
    "with a token in its address": f"BlobEndpoint={HOME}/?{SIGNED}",
    "in other letters": f"ACCOUNTNAME=artifacts;accountkey={KEY}",
    "with a space behind the key": f"AccountName=artifacts;AccountKey={KEY} ;EndpointSuffix=core.windows.net",
    "with a name that nobody knows": f" DefaultEndpointsProtocol=http;AccountName=artifacts;AccountKey={KEY}",
    "of the emulator": "UseDevelopmentStorage=true",
}

NO_STRINGS = {
    "a space before the account's name": f" AccountName=artifacts;AccountKey={KEY}",
    "of the emulator in other letters": "UseDevelopmentStorage=True",
    "nothing": ";",
    "a word": CANARY,
    "a word at its end": f"AccountName=artifacts;AccountKey={KEY};{CANARY}",
}


@pytest.mark.parametrize("written", STRINGS.values(), ids=STRINGS.keys())
def test_a_connection_string_is_read_as_the_sdk_reads_it(written: str) -> None:
    found = account(AzureAccess.of(written))
    client = BlobServiceClient.from_connection_string(written)
    assert found.url == f"{client.scheme}://{client.primary_hostname}"
    assert found.name == client.account_name
    assert found.sas == client.url.partition("?")[2]
    key = getattr(client.credential, "account_key", "")
    assert found.key == base64.b64decode(key)


@pytest.mark.parametrize("written", NO_STRINGS.values(), ids=NO_STRINGS.keys())
def test_what_the_sdk_does_not_take_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="Connection string"):
        BlobServiceClient.from_connection_string(written)
    with pytest.raises(ValueError, match="a whole connection string"):
        AzureAccess.of(written)


def test_a_token_in_the_address_is_kept_out_of_what_is_shown(tmp_path: Path) -> None:
    written = f"BlobEndpoint=https://me:{CANARY}@a.example/?sv=1&sig={CANARY}%2F"
    (tmp_path / "config.toml").write_text(AZURE + connected(written))
    found = load(tmp_path / "config.toml", {})
    assert list(found.secrets()) == [written, f"sv=1&sig={CANARY}%2F", f"{CANARY}%2F", f"{CANARY}/"]
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    "string",
    [
        CANARY,
        f"AccountName=account;AccountKey={CANARY}",
        f"AccountName=account; AccountKey={KEY}",
        f"AccountKey={KEY}",
        f"BlobEndpoint=https://x.example;AccountKey={KEY}",
        f"SharedAccessSignature=sig={CANARY}",
        f"AccountName=account;SharedAccessSignature={CANARY}",
        f"AccountName=account;AccountKey={KEY};{CANARY}",
        f"AccountName={CANARY}",
        "UseDevelopmentStorage=false",
        ";",
    ],
)
def test_a_connection_string_that_is_not_whole_is_told_without_a_part_of_it(
    string: str, tmp_path: Path
) -> None:
    (line,) = loaded(AZURE + connected(string), tmp_path)
    assert line.startswith("artifacts_azure_connection_string: allowed: a whole connection string")
    assert CANARY not in line
    assert KEY not in line


@pytest.mark.parametrize(
    "string",
    [
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn",
        f"BlobEndpoint=https://a.example/;SharedAccessSignature=sv=1&sig={CANARY}",
        f"accountname=a;SHAREDACCESSSIGNATURE=sig={CANARY};",
        f"AccountName=a;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/a",
        "UseDevelopmentStorage=true",
    ],
)
def test_a_whole_connection_string_is_enough(string: str, tmp_path: Path) -> None:
    assert loaded(AZURE + connected(string), tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            AZURE + SAS + "azure.endpoint_url = 'http://account.blob.example'\nazure.sas_over_http = true",
            ["azure: the address of the blob service is http: bytes and signatures travel unencrypted"],
        ),
        (
            AZURE + connected(f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={KEY}"),
            ["azure: the address of the blob service is http: bytes and signatures travel unencrypted"],
        ),
        (
            AZURE + NAME + "azure.access_tier = 'archive'",
            ["azure.access_tier: what lies there cannot be read"],
        ),
    ],
)
def test_what_is_seldom_meant_is_a_warning_while_it_is_in_use(
    text: str, told: list[str], tmp_path: Path
) -> None:
    warnings = loaded(text, tmp_path)
    assert [start in warning for warning, start in zip(warnings, told, strict=True)] == [True] * len(told)
    assert loaded(text, tmp_path, enabled=False) == ()
