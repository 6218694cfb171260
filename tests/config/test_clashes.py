"""What contradicts itself in a bucket's or a container's description, and what is seldom meant."""

from pathlib import Path

import pytest

from artifactd.config import ConfigError, load

CANARY = "canary-5f1d"
KEY = "Y2FuYXJ5"
S3 = "artifacts_store = 's3'\nartifacts_s3_bucket = 'exports'\n"
AZURE = "artifacts_store = 'azure'\nazure.container = 'exports'\n"
NAME = "artifacts_azure_blob_account_name = 'account'\n"
ACCOUNT_KEY = f"artifacts_azure_blob_account_key = '{KEY}'\n"
SAS = "artifacts_azure_sas_token = '?sv=1&sig=a%2Fb'\n"
ENDPOINT = "azure.endpoint_url = 'https://account.blob.example'\n"
BESIDE = "artifacts_azure_connection_string is set as well and has its own"


def connected(string: str) -> str:
    return f"artifacts_azure_connection_string = '{string}'\n"


CONNECTION = connected(f"AccountName=account;AccountKey={KEY};")


def loaded(text: str, tmp_path: Path, *, enabled: bool = True) -> tuple[str, ...]:
    """The problems' lines, or the warnings where there is no problem."""
    path = tmp_path / "config.toml"
    path.write_text(f"enable_artifacts_upload = {str(enabled).lower()}\n{text}")
    path.chmod(0o600)
    try:
        return load(path, {}).warnings
    except ConfigError as error:
        return tuple(str(problem).removeprefix(f"{path}: ") for problem in error.problems)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "aws_access_key_id = 'i'",
            ["aws_access_key_id: it needs aws_secret_access_key beside it; set both"],
        ),
        ("aws_secret_access_key = 's'", ["aws_secret_access_key: it needs aws_access_key_id beside it; set"]),
        (
            "aws_access_key_id = 'i'\naws_secret_access_key = 's'\naws_use_ec2_role_credentials = true",
            ["aws_use_ec2_role_credentials: aws_access_key_id is set as well; remove one of the two"],
        ),
        ("s3.kms_key_id = 'k'", ['s3.kms_key_id: it needs encryption = "aws:kms"; set that, or remove']),
        (
            "s3.kms_key_id = 'k'\ns3.encryption = 'AES256'",
            ['s3.kms_key_id: it needs encryption = "aws:kms"; set that, or remove'],
        ),
        (
            "s3.object_lock_mode = 'governance'",
            ["s3.object_lock_mode: it needs s3.object_lock_days beside it"],
        ),
        ("s3.object_lock_days = 1", ["s3.object_lock_days: it needs s3.object_lock_mode beside it"]),
        (
            "s3.checksum = 'read_back'\ns3.storage_class = 'DEEP_ARCHIVE'",
            ["s3.checksum: what lies in DEEP_ARCHIVE cannot be read back; choose another of the two"],
        ),
        (
            "aws_access_key_id = 'i'\ns3.kms_key_id = 'k'\ns3.object_lock_days = 1",
            ["aws_access_key_id: ", "s3.kms_key_id: ", "s3.object_lock_days: "],
        ),
    ],
)
def test_what_contradicts_itself_about_a_bucket_is_told(text: str, told: list[str], tmp_path: Path) -> None:
    assert [line[: len(start)] for line, start in zip(loaded(S3 + text, tmp_path), told, strict=True)] == told


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
        S3,
        S3
        + "aws_access_key_id = 'i'\naws_secret_access_key = 's'\naws_s3_endpoint_url = 'http://127.0.0.1:9000'",
        S3 + "aws_use_ec2_role_credentials = true\naws_role_arn = 'r'\ns3.endpoint_url = 'http://[::1]:9000'",
        S3 + "s3.kms_key_id = 'k'\ns3.encryption = 'AWS:KMS'\ns3.checksum = 'read_back'",
        S3 + "s3.object_lock_mode = 'compliance'\ns3.object_lock_days = 1\ns3.storage_class = 'GLACIER_IR'",
        AZURE + NAME,
        AZURE + ENDPOINT,
        AZURE + NAME + ACCOUNT_KEY,
        AZURE + NAME + SAS + ENDPOINT,
        AZURE + ACCOUNT_KEY + "azure.endpoint_url = 'http://localhost:10000/account'",
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
        (S3 + "s3_skip_cert_verification = true", ["certificates of the S3 endpoint are not checked"]),
        (
            S3 + "s3_skip_cert_verification = true\ns3_connector_cert_location = '/x'",
            [
                "certificates of the S3 endpoint are not checked",
                "s3_connector_cert_location: not used, because",
            ],
        ),
        (
            S3 + "aws_s3_endpoint_url = 'http://s3.example:9000'",
            ["the S3 endpoint http://s3.example:9000 is http: bytes and signatures travel unencrypted"],
        ),
        (S3 + "s3.endpoint_url = 'HTTP://10.0.0.1'", ["the S3 endpoint HTTP://10.0.0.1 is http: bytes and"]),
        (S3 + "s3.storage_class = 'GLACIER'", ["s3.storage_class: what lies there cannot be read back"]),
        (
            AZURE + SAS + "azure.endpoint_url = 'http://account.blob.example'",
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
