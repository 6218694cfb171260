"""How objects are to be kept: class, encryption, lock, tags. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from artifactd.config.destinations.s3 import Encryption, LockMode, S3Table

HEADERS: Final = {
    "StorageClass": "x-amz-storage-class",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "Tagging": "x-amz-tagging",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
}
"""boto3's name of an option → the header that carries it ("PutObject", Amazon S3 API Reference)."""


def of_put(asked: S3Table, now: float) -> dict[str, str]:
    """The options of a put by boto3's names; `now` is seconds since the epoch."""
    until = datetime.fromtimestamp(now, UTC) + timedelta(days=asked.object_lock_days)
    locked = asked.object_lock_mode is not LockMode.NONE
    told = {
        "StorageClass": asked.storage_class,
        "ServerSideEncryption": "" if asked.encryption is Encryption.NONE else asked.encryption.value,
        "SSEKMSKeyId": asked.kms_key_id,
        "ObjectLockMode": asked.object_lock_mode.value.upper() if locked else "",
        "ObjectLockRetainUntilDate": until.strftime("%Y-%m-%dT%H:%M:%SZ") if locked else "",
        "ObjectLockLegalHoldStatus": "ON" if asked.legal_hold else "",
        "Tagging": urlencode(asked.tags),
        "ExpectedBucketOwner": asked.expected_bucket_owner,
    }
    return {name: value for name, value in told.items() if value}


def asking(asked: S3Table) -> dict[str, str]:
    """The options of every other request, by boto3's names."""
    return {"ExpectedBucketOwner": owner} if (owner := asked.expected_bucket_owner) else {}


def headers(named: Mapping[str, str]) -> dict[str, str]:
    """Options by boto3's names as the headers that carry them."""
    return {HEADERS[name]: value for name, value in named.items()}
