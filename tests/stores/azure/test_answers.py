"""Each answer of Azure Storage, and what it means."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.stores.azure.answers import Request, Response, meaning, of_answer
from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unacceptable, Unavailable
from artifactd.stores.http.answers import PAUSE_SECONDS
from artifactd.stores.objects.server import Forgotten, Taken

NOW: Final = 1_767_323_045.0  # Fri, 02 Jan 2026 03:04:05 GMT

CODES = [
    (403, "AccountIsDisabled", Denied, "disabled"),
    (400, "AccountRequiresHttps", Denied, "endpoint_url"),
    (403, "AuthenticationFailed", Denied, "key or SAS token"),
    (403, "AuthorizationFailure", Denied, "firewall"),
    (403, "AuthorizationPermissionMismatch", Denied, "docs/azure.md"),
    (403, "AuthorizationProtocolMismatch", Denied, "https"),
    (403, "AuthorizationResourceTypeMismatch", Denied, "srt=o"),
    (403, "AuthorizationServiceMismatch", Denied, "ss=b"),
    (403, "AuthorizationSourceIPMismatch", Denied, "addresses"),
    (400, "BlobAccessTierNotSupportedForAccountType", Denied, "access_tier"),
    (409, "ContainerBeingDeleted", Denied, "container"),
    (409, "ContainerDisabled", Denied, "disabled"),
    (404, "ContainerNotFound", Denied, "mend \\[azure\\] container"),
    (409, "FeatureVersionMismatch", Denied, "policy"),
    (403, "InsufficientAccountPermissions", Denied, "state"),
    (400, "InvalidAuthenticationInfo", Denied, "mend"),
    (400, "InvalidBlobTier", Denied, "access_tier"),
    (403, "KeyBasedAuthenticationNotPermitted", Denied, "Entra ID"),
    (401, "NoAuthenticationInformation", Denied, "set them"),
    (409, "PublicAccessNotPermitted", Denied, "set them"),
    (404, "ResourceNotFound", Denied, "no such container"),
    (403, "SomethingNew", Denied, "docs/azure.md"),
    (401, "SomethingNew", Denied, "docs/azure.md"),
    (409, "BlobArchived", Refusal, "rehydrate"),
    (409, "BlobImmutableDueToLegalHold", Refusal, "legal hold"),
    (409, "BlobImmutableDueToPolicy", Refusal, "immutability"),
    (409, "BlobOperationNotSupported", Refusal, "Data Lake"),
    (409, "BlobTierInadequateForContentLength", Refusal, "too large"),
    (409, "BlockCountExceedsLimit", Refusal, "week"),
    (400, "InvalidBlobOrBlock", Refusal, "week"),
    (409, "InvalidBlobType", Refusal, "no block blob"),
    (400, "InvalidHeaderValue", Refusal, "access_tier"),
    (403, "UnauthorizedBlobOverwrite", Refusal, "to replace"),
    (400, "SomethingNew", Refusal, "SomethingNew"),
    (400, "BlockListTooLong", Unacceptable, "key"),
    (400, "InvalidResourceName", Unacceptable, "key"),
    (400, "InvalidUri", Unacceptable, "key"),
    (400, "MetadataTooLarge", Unacceptable, "key"),
    (400, "OutOfRangeInput", Unacceptable, "key"),
    (413, "RequestBodyTooLarge", Unacceptable, r"lower block_size in \[azure\]"),
    (413, "RequestEntityTooLarge", Unacceptable, r"lower block_size in \[azure\]"),
    (400, "Md5Mismatch", Corrupt, "key"),
    (400, "InvalidMd5", Corrupt, "key"),
    (409, "BlobAlreadyExists", Taken, "key"),
    (404, "BlobNotFound", Taken, "key"),
    (412, "ConditionNotMet", Taken, "key"),
    (400, "InvalidBlockList", Forgotten, "key"),
    (412, "LeaseIdMissing", StoreError, "key"),
    (409, "PendingCopyOperation", StoreError, "key"),
    (503, "ServerBusy", Unavailable, "key"),
    (500, "OperationTimedOut", Unavailable, "key"),
    (500, "InternalError", Unavailable, "key"),
    (429, "TooManyRequests", Unavailable, "key"),
    (409, "AccountBeingCreated", Unavailable, "key"),
    (599, "SomethingNew", Unavailable, "key"),
]

STATUSES = [
    (307, Denied),
    (400, Refusal),
    (401, Denied),
    (403, Denied),
    (404, Taken),
    (407, Denied),
    (409, Taken),
    (412, Taken),
    (413, Unacceptable),
    (429, Unavailable),
    (500, Unavailable),
    (502, Unavailable),
    (503, Unavailable),
    (504, Unavailable),
    (200, Refusal),
]


@pytest.mark.parametrize(("status", "code", "kind", "told"), CODES)
def test_a_code_says_what_kind_of_error_it_is_and_what_to_do(
    status: int, code: str, kind: type[StoreError], told: str
) -> None:
    error = meaning(Response(status, code, "Words."), Request("the key", "PutBlob", now=NOW))
    assert type(error) is kind
    with pytest.raises(StoreError, match=told):
        raise error
    assert str(error).startswith(f"the key: {code}")


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_a_status_without_a_code_is_enough(status: int, kind: type[StoreError]) -> None:
    assert type(meaning(Response(status), Request("key", "PutBlob"))) is kind


@pytest.mark.parametrize("code", ["BlobNotFound", "InvalidBlockId", "InvalidBlobOrBlock", "InvalidBlockList"])
def test_blocks_that_cannot_be_put_together_are_forgotten(code: str) -> None:
    assert type(meaning(Response(400, code), Request("key", "PutBlockList"))) is Forgotten


@pytest.mark.parametrize("code", ["", "InvalidInput", "InvalidOperation", "InvalidXmlDocument"])
def test_a_list_of_blocks_that_is_none_was_damaged_on_its_way(code: str) -> None:
    assert type(meaning(Response(400, code), Request("key", "PutBlockList"))) is Corrupt


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        ("PutBlob", "create (c), or to write (w) where a blob lies already"),
        ("PutBlock", "write (w)"),
        ("HeadBlob", "read (r)"),
    ],
)
def test_the_right_that_is_missing_is_named(operation: str, right: str) -> None:
    error = meaning(Response(403, "AuthorizationPermissionMismatch"), Request("key", operation))
    assert isinstance(error, Denied)
    assert f"lack the right to {right}; docs/azure.md" in str(error)


def test_a_signature_that_may_only_create_finds_the_key_taken() -> None:
    response = Response(403, "UnauthorizedBlobOverwrite")
    assert type(meaning(response, Request("key", "PutBlob", creating=True))) is Taken


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({}, PAUSE_SECONDS), ({"retry-after": "7"}, 7.0), ({"retry-after": "0"}, PAUSE_SECONDS)]
    + [({"retry-after": wish}, PAUSE_SECONDS) for wish in ("Wed, 21 Oct 2026 07:28:00 GMT", "-1", "9" * 400)],
)
def test_a_busy_server_names_its_pause(headers: dict[str, str], pause: float) -> None:
    error = meaning(Response(503, "ServerBusy", headers=headers), Request("key", "PutBlob"))
    assert isinstance(error, Unavailable)
    assert error.retry_after == pause


# --- who we are is not believed ---

UNBELIEVED = {
    "a token that has expired": (
        Response(403, "AuthenticationFailed"),
        NOW - 1,
        "SAS token has expired: renew it",
    ),
    "a token that has not": (Response(403, "AuthenticationFailed"), NOW + 1, "does not believe"),
    "a clock that is ahead": (
        Response(403, "AuthenticationFailed", headers={"date": "Fri, 02 Jan 2026 02:04:05 GMT"}),
        None,
        "this host's clock is 60 minutes ahead of the server's",
    ),
    "a clock that is behind": (
        Response(403, "AuthenticationFailed", headers={"date": "Fri, 02 Jan 2026 03:34:05 GMT"}),
        None,
        "this host's clock is 30 minutes behind the server's",
    ),
    "a clock that is right": (
        Response(403, "AuthenticationFailed", headers={"date": "Fri, 02 Jan 2026 03:05:05 GMT"}),
        None,
        "does not believe",
    ),
    "a date that is none": (
        Response(403, "AuthenticationFailed", headers={"date": "today"}),
        None,
        "not believe",
    ),
    "a date that is told to be old": (
        Response(403, "AuthenticationFailed", detail="Request date header too old: 'Fri, 02 Jan'"),
        None,
        "this host's clock differs",
    ),
    "a token out of its time": (
        Response(
            403, "AuthenticationFailed", detail="Signature not valid in the specified time frame: Start"
        ),
        None,
        "does not hold at this time",
    ),
}


@pytest.mark.parametrize(("response", "ends", "sentence"), UNBELIEVED.values(), ids=UNBELIEVED.keys())
def test_why_credentials_are_not_believed_is_told(
    response: Response, ends: float | None, sentence: str
) -> None:
    error = meaning(response, Request("key", "PutBlob", now=NOW, sas_ends=ends))
    assert isinstance(error, Denied)
    assert sentence in str(error)


# --- words ---


def test_an_answer_is_read_from_its_headers_first_and_its_xml() -> None:
    body = (
        b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code><Message>No.\nRequestId:1</Message>"
        b"<AuthenticationErrorDetail>Why.</AuthenticationErrorDetail></Error>"
    )
    response = of_answer(403, {}, body)
    assert (response.code, response.said, response.detail) == (
        "AuthenticationFailed",
        "No.\nRequestId:1",
        "Why.",
    )
    assert of_answer(403, {"x-ms-error-code": "Other"}, body).code == "Other"
    assert of_answer(500, {}, b"<html>nothing") == Response(500)


def test_only_the_first_line_of_what_a_server_says_is_told() -> None:
    response = Response(400, "InvalidUri", "The first.\nRequestId:1\nTime:2")
    assert str(meaning(response, Request("key", "PutBlob"))) == "key: InvalidUri (The first.)"


@pytest.mark.parametrize("said", ["http://a/?sig=secret", "http%3A%2F%2Fa%2F%3Fsig%3Dsecret", "SIG=secret"])
def test_words_that_repeat_a_signature_are_not_told(said: str) -> None:
    assert "secret" not in str(meaning(Response(400, "InvalidUri", said), Request("key", "PutBlob")))


@pytest.mark.parametrize("code", ["AuthenticationFailed", "AuthorizationFailure"])
def test_what_a_server_says_of_signatures_is_not_told(code: str) -> None:
    response = Response(403, code, "The MAC signature 'secret'", "Server used secret")
    assert "secret" not in str(meaning(response, Request("key", "PutBlob")))


def test_words_are_made_printable_and_short() -> None:
    error = str(meaning(Response(400, "In\x1bvalid", "\x1b[2J" + "x" * 1000), Request("key", "PutBlob")))
    assert error.isprintable()
    assert len(error) < 400


_ANY = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["AuthenticationFailed", "ServerBusy", "sig=x"]
)
_DATES = st.tuples(st.integers(), st.integers(-99, 99999)).map(
    lambda parts: f"Fri, 02 Jan {parts[0]} 03:04:05 {parts[1]:+05}"
)


@given(
    status=st.integers(),
    code=_ANY,
    said=_ANY,
    detail=_ANY,
    headers=st.dictionaries(st.sampled_from(["retry-after", "date", "etag"]), _ANY | _DATES),
    operation=st.sampled_from(["PutBlob", "PutBlockList"]),
)
def test_any_answer_means_an_error(  # noqa: PLR0917 - hypothesis names them
    status: int, code: str, said: str, detail: str, headers: dict[str, str], operation: str
) -> None:
    met = meaning(Response(status, code, said, detail, headers), Request("k", operation, now=NOW))
    assert isinstance(met, StoreError)
    assert str(met).encode()  # of no lone surrogates


@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda said: b"<Code>" + said + b"</Code><Message>")
)
def test_any_body_is_a_response(body: bytes) -> None:
    assert isinstance(meaning(of_answer(400, {}, body), Request("k", "PutBlob")), StoreError)


def test_a_redirect_says_where_to() -> None:
    response = Response(307, headers={"location": "http://portal.example/login"})
    error = meaning(response, Request("k", "PutBlob"))
    assert isinstance(error, Denied)
    assert "MovedElsewhere to http://portal.example: " in str(error)
