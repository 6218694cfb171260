"""Our signatures are botocore's."""

import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.s3.sigv4 import Credentials, path, query, signed
from tests.stores.conformance import KEYS

PAYLOAD: Final = "0" * 64
HOST: Final = "bucket.s3.eu-central-1.amazonaws.com"

_VISIBLE = "".join(chr(n) for n in range(0x21, 0x7F))
_NAMES = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8).map(
    lambda name: f"x-amz-meta-{name}"
)
_VALUES = st.lists(st.text(_VISIBLE, min_size=1, max_size=9), max_size=4).flatmap(
    lambda words: st.sampled_from([" ", "  ", "     "]).map(lambda gap: gap.join(words))
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


class _At(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's own, at a time of the test's; it asks the system for it."""

    at: datetime

    def _set_necessary_date_headers(self, request: AWSRequest) -> None:
        del request.headers["X-Amz-Date"]
        request.headers["X-Amz-Date"] = request.context["timestamp"]

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self.at.strftime("%Y%m%dT%H%M%SZ")
        request.context["payload_signing_enabled"] = True
        self._modify_request_before_signing(request)
        self._set_necessary_date_headers(request)
        signature = self.signature(self.string_to_sign(request, self.canonical_request(request)), request)
        self._inject_signature_to_request(request, signature)

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 - it hashes what we have hashed already
        return PAYLOAD


def botocores(
    url: str, headers: Mapping[str, str], at: datetime, credentials: Credentials, region: str
) -> dict[str, str]:
    request = AWSRequest(method="PUT", url=url, headers={**headers, "host": HOST})
    theirs = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    auth = _At(theirs, "s3", region)
    auth.at = at
    auth.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def assert_equal(  # noqa: PLR0917 - the parts of a request, as in `signed`
    key: str,
    queried: Mapping[str, str],
    headers: Mapping[str, str],
    at: datetime,
    credentials: Credentials,
    region: str,
) -> None:
    target, told = path(key), query(queried)
    ours = signed("PUT", target, told, {"host": HOST, **headers}, PAYLOAD, at, credentials, region)
    theirs = botocores(f"https://{HOST}{target}?{told}", headers, at, credentials, region)
    assert ours["authorization"] == theirs["authorization"]
    assert ours == theirs


NOW: Final = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
SOMEBODY: Final = Credentials("AKIAEXAMPLE", "s3cr3t/+=")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_every_key_is_signed_as_by_botocore(key: str) -> None:
    assert_equal(key, {}, {}, NOW, SOMEBODY, "eu-central-1")


@given(
    key=_TEXT,
    queried=st.dictionaries(_TEXT, _TEXT, max_size=3),
    headers=st.dictionaries(_NAMES, _VALUES, max_size=3),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds it
    secret=st.text(_VISIBLE, min_size=1),
    token=st.none() | st.text(_VISIBLE, min_size=1),
    region=st.sampled_from(["us-east-1", "eu-central-1", "somewhere"]),
)
def test_any_request_is_signed_as_by_botocore(  # noqa: PLR0917 - as above
    key: str,
    queried: dict[str, str],
    headers: dict[str, str],
    at: datetime,
    secret: str,
    token: str | None,
    region: str,
) -> None:
    assert_equal(key, queried, headers, at, Credentials("AKIAEXAMPLE", secret, token), region)


def test_the_key_of_another_day_or_secret_is_another_one() -> None:
    def authorization(at: datetime, who: Credentials) -> str:
        return signed("PUT", "/k", "", {"host": HOST}, PAYLOAD, at, who, "us-east-1")["authorization"]

    tomorrow = NOW.replace(day=2)
    renewed = Credentials(SOMEBODY.access_key, "renewed")
    assert (
        len({authorization(NOW, SOMEBODY), authorization(tomorrow, SOMEBODY), authorization(NOW, renewed)})
        == 3
    )


def test_a_path_keeps_slashes_and_quotes_the_rest_once() -> None:
    assert path("bucket", "a b/c%20+é~.-_") == "/bucket/a%20b/c%2520%2B%C3%A9~.-_"
    assert path("", "k") == "/k"


def test_a_query_is_sorted_and_quoted_whole() -> None:
    assert query({"uploadId": "a/b=c+", "partNumber": "1"}) == "partNumber=1&uploadId=a%2Fb%3Dc%2B"


def test_credentials_show_nothing_of_themselves() -> None:
    shown = repr(Credentials("AKIACANARY", "canary-secret", "canary-token"))
    assert "canary" not in shown.lower()
