"""What the SDK raises, in the store's words, without the address that opens the container."""

from collections.abc import Callable

import pytest
from azure.core import exceptions as core

from artifactd.stores.azure.answers import Request
from artifactd.stores.azure.sdk_errors import answered
from artifactd.stores.base import Denied, StoreError, Unavailable

URL = "https://a.blob.core.windows.net/c/k?sv=1&sig=secret"
REQUEST = Request("the key", "HeadBlob")

FAILURES: dict[str, tuple[Exception, type[StoreError], str]] = {
    "no connection": (core.ServiceRequestError(f"Max retries with {URL}"), Unavailable, "cannot be reached"),
    "no answer": (core.ServiceResponseError(f"{URL}: closed"), Unavailable, "did not answer"),
    "half an answer": (core.IncompleteReadError(f"{URL}: 3 of 7"), Unavailable, "did not answer"),
    "no sense": (core.DecodeError(f"{URL}: no XML"), Unavailable, "did not answer"),
    "no list": (core.DeserializationError("Unable to deserialize"), Unavailable, "none of Azure's"),
    "a certificate": (
        core.ServiceRequestError(
            f"{URL} [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch (_ssl.c:1)"
        ),
        Denied,
        "certificate verify failed: Hostname mismatch",
    ),
    "no token": (core.ClientAuthenticationError("No\n\tidentity."), Denied, "no token: No identity."),
    "no such setting": (ValueError(URL), Denied, r"\[azure\]"),
}


def raising(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


@pytest.mark.parametrize(("error", "kind", "told"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_says_what_kind_it_is_and_shows_no_address(
    error: Exception, kind: type[StoreError], told: str
) -> None:
    with pytest.raises(StoreError, match=told) as failure:
        answered(REQUEST, raising(error))
    assert type(failure.value) is kind
    assert str(failure.value).startswith("the key: ")
    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is failure.value.__context__ is None


def test_the_stores_own_words_pass_unchanged() -> None:
    mine = Denied("mine")
    with pytest.raises(Denied) as failure:
        answered(REQUEST, raising(mine))
    assert failure.value is mine


def test_what_is_answered_is_given_back() -> None:
    assert answered(REQUEST, lambda: 7) == 7
