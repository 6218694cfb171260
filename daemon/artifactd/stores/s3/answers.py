"""What an answer of S3 means to whoever asked. Pure.

"List of error codes", Amazon S3 API Reference; what other servers say instead was seen with them.
"""

from collections.abc import Mapping
from html import unescape
from typing import Final

from artifactd.stores.base import Corrupt, Denied, Refusal, StoreError, Unacceptable, Unavailable
from artifactd.stores.http.answers import PAST_IT, element, elsewhere, pause, too_large, words
from artifactd.stores.objects.server import Forgotten, Taken

FOREIGN: Final = "the answer is none of S3's: is a proxy or another server in between?"
"""What is said of a success that has not what S3 sends with each success."""

_LONGEST: Final = 300  # characters of a server's own words

_MENDS: Final = {
    "AccessDenied": "the account lacks {permission} there; docs/s3.md has the policy that it needs",
    "AllAccessDisabled": "the bucket is disabled",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set region in [s3]",
    "BadRequest": "the server does not say why: have the credentials expired, or is region in [s3] wrong?",
    "ExpiredToken": "the session's token has expired: renew it",
    "ExpiredTokenException": "the session's token has expired: renew it",
    "IllegalLocationConstraintException": "the bucket is in another region: set region in [s3]",
    "InvalidAccessKeyId": "the server does not know this access key: mend aws_access_key_id",
    "InvalidBucketName": "this can be no bucket's name: mend artifacts_s3_bucket",
    "InvalidClientTokenId": "the server does not know this access key: mend aws_access_key_id",
    "InvalidToken": "the session's token is not valid: renew it",
    "MethodNotAllowed": "the server does not do this: is aws_s3_endpoint_url the address of an S3 server?",
    "NoSuchBucket": "there is no such bucket: make it, or mend artifacts_s3_bucket",
    "NotSignedUp": "the account has no S3",
    "ObjectLockConfigurationNotFoundError": "the bucket has no Object Lock: remove object_lock_mode",
    "PermanentRedirect": "the bucket is in another region: set region in [s3]",
    "ProxyAuthenticationRequired": "the proxy wants a name and a password: put them into its URL",
    "Redirect": f"it is not followed: mend aws_s3_endpoint_url, or set region in [s3]; {PAST_IT}",
    "RequestTimeTooSkewed": "this host's clock differs from the server's: set it (timedatectl set-ntp true)",
    "SignatureDoesNotMatch": "the secret key does not fit the access key: mend aws_secret_access_key",
    "TemporaryRedirect": "the bucket is in another region, or new: set region in [s3]",
    "TokenRefreshRequired": "the session's token has expired: renew it",
}
"""What a person has to do. Nothing else will succeed before."""

_TOO_LARGE: Final = too_large("part_size in [s3]")

_BUSY: Final = (
    "InternalError",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
)
_KINDS: Final[Mapping[str, type[StoreError]]] = {
    **dict.fromkeys(_MENDS, Denied),
    **dict.fromkeys(_BUSY, Unavailable),
    **dict.fromkeys(("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"), Unavailable),
    **dict.fromkeys(("EntityTooLarge", "InvalidURI", "KeyTooLongError", "MetadataTooLarge"), Unacceptable),
    **dict.fromkeys(("BadDigest", "IncompleteBody", "InvalidDigest"), Corrupt),
    **dict.fromkeys(("XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"), Corrupt),
    **dict.fromkeys(("NoSuchUpload", "InvalidPart", "InvalidPartOrder"), Forgotten),
    **dict.fromkeys(("NoSuchKey", "PreconditionFailed"), Taken),
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted"), Taken),
}

_BY_STATUS: Final = {
    **dict.fromkeys((301, 302, 303, 307, 308), "Redirect"),
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    407: "ProxyAuthenticationRequired",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    429: "TooManyRequests",
    500: "InternalError",
    502: "ServiceUnavailable",
    503: "ServiceUnavailable",
    504: "ServiceUnavailable",
    507: "InsufficientStorage",
}
"""What a status says where no code came with it, as after HEAD."""


_PERMISSIONS: Final = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject (or s3:ListBucket, if there is no such object)",
    "ListObjectsV2": "s3:ListBucket",
}
"""What each operation needs ("Actions, resources, and condition keys for Amazon S3")."""


def meaning(  # noqa: PLR0917 - an answer's parts, and what was asked
    status: int,
    code: str,
    sentence: str,
    headers: Mapping[str, str],
    what: str,
    operation: str = "",
) -> StoreError:
    """What it means that `what` was answered with this status and code (empty: none came).

    `sentence` is the server's own; `operation` is as PutObject; `headers` have names in lower case.
    """
    if code.isdigit():  # what boto3 makes of an answer to HEAD, which has no body to say more
        code = "BadRequest" if status == 400 else ""  # noqa: PLR2004 - RFC 9110, 15.5.1
    code = words(code, _LONGEST) or _BY_STATUS.get(status, f"HTTP {status}")
    shown = words(sentence, _LONGEST)
    answer = code + (f" ({shown})" if shown else "")
    if code.startswith("KMS."):
        return Denied(f"{answer}: the key in kms_key_id cannot be used", what)
    kind = _KINDS.get(code, Unavailable if status >= 500 else Refusal)  # noqa: PLR2004 - RFC 9110, 15.6
    if kind is Denied:
        mend = _MENDS[code].format(permission=_PERMISSIONS.get(operation, "a right"))
        return Denied(f"{answer}{elsewhere(headers)}: {mend}{_region(headers)}", what)
    if kind is Unavailable and (code in _BUSY or code not in _KINDS):
        return Unavailable(answer, what, retry_after=pause(headers.get("retry-after", "")))
    return kind(f"{answer}: {_TOO_LARGE}" if code == "EntityTooLarge" else answer, what)


def _region(headers: Mapping[str, str]) -> str:
    region = headers.get("x-amz-bucket-region")
    return f" (it is in {words(region, _LONGEST)})" if region else ""


def of_xml(body: bytes) -> tuple[str, str]:
    """Code and message of an error's XML; empty where there are none."""
    return unescape(element("Code", body)), unescape(element("Message", body))
