"""What S3's answers mean, as a table, and what a person is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unacceptable, Unavailable
from artifactd.stores.http.answers import PAUSE_SECONDS
from artifactd.stores.objects.server import Forgotten, Taken
from artifactd.stores.s3.answers import meaning, of_xml

TABLE: list[tuple[int, str, type[StoreError], str]] = [
    (403, "AccessDenied", Denied, "docs/s3.md"),
    (403, "", Denied, "docs/s3.md"),
    (403, "403", Denied, "docs/s3.md"),
    (401, "", Denied, "docs/s3.md"),
    (404, "NoSuchBucket", Denied, "artifacts_s3_bucket"),
    (400, "InvalidBucketName", Denied, "artifacts_s3_bucket"),
    (301, "PermanentRedirect", Denied, "set region"),
    *((status, "", Denied, "aws_s3_endpoint_url") for status in (301, 302, 303, 307, 308)),
    (301, "301", Denied, "set region"),
    (307, "TemporaryRedirect", Denied, "set region"),
    (400, "AuthorizationHeaderMalformed", Denied, "set region"),
    (400, "IllegalLocationConstraintException", Denied, "set region"),
    (403, "RequestTimeTooSkewed", Denied, "clock"),
    (400, "ExpiredToken", Denied, "renew"),
    (403, "ExpiredTokenException", Denied, "renew"),
    (400, "InvalidToken", Denied, "renew"),
    (400, "TokenRefreshRequired", Denied, "renew"),
    (400, "400", Denied, "expired"),
    (403, "InvalidAccessKeyId", Denied, "aws_access_key_id"),
    (403, "InvalidClientTokenId", Denied, "aws_access_key_id"),
    (403, "SignatureDoesNotMatch", Denied, "aws_secret_access_key"),
    (400, "KMS.DisabledException", Denied, "kms_key_id"),
    (400, "KMS.NotFoundException", Denied, "kms_key_id"),
    (404, "ObjectLockConfigurationNotFoundError", Denied, "object_lock_mode"),
    (405, "MethodNotAllowed", Denied, "aws_s3_endpoint_url"),
    (407, "", Denied, "proxy"),
    (400, "KeyTooLongError", Unacceptable, "KeyTooLongError"),
    (400, "MetadataTooLarge", Unacceptable, "MetadataTooLarge"),
    (400, "EntityTooLarge", Unacceptable, "EntityTooLarge"),
    (413, "", Unacceptable, "lower part_size in [s3]"),
    (400, "BadDigest", Corrupt, "BadDigest"),
    (400, "XAmzContentSHA256Mismatch", Corrupt, "Mismatch"),
    (400, "IncompleteBody", Corrupt, "IncompleteBody"),
    (412, "PreconditionFailed", Taken, ""),
    (412, "", Taken, ""),
    (409, "ConditionalRequestConflict", Taken, ""),
    (404, "NoSuchKey", Taken, ""),
    (404, "404", Taken, ""),
    (404, "NoSuchUpload", Forgotten, ""),
    (400, "InvalidPart", Forgotten, ""),
    (503, "SlowDown", Unavailable, "SlowDown"),
    (503, "", Unavailable, ""),
    (429, "", Unavailable, "TooManyRequests"),
    (500, "InternalError", Unavailable, ""),
    (502, "", Unavailable, ""),
    (504, "", Unavailable, ""),
    (520, "", Unavailable, "HTTP 520"),
    (400, "RequestTimeout", Unavailable, ""),
    (507, "", Unavailable, "InsufficientStorage"),
    (507, "XMinioStorageFull", Unavailable, "XMinioStorageFull"),
    (400, "InvalidArgument", Refusal, "InvalidArgument"),
    (400, "", Refusal, "HTTP 400"),
    (418, "", Refusal, "HTTP 418"),
]


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"), TABLE, ids=[f"{row[0]} {row[1] or '-'}" for row in TABLE]
)
def test_an_answer_has_one_meaning_and_says_what_to_do(
    status: int, code: str, kind: type[StoreError], told: str
) -> None:
    error = meaning(status, code, "", {}, "u/e/mojo.zip")
    assert type(error) is kind
    assert str(error).startswith("u/e/mojo.zip: ")
    assert told in str(error)


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("PutObject", "s3:PutObject"),
        ("UploadPart", "s3:PutObject"),
        ("HeadObject", "s3:GetObject (or s3:ListBucket"),
        ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
        ("ListObjectsV2", "s3:ListBucket"),
        ("PutObjectTagging", "a right"),
    ],
)
def test_the_permission_that_is_missing_is_named(operation: str, permission: str) -> None:
    error = meaning(403, "AccessDenied", "", {}, "k", operation)
    assert f"the account lacks {permission}" in str(error)


@pytest.mark.parametrize(
    ("wish", "pause"),
    [
        (None, PAUSE_SECONDS),
        ("", PAUSE_SECONDS),
        ("0", PAUSE_SECONDS),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", PAUSE_SECONDS),
        ("-5", PAUSE_SECONDS),
        ("1e9", PAUSE_SECONDS),
        ("inf", PAUSE_SECONDS),
        ("99999999999", PAUSE_SECONDS),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_says_how_long_or_is_given_a_moment(
    status: int, wish: str | None, pause: float
) -> None:
    error = meaning(status, "", "", {} if wish is None else {"retry-after": wish}, "k")
    assert isinstance(error, Unavailable)
    assert error.retry_after == pause


def test_a_server_that_is_full_is_not_asked_again_at_once() -> None:
    error = meaning(507, "InsufficientStorage", "", {}, "k")
    assert isinstance(error, Unavailable)
    assert error.retry_after == 0


def test_the_region_of_the_bucket_is_told() -> None:
    error = meaning(301, "PermanentRedirect", "", {"x-amz-bucket-region": "eu-west-1"}, "k")
    assert "(it is in eu-west-1)" in str(error)


def test_a_servers_own_words_are_shown_short_and_harmless() -> None:
    error = str(meaning(400, "InvalidArgument", "\x1b[31m\r\n" + "x" * 1000, {}, "k"))
    assert error.isprintable()
    assert len(error) < 500


def test_code_and_message_are_found_in_xml() -> None:
    xml = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>That&#39;s &lt;1</Message></Error>'
    assert of_xml(xml) == ("SlowDown", "That's <1")
    assert of_xml(b"<html>502") == ("", "")
    assert of_xml(b"\xff\xfe") == ("", "")
    assert of_xml(b"") == ("", "")


_ANY = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["AccessDenied", "SlowDown", "KMS.x", "²", "400"]
)


@given(
    status=st.integers(),
    code=_ANY,
    sentence=_ANY,
    headers=st.dictionaries(st.sampled_from(["retry-after", "x-amz-bucket-region", "etag"]), _ANY),
)
def test_any_answer_means_an_error(status: int, code: str, sentence: str, headers: dict[str, str]) -> None:
    met = meaning(status, code, sentence, headers, "k")
    assert isinstance(met, StoreError)
    assert str(met).encode()  # of no lone surrogates


@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda said: b"<Code>" + said + b"</Code><Message>")
)
def test_any_body_has_a_code_or_none(body: bytes) -> None:
    code, sentence = of_xml(body)
    assert isinstance(meaning(400, code, sentence, {}, "k"), StoreError)


def test_a_redirect_says_where_to_and_shows_nothing_that_the_address_hides() -> None:
    there = "https://user:secret@portal.example:8443/login?token=secret"
    error = meaning(307, "", "", {"location": there}, "k", "PutObject")
    assert isinstance(error, Denied)
    assert "Redirect to https://portal.example:8443: " in str(error)
    assert "let this host past it" in str(error)
    assert "secret" not in str(error)
