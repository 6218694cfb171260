"""What a request asks for, in the words of Amazon's and Microsoft's references."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

_S3_KEY: Final = {
    ("PUT", "uploadid"): "UploadPart",
    ("PUT", "tagging"): "PutObjectTagging",
    ("PUT", ""): "PutObject",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadid"): "CompleteMultipartUpload",
    ("DELETE", "uploadid"): "AbortMultipartUpload",
    ("DELETE", ""): "DeleteObject",
    ("HEAD", ""): "HeadObject",
    ("GET", "uploadid"): "ListParts",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", ""): "GetObject",
}

_S3_BUCKET: Final = {
    ("PUT", "policy"): "PutBucketPolicy",
    ("PUT", ""): "CreateBucket",
    ("POST", "delete"): "DeleteObjects",
    ("HEAD", ""): "HeadBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", ""): "ListObjects",
}

_AZURE_BLOB: Final = {
    ("PUT", "block"): "PutBlock",
    ("PUT", "blocklist"): "PutBlockList",
    ("PUT", "metadata"): "SetBlobMetadata",
    ("PUT", "properties"): "SetBlobProperties",
    ("PUT", ""): "PutBlob",
    ("GET", "blocklist"): "GetBlockList",
    ("GET", ""): "GetBlob",
    ("HEAD", ""): "HeadBlob",
    ("DELETE", ""): "DeleteBlob",
}

_AZURE_CONTAINER: Final = {
    ("PUT", ""): "CreateContainer",
    ("GET", "list"): "ListBlobs",
    ("GET", ""): "GetContainerProperties",
    ("HEAD", ""): "HeadContainer",
    ("DELETE", ""): "DeleteContainer",
}


def operation(method: str, target: str, headers: Mapping[str, str]) -> str:
    """The operation's name, as PutObject or PutBlock; "?" for one that no store of ours should ask for."""
    url = urlsplit(target)
    query = {name.lower(): values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    if "x-ms-version" in headers or "sv" in query:
        return _azure(method, query)
    return _s3(method, url.path, query)


def _azure(method: str, query: Mapping[str, str]) -> str:
    table = _AZURE_CONTAINER if query.get("restype") == "container" else _AZURE_BLOB
    return table.get((method, query.get("comp", "")), "?")


def _s3(method: str, path: str, query: Mapping[str, str]) -> str:
    _, _, key = path.strip("/").partition("/")
    table = _S3_KEY if key else _S3_BUCKET
    told = next((name for known, name in table if known == method and name in query), "")
    return table.get((method, told), "?")
