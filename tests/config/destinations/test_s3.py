"""A bucket's description: what reaches its store, what contradicts itself, what is seldom meant."""

from collections.abc import Callable
from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.destinations import s3
from artifactd.config.destinations.s3 import (
    S3,
    AddressingStyle,
    Checksum,
    Encryption,
    LockMode,
    S3Access,
    S3Endpoint,
    S3Table,
)
from artifactd.config.effective import Config
from tests.support.parsing import loaded, taken

STORE = "artifacts_store = 's3'\nartifacts_s3_bucket = 'exports'\n"


def config(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.toml").write_text(text)
    return load(tmp_path / "config.toml", {})


def row(config: Config, key: str) -> str:
    return next(row.value for row in config.effective() if row.key == key)


def test_a_bucket_needs_little(tmp_path: Path) -> None:
    (found,) = config(tmp_path, STORE).destinations
    assert found == S3(S3Endpoint("exports"), S3Access(), S3Table())


def test_every_key_of_a_bucket_reaches_its_store(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """
        artifacts_store = "S3"
        artifacts_s3_bucket = "exports"
        aws_access_key_id = "id"
        aws_secret_access_key = "secret"
        aws_role_arn = "arn:aws:iam::123456789012:role/exports"
        s3_connector_cert_location = "ca.pem"
        [s3]
        prefix = "dai/exports"
        region = "eu-central-1"
        endpoint_url = "https://s3.example.org:9000"
        addressing_style = "path"
        storage_class = "STANDARD_IA"
        encryption = "aws:kms"
        kms_key_id = "key"
        object_lock_mode = "COMPLIANCE"
        object_lock_days = 2555
        legal_hold = true
        tags = { team = "risk", retention = "7y" }
        expected_bucket_owner = "123456789012"
        checksum = "sha256"
        part_size = "64 MiB"
        connections = 4
        bandwidth = "50 MB"
        connect_timeout_seconds = 3
        read_timeout_seconds = 30
        abandon_after_days = 1
        """,
    )
    expected = S3(
        S3Endpoint(
            "exports",
            "eu-central-1",
            "https://s3.example.org:9000",
            AddressingStyle.PATH,
            authorities=tmp_path / "ca.pem",
            connect_seconds=3.0,
            read_seconds=30.0,
            connections=4,
        ),
        S3Access("id", "secret", "arn:aws:iam::123456789012:role/exports"),
        S3Table(
            prefix="dai/exports",
            region="eu-central-1",
            endpoint_url="https://s3.example.org:9000",
            addressing_style=AddressingStyle.PATH,
            storage_class="STANDARD_IA",
            encryption=Encryption.KMS,
            kms_key_id="key",
            object_lock_mode=LockMode.COMPLIANCE,
            object_lock_days=2555,
            legal_hold=True,
            tags={"retention": "7y", "team": "risk"},
            expected_bucket_owner="123456789012",
            checksum=Checksum.SHA256,
            part_size=64 * 2**20,
            connections=4,
            bandwidth=50_000_000,
            connect_timeout_seconds=3.0,
            read_timeout_seconds=30.0,
            abandon_after_days=1,
        ),
    )
    assert found.destinations == (expected,)
    assert row(found, "s3.tags") == '{ retention = "7y", team = "risk" }'
    assert row(found, "s3.encryption") == '"aws:kms"'


@pytest.mark.parametrize(
    ("ours", "region", "endpoint_url"),
    [
        ("", "theirs", "https://theirs.example"),
        ('[s3]\nregion = "ours"\nendpoint_url = "https://ours.example"', "ours", "https://ours.example"),
    ],
)
def test_our_own_region_and_address_of_s3_go_before_driverless_ai_s(
    ours: str, region: str, endpoint_url: str, tmp_path: Path
) -> None:
    (found,) = config(
        tmp_path,
        f"""
        artifacts_store = "s3"
        artifacts_s3_bucket = "exports"
        aws_default_region = "theirs"
        aws_s3_endpoint_url = "https://theirs.example"
        {ours}
        """,
    ).destinations
    assert isinstance(found, S3)
    assert (found.endpoint.region, found.endpoint.url) == (region, endpoint_url)


@pytest.mark.parametrize(
    ("parse", "value", "right"),
    [
        *(
            (s3.bucket_name, name, True)
            for name in ("", "abc", "a-b.c", "0.1", "1.2.3", "12345", "a.-b", "x" * 63, "exports-s3alias")
        ),
        *(
            (s3.bucket_name, name, False)
            for name in (
                "ab",
                "x" * 64,
                "Abc",
                "a_b",
                "-ab",
                "ab.",
                "a..b",
                "10.0.0.1",
                "s3://abc",
                "abc/d",
                3,
            )
        ),
        *((s3.region, name, True) for name in ("", "eu-central-1", "us-gov-west-1", "garage", "Ort")),
        *((s3.region, name, False) for name in ("eu central", "eu-", "x.example/", "x" * 64)),
        *((s3.bucket_owner, owner, True) for owner in ("", "012345678901")),
        *((s3.bucket_owner, owner, False) for owner in ("12345", 123456789012, "1234-5678-9012")),
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
    assert [
        line[: len(start)] for line, start in zip(loaded(STORE + text, tmp_path), told, strict=True)
    ] == told


@pytest.mark.parametrize(
    "text",
    [
        STORE,
        STORE
        + "aws_access_key_id = 'i'\naws_secret_access_key = 's'\naws_s3_endpoint_url = 'http://127.0.0.1:9000'",
        STORE
        + "aws_use_ec2_role_credentials = true\naws_role_arn = 'r'\ns3.endpoint_url = 'http://[::1]:9000'",
        STORE + "s3.kms_key_id = 'k'\ns3.encryption = 'AWS:KMS'\ns3.checksum = 'read_back'",
        STORE
        + "s3.object_lock_mode = 'compliance'\ns3.object_lock_days = 1\ns3.storage_class = 'GLACIER_IR'",
    ],
)
def test_what_agrees_is_neither_a_problem_nor_a_warning(text: str, tmp_path: Path) -> None:
    assert loaded(text, tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (STORE + "s3_skip_cert_verification = true", ["certificates of the S3 endpoint are not checked"]),
        (
            STORE + "s3_skip_cert_verification = true\ns3_connector_cert_location = '/x'",
            [
                "certificates of the S3 endpoint are not checked",
                "s3_connector_cert_location: not used, because",
            ],
        ),
        (
            STORE + "aws_s3_endpoint_url = 'http://s3.example:9000'",
            ["the S3 endpoint http://s3.example:9000 is http: bytes and signatures travel unencrypted"],
        ),
        (
            STORE + "s3.endpoint_url = 'HTTP://10.0.0.1'",
            ["the S3 endpoint HTTP://10.0.0.1 is http: bytes and"],
        ),
        (STORE + "s3.storage_class = 'GLACIER'", ["s3.storage_class: what lies there cannot be read back"]),
    ],
)
def test_what_is_seldom_meant_is_a_warning_while_it_is_in_use(
    text: str, told: list[str], tmp_path: Path
) -> None:
    warnings = loaded(text, tmp_path)
    assert [start in warning for warning, start in zip(warnings, told, strict=True)] == [True] * len(told)
    assert loaded(text, tmp_path, enabled=False) == ()
