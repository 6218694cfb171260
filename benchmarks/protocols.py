"""As much of S3 and of Azure Blob Storage as their clients need to copy a tree into an empty place. Pure.

Conditions hold, an upload in parts is put together, what came with an object is told again. Lists are empty.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

from benchmarks.kept import Changed, Kept, Object, Request, Taken, Unlike

_NOW = formatdate(usegmt=True)
_XML = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    size: int | None = None
    """of the body, where it is told and not sent"""

    def encoded(self) -> bytes:
        length = len(self.body) if self.size is None else self.size
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"HTTP/1.1 {self.status} -\r\nDate: {_NOW}\r\nContent-Length: {length}\r\n{lines}\r\n"
        return (head + self.body).encode("latin-1")


def answer(kept: Kept, request: Request) -> tuple[str, bytes]:
    """The name of the operation, and what is said to it."""
    azure = "x-ms-version" in request.headers
    operation = _azure(request) if azure else _s3(request)
    act = _ACTS.get(operation)
    return operation, (_Reply(501) if act is None else act(kept, request)).encoded()


# --- S3 ---


def _s3(request: Request) -> str:
    match request.method, "/" in request.key.strip("/"):
        case "PUT", True:
            operation = "UploadPart" if "uploadId" in request.query else "PutObject"
        case "POST", True:
            operation = "CreateMultipartUpload" if "uploads" in request.query else "CompleteMultipartUpload"
        case "DELETE", True if "uploadId" in request.query:
            operation = "AbortMultipartUpload"
        case method, True:
            operation = f"{method.title()}Object"
        case "GET", False:
            operation = "ListObjects"
        case method, _:
            operation = f"{method.title()}Bucket"
    return operation


def _put_object(kept: Kept, request: Request) -> _Reply:
    try:
        return _Reply(200, _headers(kept.write(request)))
    except (Taken, Changed):
        return _Reply(412, body=_s3_error("PreconditionFailed"))
    except Unlike:
        return _Reply(400, body=_s3_error("BadDigest"))


def _upload_part(kept: Kept, request: Request) -> _Reply:
    kept.parts[request.query["uploadId"]][request.query["partNumber"]] = request
    return _Reply(200, {"ETag": f'"{request.md5.hex() or "part"}"', **request.told_again})


def _create_upload(kept: Kept, request: Request) -> _Reply:
    upload = f"upload-{len(kept.begun)}-{request.key}"
    kept.parts[upload], kept.begun[upload] = {}, request
    named = f"<UploadId>{upload}</UploadId>"
    return _Reply(200, body=f"{_XML}<InitiateMultipartUploadResult>{named}</InitiateMultipartUploadResult>")


def _complete_upload(kept: Kept, request: Request) -> _Reply:
    parts = kept.parts[upload := request.query["uploadId"]]
    told = kept.begun[upload].told_again
    checksums = [part.headers.get("x-amz-checksum-sha256", "") for part in parts.values()]
    if all(checksums):
        told |= {"x-amz-checksum-sha256": _composite(checksums), "x-amz-checksum-type": "COMPOSITE"}
    try:
        etag = kept.put_together(request, upload, told).etag
    except (Taken, Changed):
        return _Reply(412, body=_s3_error("PreconditionFailed"))
    named = f"<ETag>{etag}</ETag>"
    return _Reply(200, body=f"{_XML}<CompleteMultipartUploadResult>{named}</CompleteMultipartUploadResult>")


def _abort_upload(kept: Kept, request: Request) -> _Reply:
    gone = kept.parts.pop(request.query["uploadId"], None)
    return _Reply(404, body=_s3_error("NoSuchUpload")) if gone is None else _Reply(204)


def _composite(checksums: list[str]) -> str:
    joined = b"".join(map(b64decode, checksums))
    return f"{b64encode(hashlib.sha256(joined).digest()).decode()}-{len(checksums)}"


def _list_objects(_kept: Kept, _request: Request) -> _Reply:
    said = "<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"
    return _Reply(200, body=f"{_XML}<ListBucketResult>{said}</ListBucketResult>")


def _s3_error(code: str) -> str:
    return f"{_XML}<Error><Code>{code}</Code><Message>-</Message></Error>"


# --- Azure ---


def _azure(request: Request) -> str:
    match request.method, request.query.get("restype"), request.query.get("comp"):
        case "GET", "container", "list":
            operation = "ListBlobs"
        case method, "container", _:
            operation = f"{method.title()}Container"
        case "PUT", _, None:
            operation = "PutBlob"
        case "PUT", _, "block":
            operation = "PutBlock"
        case "PUT", _, "blocklist":
            operation = "PutBlockList"
        case method, _, _:
            operation = f"{method.title()}Blob"
    return operation


def _container(_kept: Kept, request: Request) -> _Reply:
    status = 201 if request.method == "PUT" else 200
    return _Reply(status, {**_azure_headers(request), "ETag": '"container"', "Last-Modified": _NOW})


def _list_blobs(_kept: Kept, request: Request) -> _Reply:
    body = f"{_XML}<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
    return _Reply(200, _azure_headers(request), body)


def _put_block(kept: Kept, request: Request) -> _Reply:
    kept.parts.setdefault(request.key, {})[request.query["blockid"]] = request
    return _Reply(201, {**_azure_headers(request), **request.told_again})


def _put_blob(kept: Kept, request: Request) -> _Reply:
    told = _azure_headers(request)
    try:
        if request.query.get("comp") == "blocklist":
            made = kept.put_together(request, request.key, request.told_again)
        else:
            made = kept.write(request)
    except Taken:
        return _Reply(409, {**told, "x-ms-error-code": "BlobAlreadyExists"})
    except Changed:
        return _Reply(412, {**told, "x-ms-error-code": "ConditionNotMet"})
    except Unlike:
        return _Reply(400, {**told, "x-ms-error-code": "Md5Mismatch"})
    return _Reply(201, {**told, **_headers(made)})


def _azure_headers(request: Request) -> dict[str, str]:
    return {"x-ms-version": request.headers["x-ms-version"], "x-ms-request-id": "0"}


# --- both ---


def _read(kept: Kept, request: Request) -> _Reply:
    azure = "x-ms-version" in request.headers
    told = {**_azure_headers(request), "x-ms-blob-type": "BlockBlob"} if azure else {}
    one = kept.objects.get(request.key)
    if one is None:
        missing = {"x-ms-error-code": "BlobNotFound"} if azure else {}
        return _Reply(404, {**told, **missing}, "" if request.method == "HEAD" else _s3_error("NoSuchKey"))
    headers = {**told, **_headers(one)}
    if request.method == "HEAD":
        return _Reply(200, headers, size=one.size)
    return _Reply(200, headers, one.content.decode("latin-1"))


def _headers(one: Object) -> dict[str, str]:
    return {"ETag": one.etag, "Last-Modified": _NOW, **one.headers}


_Act = Callable[[Kept, Request], _Reply]

_ACTS: Mapping[str, _Act] = {
    "PutObject": _put_object,
    "UploadPart": _upload_part,
    "CreateMultipartUpload": _create_upload,
    "CompleteMultipartUpload": _complete_upload,
    "AbortMultipartUpload": _abort_upload,
    "HeadObject": _read,
    "GetObject": _read,
    "ListObjects": _list_objects,
    "HeadBucket": lambda _kept, _request: _Reply(200),
    "PutBlob": _put_blob,
    "PutBlock": _put_block,
    "PutBlockList": _put_blob,
    "HeadBlob": _read,
    "GetBlob": _read,
    "ListBlobs": _list_blobs,
    "GetContainer": _container,
    "HeadContainer": _container,
    "PutContainer": _container,
}
