"""What a destination of each kind is made of, and what it cannot do without. Pure."""

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from artifactd.config import repository
from artifactd.config.destination import S3, Azure, Destination, FileSystem, StoreKind
from artifactd.config.document import Document

_ACCOUNT = (
    "artifacts_azure_blob_account_name",
    "artifacts_azure_connection_string",
    "azure.endpoint_url",
)

_DAY = 24 * 3600.0
"""seconds"""


class Missing(NamedTuple):
    """What a destination cannot do without."""

    keys: tuple[str, ...]
    """any of them would do"""
    needed: str


def missing(kind: StoreKind, document: Document) -> Iterator[Missing]:
    """All that is not set and that a destination of this kind cannot do without."""
    match kind:
        case StoreKind.FILE_SYSTEM:
            return
        case StoreKind.S3:
            if not document.artifacts_s3_bucket:
                yield Missing(("artifacts_s3_bucket",), "a bucket")
        case StoreKind.BITBUCKET:
            if not document.artifacts_git_repo:
                yield Missing(("artifacts_git_repo",), "a repository")
        case StoreKind.AZURE:
            if not document.azure.container:
                yield Missing(("azure.container",), "a container")
            account = document.artifacts_azure_blob_account_name or document.azure.endpoint_url
            if not account and not document.artifacts_azure_connection_string:
                yield Missing(_ACCOUNT, f"it, or {_ACCOUNT[1]}, or {_ACCOUNT[2]}")
        case _:
            assert_never(kind)


def destination(kind: StoreKind, document: Document) -> Destination:
    """The destination of this kind, of a document without problems."""
    match kind:
        case StoreKind.FILE_SYSTEM:
            return _file_system(document)
        case StoreKind.S3:
            return _s3(document)
        case StoreKind.BITBUCKET:
            return repository.destination(document)
        case StoreKind.AZURE:
            return _azure(document)
        case _:
            assert_never(kind)


def _file_system(document: Document) -> FileSystem:
    return FileSystem(
        directory=document.artifacts_file_system_directory,
        file_mode=document.file_system.file_mode,
        directory_mode=document.file_system.directory_mode,
    )


def _s3(document: Document) -> S3:
    ours = document.s3
    return S3(
        bucket=document.artifacts_s3_bucket,
        prefix=ours.prefix,
        region=ours.region or document.aws_default_region,
        endpoint_url=ours.endpoint_url or document.aws_s3_endpoint_url,
        addressing_style=ours.addressing_style,
        access_key_id=document.aws_access_key_id,
        secret_access_key=document.aws_secret_access_key,
        role_arn=document.aws_role_arn,
        use_ec2_role_credentials=document.aws_use_ec2_role_credentials,
        skip_cert_verification=document.s3_skip_cert_verification,
        cert_location=document.s3_connector_cert_location,
        storage_class=ours.storage_class,
        encryption=ours.encryption,
        kms_key_id=ours.kms_key_id,
        lock_mode=ours.object_lock_mode,
        lock_days=ours.object_lock_days,
        legal_hold=ours.legal_hold,
        tags=tuple(ours.tags.items()),
        expected_bucket_owner=ours.expected_bucket_owner,
        checksum=ours.checksum,
        part_size=ours.part_size,
        connections=ours.connections,
        bandwidth=ours.bandwidth,
        connect_timeout_seconds=ours.connect_timeout_seconds,
        read_timeout_seconds=ours.read_timeout_seconds,
        abandon_after_seconds=ours.abandon_after_days * _DAY,
    )


def _azure(document: Document) -> Azure:
    ours = document.azure
    return Azure(
        container=ours.container,
        prefix=ours.prefix,
        account_name=document.artifacts_azure_blob_account_name,
        account_key=document.artifacts_azure_blob_account_key,
        connection_string=document.artifacts_azure_connection_string,
        sas_token=document.artifacts_azure_sas_token,
        endpoint_url=ours.endpoint_url,
        endpoint_suffix=ours.endpoint_suffix,
        cert_location=ours.cert_location,
        access_tier=ours.access_tier,
        immutability_mode=ours.immutability_mode,
        immutability_days=ours.immutability_days,
        legal_hold=ours.legal_hold,
        tags=tuple(ours.tags.items()),
        block_size=ours.block_size,
        connections=ours.connections,
        bandwidth=ours.bandwidth,
        connect_timeout_seconds=ours.connect_timeout_seconds,
        read_timeout_seconds=ours.read_timeout_seconds,
    )
