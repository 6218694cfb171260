"""Who asks and where: addresses and credentials, as the SDK finds them. No server, but for a role."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from boto3.session import Session

from artifactd.artifact import Key
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.base import Denied, StoreError
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.s3 import session as module
from artifactd.stores.s3.bucket import Bucket
from artifactd.stores.s3.session import Opened, opened
from artifactd.stores.s3.sigv4 import Credentials
from tests.servers.s3 import S3Server
from tests.support.buckets import CLOCK, PART
from tests.support.harness import a_put, only, receipt
from tests.support.through import through

KEYS = S3Access("AKIAOURS", "our-secret")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's is found, and nobody is asked at 169.254.169.254."""
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CA_BUNDLE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def opening() -> Iterator[list[Opened]]:
    sessions = list[Opened]()
    yield sessions
    for one in sessions:
        one.client.close()


def heard(_: str) -> None:
    pytest.fail("nothing is to be sent")


# --- where ---


@pytest.mark.parametrize(
    ("endpoint", "url", "root"),
    [
        (
            S3Endpoint("bucket", "eu-west-1", addressing=AddressingStyle.VIRTUAL),
            "https://bucket.s3.eu-west-1.amazonaws.com",
            "",
        ),
        (S3Endpoint("bucket", "eu-west-1"), "https://bucket.s3.eu-west-1.amazonaws.com", ""),
        (
            S3Endpoint("bucket", "eu-west-1", addressing=AddressingStyle.PATH),
            "https://s3.eu-west-1.amazonaws.com",
            "/bucket",
        ),
        (S3Endpoint("b.with.dots", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com", "/b.with.dots"),
        (S3Endpoint("bucket", "cn-north-1"), "https://bucket.s3.cn-north-1.amazonaws.com.cn", ""),
        (S3Endpoint("bucket", "r", "http://127.0.0.1:9000"), "http://127.0.0.1:9000", "/bucket"),
        (S3Endpoint("bucket", "r", "https://s3.example.org"), "https://s3.example.org", "/bucket"),
        (
            S3Endpoint("bucket", "r", "https://s3.example.org:444", AddressingStyle.VIRTUAL),
            "https://bucket.s3.example.org:444",
            "",
        ),
        (
            S3Endpoint("k", "r", "https://s3.example.org", AddressingStyle.PATH),
            "https://s3.example.org",
            "/k",
        ),
    ],
)
def test_a_bucket_is_addressed_as_the_sdk_does(
    opening: list[Opened], endpoint: S3Endpoint, url: str, root: str
) -> None:
    opening.append(opened(KEYS, endpoint, heard))
    assert (opening[0].url, opening[0].root) == (url, root)
    assert opening[0].region == endpoint.region


def test_the_region_is_found_as_the_sdk_does(opening: list[Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    opening.append(opened(KEYS, S3Endpoint("bucket"), heard))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    opening.append(opened(KEYS, S3Endpoint("bucket"), heard))
    opening.append(opened(KEYS, S3Endpoint("bucket", "eu-west-1"), heard))
    assert [one.region for one in opening] == ["us-east-1", "eu-central-1", "eu-west-1"]


@pytest.mark.parametrize("url", ["not an address", "http://"])
def test_an_address_that_is_none_is_denied(url: str) -> None:
    with pytest.raises(Denied, match="as configured"):
        opened(KEYS, S3Endpoint("bucket", "r", url), heard)


# --- who ---


def test_keys_go_before_what_the_machine_offers(
    opening: list[Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATHEIRS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "their-token")
    opening.append(opened(KEYS, S3Endpoint("bucket", "r"), heard))
    assert opening[0].credentials() == Credentials("AKIAOURS", "our-secret", None)


def test_the_environment_is_asked_with_its_token(
    opening: list[Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATHEIRS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "their-token")
    opening.append(opened(S3Access(), S3Endpoint("bucket", "r"), heard))
    assert opening[0].credentials() == Credentials("AKIATHEIRS", "their-secret", "their-token")


def test_a_profile_is_found_in_the_shared_files(
    opening: list[Opened], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s1\n"
        "[exports]\naws_access_key_id = AKIAEXPORTS\naws_secret_access_key = s2\n"
    )
    opening.append(opened(S3Access(), S3Endpoint("bucket", "r"), heard))
    monkeypatch.setenv("AWS_PROFILE", "exports")
    opening.append(opened(S3Access(), S3Endpoint("bucket", "r"), heard))
    assert [one.credentials().access_key for one in opening] == ["AKIADEFAULT", "AKIAEXPORTS"]


def test_no_credentials_are_denied_with_what_to_set() -> None:
    with pytest.raises(Denied, match="aws_access_key_id"):
        opened(S3Access(), S3Endpoint("bucket", "r"), heard)


def test_a_profile_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Denied, match="nobody"):
        opened(S3Access(), S3Endpoint("bucket", "r"), heard)


def test_the_instances_role_is_all_that_counts_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATHEIRS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-secret")
    with pytest.raises(Denied, match="no credentials"):
        opened(S3Access(instance_role=True), S3Endpoint("bucket", "r"), heard)
    session = Session()
    module._narrow(session, S3Access(instance_role=True))  # noqa: SLF001 - what boto3 is left with shows nowhere else
    chain = session._session.get_component("credential_provider")  # noqa: SLF001 - as above
    assert [one.METHOD for one in chain.providers] == ["iam-role"]


def test_a_missing_token_of_a_web_identity_is_the_stores_trouble_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "missing-token"
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    endpoint = S3Endpoint("bucket", "us-east-1", "http://127.0.0.1:1", AddressingStyle.PATH)
    bucket = Bucket(endpoint, S3Access(), S3Table(), CLOCK)
    store = ObjectStore(
        "s3",
        bucket,
        prefix="",
        part_size=PART,
        connections=2,
        abandon_after=1.0,
        upload_log=InMemory(),
        clock=CLOCK,
    )
    with closing(store):
        result = only(store.put([a_put("k", b"new")]))
        assert isinstance(result, Denied)
        assert f"the credentials cannot be had: {token}: No such file" in str(result)
        with pytest.raises(Denied, match="missing-token"):
            store.stat(Key("k"))


# --- a role ---

ROLE = "arn:aws:iam::123456789012:role/exports"


def test_a_role_is_assumed_on_both_ways(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with through(moto) as here:
        access = S3Access(moto.access_key, moto.secret_key, role_arn=ROLE)
        bucket = Bucket(
            S3Endpoint(here.place[0], "us-east-1", here.proxy.url, AddressingStyle.PATH),
            access,
            S3Table(),
            CLOCK,
        )
        store = here.store(bucket)
        put = a_put("k", b"new")
        receipt(store.put([put]))
        store.digest(put.key)
        tokens = {seen.headers["x-amz-security-token"] for seen in here.proxy.seen}
        signers = {seen.headers["authorization"].partition("Credential=")[2][:4] for seen in here.proxy.seen}
    assert len(tokens) == 1
    assert signers == {"ASIA"}, "temporary keys"


def test_a_role_that_cannot_be_assumed_is_denied_or_down_and_nothing_is_sent(
    opening: list[Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    access = S3Access("AKIAOURS", "canary-secret", role_arn=ROLE)
    opening.append(opened(access, S3Endpoint("bucket", "r"), heard))
    with pytest.raises(StoreError) as raised:
        opening[0].credentials()
    assert "canary" not in str(raised.value)
