"""What an answer of Azure Storage means to whoever asked. Pure.

"Common REST API error codes" and "Blob Storage error codes", Azure Storage REST API; what Azurite says
instead was seen with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from artifactd.clock import rfc3339
from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unacceptable, Unavailable
from artifactd.stores.http.answers import PAST_IT, element, elsewhere, pause, too_large, words
from artifactd.stores.objects.server import Forgotten, Taken

FOREIGN: Final = "the answer is none of Azure's: is a proxy or another server in between?"
"""What is said of a success that has not what Azure sends with each success."""

_LONGEST: Final = 300  # characters of a server's own words
_SIGNATURE: Final = re.compile("sig(=|%3d)", re.IGNORECASE)
_SKEW_SECONDS: Final = 900
"""The age at which a signed request is refused ("Authorize with Shared Key")."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    what: str
    """for people: a key, a part, a list"""
    operation: str
    """as PutBlob"""
    creating: bool = False
    """whether the key had to hold nothing"""
    now: float = 0.0
    """seconds since the epoch"""
    sas_ends: float | None = None
    """when the SAS token that opened it ends, likewise; None: there is none, or it does not say"""
    sas_begins: float | None = None
    """when it begins to hold, likewise"""


@dataclass(frozen=True, slots=True)
class Response:
    """What the server said."""

    status: int
    code: str = ""
    """empty: none came"""
    said: str = ""
    """its own sentence"""
    detail: str = ""
    """why it does not believe who we are"""
    headers: Mapping[str, str] = field(default_factory=dict)
    """names in lower case"""


_RIGHTS: Final = "docs/azure.md has the rights that are needed"
_DENIED: Final = {
    "AccountIsDisabled": "the account is disabled",
    "AccountRequiresHttps": "the account wants https: mend [azure] endpoint_url",
    "AuthenticationFailed": "the account does not believe these credentials: mend name, key or SAS token",
    "AuthorizationFailure": "the account's firewall, or what the credentials allow, keeps this host out",
    "AuthorizationPermissionMismatch": f"the credentials do not allow this; {_RIGHTS}",
    "AuthorizationProtocolMismatch": "the SAS token allows https only: mend [azure] endpoint_url",
    "AuthorizationResourceTypeMismatch": "the SAS token is not for objects: make one with srt=o",
    "AuthorizationServiceMismatch": "the SAS token is not for blobs: make it with ss=b",
    "AuthorizationSourceIPMismatch": "the SAS token allows other addresses than this host's",
    "BlobAccessTierNotSupportedForAccountType": "the account has no such tier: mend [azure] access_tier",
    "ContainerBeingDeleted": "the container is being deleted: mend [azure] container",
    "ContainerDisabled": "the container is disabled",
    "ContainerNotFound": "there is no such container: make it, or mend [azure] container",
    "FeatureVersionMismatch": "the container's access policy is newer than this version of the protocol",
    "InsufficientAccountPermissions": "the account does not allow this now: look at its state and its locks",
    "InvalidAuthenticationInfo": "the account does not believe these credentials: mend them",
    "InvalidBlobTier": "there is no such tier: mend [azure] access_tier",
    "KeyBasedAuthenticationNotPermitted": "the account takes no keys: use an identity of Entra ID",
    "MovedElsewhere": f"the account is elsewhere: mend [azure] endpoint_url; {PAST_IT}",
    "NoAuthenticationInformation": "the account wants credentials: set them",
    "ProxyAuthenticationRequired": "the proxy wants a name and a password: put them into its URL",
    "PublicAccessNotPermitted": "the account wants credentials: set them",
    "ResourceNotFound": "there is no such container, or the credentials do not reach it",
}
"""What a person has to do. Nothing else will succeed before."""

_UNBELIEVED: Final = ("AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo")

_REFUSED: Final = {
    "BlobArchived": "it lies in the Archive tier: rehydrate it, or set another [azure] access_tier",
    "BlobImmutableDueToLegalHold": "a legal hold protects what is there: it cannot be replaced",
    "BlobImmutableDueToPolicy": "an immutability policy protects what is there: it cannot be replaced yet",
    "BlobOperationNotSupported": "what is there was written through the Data Lake interface: remove it",
    "BlobTierInadequateForContentLength": "it is too large for the tier: mend [azure] access_tier",
    "BlockCountExceedsLimit": "too many unfinished blocks lie at this key: Azure drops them after a week",
    "ContentLengthLargerThanTierLimit": "it is too large for the tier: mend [azure] access_tier",
    "InvalidBlobOrBlock": "unfinished blocks of another program lie here: Azure drops them after a week",
    "InvalidBlobType": "what is there is no block blob: remove it",
    "InvalidBlockId": "unfinished blocks of another program lie here: Azure drops them after a week",
    "InvalidHeaderValue": "is this Azure Storage, and are access_tier and tags what it knows?",
    **dict.fromkeys(("RequestBodyTooLarge", "RequestEntityTooLarge"), too_large("block_size in [azure]")),
    "UnauthorizedBlobOverwrite": f"the SAS token allows to create and not to replace; {_RIGHTS}",
}
"""What a person has to do about this one key."""

