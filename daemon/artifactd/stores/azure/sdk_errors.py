"""What the SDK raises, in the store's words. Its own are not kept: they show SAS tokens."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from artifactd.stores.azure.answers import FOREIGN, Request, Response, meaning
from artifactd.stores.base import Denied, StoreError, Unavailable
from artifactd.stores.http.answers import words
from artifactd.stores.mends import Keys, mended

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

T = TypeVar("T")

KEYS: Final = Keys("[azure] endpoint_url", "[azure] cert_location")
_LONGEST = 300  # characters of an identity's own words


def answered(request: Request, act: Callable[[], T]) -> T:
    """What `act` returns, which asks Azure by the SDK.

    Raises:
        StoreError: what the answer means, or that none came. It has neither cause nor context.
    """
    from azure.core.exceptions import (  # noqa: PLC0415 - only who has asked needs it
        AzureError,
        DeserializationError,
    )

    try:
        return act()
    except AzureError as error:
        failure = _meant(error, request)
    except DeserializationError:
        failure = Unavailable(FOREIGN, request.what)
    except ValueError:
        failure = Denied("the SDK does not take what is configured in [azure]", request.what)
    raise failure


def _meant(error: "AzureError", request: Request) -> StoreError:
    from azure.core import exceptions as core  # noqa: PLC0415 - as above

    if isinstance(error, core.HttpResponseError) and error.response is not None:
        return meaning(_response(error), request)
    if isinstance(error, core.ClientAuthenticationError):
        return Denied(f"no token: {_words(error.message)}", request.what)
    if isinstance(error, core.ServiceRequestError):
        if found := re.search(r"CERTIFICATE_VERIFY_FAILED\] ([^()]*)", str(error)):
            reason = f"the certificate is not to be trusted: {found.group(1).strip()}"
            return Denied(mended(reason, error.inner_exception or error, KEYS), request.what)
        return Unavailable(
            mended("the account cannot be reached", error.inner_exception or error, KEYS), request.what
        )
    return Unavailable(f"the account did not answer ({type(error).__name__})", request.what)


def _response(error: "AzureError") -> Response:
    response = getattr(error, "response", None)
    code = getattr(error, "error_code", None) or ""
    more = getattr(error, "additional_info", None) or {}
    return Response(
        getattr(response, "status_code", 0),
        str(getattr(code, "value", code)),
        error.message,
        str(more.get("authenticationerrordetail", "")),
        {name.lower(): value for name, value in getattr(response, "headers", {}).items()},
    )


def _words(message: str) -> str:
    return words(" ".join(message.split()), _LONGEST)
