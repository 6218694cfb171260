"""How objects are to be kept: class, encryption, lock, tags. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

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


@dataclass(frozen=True, slots=True)
class Storing:
    """What is asked for each object. What is empty is left to the bucket."""

    storage_class: str = ""
    encryption: str = ""
    """ "AES256" or "aws:kms" """
    kms_key_id: str = ""
    lock_mode: str = ""
    """ "GOVERNANCE" or "COMPLIANCE" """
    lock_days: int = 0
    legal_hold: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    """account that has to own the bucket"""

    def options(self, now: float) -> dict[str, str]:
        """The options of a put by boto3's names; `now` is seconds since the epoch."""
        until = datetime.fromtimestamp(now, UTC) + timedelta(days=self.lock_days)
        told = {
            "StorageClass": self.storage_class,
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key_id,
            "ObjectLockMode": self.lock_mode,
            "ObjectLockRetainUntilDate": until.strftime("%Y-%m-%dT%H:%M:%SZ") if self.lock_mode else "",
            "ObjectLockLegalHoldStatus": "ON" if self.legal_hold else "",
            "Tagging": urlencode(self.tags),
            "ExpectedBucketOwner": self.owner,
        }
        return {name: value for name, value in told.items() if value}

    def headers(self, now: float) -> dict[str, str]:
        """The same as headers."""
        return {HEADERS[name]: value for name, value in self.options(now).items()}

    @property
    def asking(self) -> dict[str, str]:
        """The options of every other request, by boto3's names."""
        return {"ExpectedBucketOwner": self.owner} if self.owner else {}

    @property
    def asking_headers(self) -> dict[str, str]:
        """The same as headers."""
        return {HEADERS[name]: value for name, value in self.asking.items()}