_BUSY: Final = (
    "AccountBeingCreated",
    "InternalError",
    "OperationTimedOut",
    "RequestTimeout",
    "ServerBusy",
    "ServiceUnavailable",
    "TooManyRequests",
)
_TOO_MUCH: Final = (
    "BlockListTooLong",
    "InvalidMetadata",
    "InvalidResourceName",
    "InvalidUri",
    "MetadataTooLarge",
    "OutOfRangeInput",
    "RequestBodyTooLarge",
    "RequestEntityTooLarge",
    "RequestUrlFailedToParse",
)
_KINDS: Final[Mapping[str, type[StoreError]]] = {
    **dict.fromkeys(_DENIED, Denied),
    **dict.fromkeys(_REFUSED, Refusal),
    **dict.fromkeys(_BUSY, Unavailable),
    **dict.fromkeys(_TOO_MUCH, Unacceptable),
    **dict.fromkeys(("InvalidMd5", "Md5Mismatch", "Crc64Mismatch", "InvalidOperation"), Corrupt),
    **dict.fromkeys(("BlobAlreadyExists", "BlobNotFound", "ConditionNotMet"), Taken),
    **dict.fromkeys(("TargetConditionNotMet", "ResourceAlreadyExists"), Taken),
    "InvalidBlockList": Forgotten,
    **dict.fromkeys(("LeaseIdMissing", "PendingCopyOperation", "BlobBeingRehydrated"), StoreError),
}
_COMMITTING: Final = ("BlobNotFound", "InvalidBlockId", "InvalidBlobOrBlock")
"""What Put Block List says of blocks that are gone, besides InvalidBlockList."""

_GARBLED: Final = ("HTTP 400", "InvalidInput", "InvalidXmlDocument", "InvalidXmlNodeValue")
"""What Put Block List says of a list that is none. Ours was one, so it changed on its way."""

_RIGHT: Final = {
    "PutBlob": "create (c), or to write (w) where a blob lies already",
    "PutBlock": "write (w)",
    "PutBlockList": "write (w)",
    "HeadBlob": "read (r)",
    "GetBlob": "read (r)",
    "ListBlobs": "list (l)",
}
"""What each operation needs."""

_BY_STATUS: Final = {
    301: "MovedElsewhere",
    302: "MovedElsewhere",
    307: "MovedElsewhere",
    308: "MovedElsewhere",
    401: "NoAuthenticationInformation",
    403: "AuthorizationFailure",
    404: "BlobNotFound",
    407: "ProxyAuthenticationRequired",
    408: "RequestTimeout",
    409: "BlobAlreadyExists",
    412: "ConditionNotMet",
    413: "RequestBodyTooLarge",
    429: "TooManyRequests",
    500: "InternalError",
    502: "ServiceUnavailable",
    503: "ServerBusy",
    504: "ServiceUnavailable",
}
"""What a status says where no code came with it, as from what stands before the account."""


def meaning(response: Response, request: Request) -> StoreError:
    """What it means that this was asked and that was told."""
    code = words(response.code, _LONGEST) or _BY_STATUS.get(response.status, f"HTTP {response.status}")
    kind = _kind(code, response.status, request)
    if code in _UNBELIEVED:  # its own words tell what was signed, and perhaps the signature
        return Denied(f"{code}: {_unbelieved(code, response, request)}", request.what)
    said = _shown(response.said)
    mend = (
        _lacks(code, request)
        or _DENIED.get(code)
        or _REFUSED.get(code)
        or (_RIGHTS if kind is Denied else "")
    )
    where = elsewhere(response.headers)
    reason = code + (f" ({said})" if said else "") + where + (f": {mend}" if mend else "")
    if kind is Unavailable:
        return Unavailable(reason, request.what, retry_after=pause(response.headers.get("retry-after", "")))
    return kind(reason, request.what)


def _shown(sentence: str) -> str:
    """The first line of a server's sentence, unless it repeats the address with the SAS token."""
    line = sentence.strip().partition("\n")[0].strip()
    return "" if _SIGNATURE.search(line) else words(line, _LONGEST)


def _kind(code: str, status: int, request: Request) -> type[StoreError]:
    if request.operation == "PutBlockList" and code in (*_COMMITTING, *_GARBLED):
        return Forgotten if code in _COMMITTING else Corrupt
    if code == "UnauthorizedBlobOverwrite" and request.creating:
        return Taken
    if code in _KINDS:
        return _KINDS[code]
    if status in {401, 403}:
        return Denied
    return Unavailable if status >= 500 else Refusal  # noqa: PLR2004 - RFC 9110, 15.6


def _lacks(code: str, request: Request) -> str:
    """Which right is missing, where that is what the server says."""
    right = _RIGHT.get(request.operation) if code == "AuthorizationPermissionMismatch" else None
    return f"the credentials lack the right to {right}; {_RIGHTS}" if right else ""


def _unbelieved(code: str, response: Response, request: Request) -> str:
    """Why the server does not believe who we are, as far as that can be known."""
    if request.sas_ends is not None and request.sas_ends <= request.now:
        return "the SAS token has expired: renew it"
    if request.sas_begins is not None and request.sas_begins > request.now:
        begins = rfc3339(request.sas_begins)
        return f"the SAS token is not valid before {begins}: wait, make another one, or set this host's clock"
    skew = _skew(response.headers.get("date", ""), request.now)
    if skew is not None and abs(skew) >= _SKEW_SECONDS:
        return f"this host's clock is {_apart(skew)} the server's: set it (timedatectl set-ntp true)"
    if "date header" in response.detail.lower():
        return "this host's clock differs from the server's: set it (timedatectl set-ntp true)"
    if "time frame" in response.detail.lower():
        return "the SAS token does not hold at this time: renew it, or set this host's clock"
    return _DENIED[code]


def _skew(date: str, now: float) -> float | None:
    """Seconds that the host is ahead of a server that sent this date."""
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # the latter of a year that is none
        return None


def _apart(skew: float) -> str:
    return f"{abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'}"


def of_answer(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """What an answer says in its headers and its XML."""
    code = headers.get("x-ms-error-code") or element("Code", body)
    return Response(
        status, code, element("Message", body), element("AuthenticationErrorDetail", body), headers
    )
