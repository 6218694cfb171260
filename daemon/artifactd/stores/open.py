"""From a destination in the configuration to its store. SDKs are imported where needed."""

from dataclasses import dataclass
from threading import Event
from typing import Final, assert_never

from pydantic import SecretStr

from artifactd.clock import Clock
from artifactd.config import (
    S3,
    Azure,
    Bitbucket,
    Checksum,
    Destination,
    Encryption,
    FileSystem,
    ImmutabilityMode,
    LockMode,
)
from artifactd.stores.base import Store
from artifactd.stores.filesystem.store import FileSystemStore
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.objects.unfinished import UploadLog

_AZURE_KEEPS_SECONDS: Final = 7 * 24 * 3600.0
"""What was not put together for so long Azure drops by itself ("Put Block", Azure Storage REST API)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a store gets from the daemon around it."""

    owner: str
    """tells this daemon's unfinished business in the store from another's"""
    used_before: bool
    """whether copies are on record there"""
    upload_log: UploadLog
    clock: Clock


def open_store(destination: Destination, around: Surroundings) -> Store:
    """The store for `destination`. Nothing is sent yet, so a store that is down does not matter here."""
    match destination:
        case FileSystem():
            return FileSystemStore(
                destination.directory,
                owner=around.owner,
                used_before=around.used_before,
                file_mode=destination.file_mode,
                directory_mode=destination.directory_mode,
            )
        case S3():
            return _s3(destination, around)
        case Azure():
            return _azure(destination, around)
        case Bitbucket():
            return _git(destination)
            raise NotImplementedError(f"no store for {destination.kind}")
        case _:
            assert_never(destination)


def _s3(destination: S3, around: Surroundings) -> Store:
    from artifactd.stores.objects.store import ObjectStore  # noqa: PLC0415 - not needed by who has no such store
    from artifactd.stores.s3.bucket import PROBE, Bucket  # noqa: PLC0415 - as above
    from artifactd.stores.s3.checksums import Verified  # noqa: PLC0415 - as above
    from artifactd.stores.s3.object_options import Storing  # noqa: PLC0415 - as above
    from artifactd.stores.s3.session import Access, Endpoint  # noqa: PLC0415 - as above

    endpoint = Endpoint(
        destination.bucket,
        destination.region,
        destination.endpoint_url,
        destination.addressing_style.value,
        verify=not destination.skip_cert_verification,
        authorities=destination.cert_location,
        connect_seconds=destination.connect_timeout_seconds,
        read_seconds=destination.read_timeout_seconds,
        connections=destination.connections,
    )
    access = Access(
        destination.access_key_id,
        _plain(destination.secret_access_key),
        destination.role_arn,
        destination.use_ec2_role_credentials,
    )
    storing = Storing(
        destination.storage_class,
        "" if destination.encryption is Encryption.NONE else destination.encryption.value,
        destination.kms_key_id,
        "" if destination.lock_mode is LockMode.NONE else destination.lock_mode.value.upper(),
        destination.lock_days,
        destination.legal_hold,
        destination.tags,
        destination.expected_bucket_owner,
    )
    verified = None if destination.checksum is Checksum.AUTO else Verified(destination.checksum.value)
    bucket = Bucket(
        endpoint,
        access,
        storing,
        around.clock,
        verified,
        _throttle(destination.bandwidth, around.clock),
        "/".join(filter(None, (destination.prefix, PROBE))),
    )
    return ObjectStore(
        destination.kind.value,
        bucket,
        prefix=destination.prefix,
        part_size=destination.part_size,
        connections=destination.connections,
        abandon_after=destination.abandon_after_seconds,
        upload_log=around.upload_log,
        clock=around.clock,
    )


def _azure(destination: Azure, around: Surroundings) -> Store:
    from artifactd.stores.azure.account import Access, Endpoint  # noqa: PLC0415 - as above
    from artifactd.stores.azure.blob_options import Storing  # noqa: PLC0415 - as above
    from artifactd.stores.azure.container import Container  # noqa: PLC0415 - as above
    from artifactd.stores.objects.store import ObjectStore  # noqa: PLC0415 - as above

    endpoint = Endpoint(
        destination.container,
        destination.endpoint_url,
        destination.endpoint_suffix,
        destination.cert_location,
        destination.connect_timeout_seconds,
        destination.read_timeout_seconds,
    )
    access = Access(
        destination.account_name,
        _plain(destination.account_key),
        _plain(destination.connection_string),
        _plain(destination.sas_token),
    )
    locked = destination.immutability_mode is not ImmutabilityMode.NONE
    storing = Storing(
        destination.access_tier,
        destination.immutability_mode.value if locked else "",
        destination.immutability_days,
        destination.legal_hold,
        destination.tags,
    )
    container = Container(
        endpoint, access, storing, around.clock, _throttle(destination.bandwidth, around.clock)
    )
    return ObjectStore(
        destination.kind.value,
        container,
        prefix=destination.prefix,
        part_size=destination.block_size,
        connections=destination.connections,
        abandon_after=_AZURE_KEEPS_SECONDS,
        upload_log=around.upload_log,
        clock=around.clock,
    )


def _git(destination: Bitbucket) -> Store:
    from artifactd.stores.git.address import Address  # noqa: PLC0415 - as above
    from artifactd.stores.git.message import Identity, Signature  # noqa: PLC0415 - as above
    from artifactd.stores.git.remote import Remote  # noqa: PLC0415 - as above
    from artifactd.stores.git.store import GitStore  # noqa: PLC0415 - as above

    remote = Remote(
        Address.parse(destination.repo),
        destination.branch,
        user=destination.user,
        password=destination.password,
        ssh_key=destination.ssh_private_key_file,
        known_hosts=destination.known_hosts,
        ca_file=destination.ca_file,
        skip_cert_verification=destination.skip_cert_verification,
        seconds=destination.timeout_seconds,
    )
    author, committer = Identity.parse(destination.author), Identity.parse(destination.committer)
    return GitStore(
        remote,
        destination.clones,
        Signature(author, committer, destination.commit_subject),
        prefix=destination.prefix,
        window=destination.batch_window_seconds,
        lfs_threshold=destination.lfs_threshold,
        max_file_size=destination.max_file_size,
    )


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _throttle(bandwidth: int | None, clock: Clock) -> Throttle | None:
    return None if bandwidth is None else Throttle(bandwidth, clock.monotonic, Event().wait)
