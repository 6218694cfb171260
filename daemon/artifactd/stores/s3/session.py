"""Who we are to S3, and where it is: everything that boto3 knows better than we do."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from artifactd import __version__
from artifactd.config.destinations.s3 import S3Access, S3Endpoint
from artifactd.stores.base import Denied
from artifactd.stores.http.connect import trust
from artifactd.stores.s3.sdk_errors import answered
from artifactd.stores.s3.sigv4 import Credentials

if TYPE_CHECKING:
    from boto3.session import Session


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with S3."""

    client: Any
    """boto3's client: its methods are made at run time"""
    region: str
    url: str
    """scheme and host that the bucket is reached at"""
    root: str
    """the quoted path of the bucket: empty where the host names it"""
    credentials: Callable[[], Credentials]
    """who signs now; refreshed by the SDK where they expire. Raises Denied where there are none."""
    kept: Callable[[], Credentials | None]
    """the same, where it can be told without asking anybody or waiting"""
    tls: ssl.SSLContext


def opened(access: S3Access, endpoint: S3Endpoint, sent: Callable[[str], None]) -> Opened:
    """A session. Nothing is sent, unless for credentials; `sent` hears the operation of each request.

    Raises:
        Denied: there are no credentials, or the profile, the region or the address is wrong.
    """
    import boto3  # noqa: PLC0415 - a quarter of a second, which a run that sends nothing does not pay
    from botocore.httpsession import get_cert_path  # noqa: PLC0415 - as boto3

    authorities = endpoint.authorities or os.environ.get("AWS_CA_BUNDLE") or None
    verify: bool | str = str(authorities) if authorities and endpoint.verify else endpoint.verify
    with answered("S3 cannot be used as configured"):
        session = boto3.session.Session(
            aws_access_key_id=access.access_key_id or None,
            aws_secret_access_key=access.secret_access_key or None,
            region_name=endpoint.region or None,
        )
        _narrow(session, access)
        client = session.client(
            "s3",
            region_name=session.region_name or "us-east-1",
            endpoint_url=endpoint.url or None,
            verify=verify,
            config=_settings(endpoint),
        )
        _found(session)
        sample = _sample(client, endpoint.bucket)
    client.meta.events.register("before-call.s3", _stays)
    client.meta.events.register("before-send.s3", lambda event_name, **_: sent(event_name.rpartition(".")[2]))
    return Opened(
        client,
        client.meta.region_name,
        f"{sample.scheme}://{sample.netloc}",
        sample.path.removesuffix("/k"),
        _signer(session),
        _kept(session),
        _context(get_cert_path(verify) or None),
    )


class _Sampled(Exception):
    """The address of a request that is not sent."""


def _sample(client: Any, bucket: str) -> SplitResult:  # noqa: ANN401 - as in Opened
    """Where the client itself sends the object "k" to. A presigned URL would name the global address."""

    def caught(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore has no types
        raise _Sampled(request.url)

    client.meta.events.register("before-sign.s3", caught)
    try:
        client.put_object(Bucket=bucket, Key="k")
    except _Sampled as sampled:
        return urlsplit(str(sampled))
    finally:
        client.meta.events.unregister("before-sign.s3", caught)
    raise AssertionError("nothing is sent unsigned")


def _stays(context: dict[str, Any], **_: object) -> None:
    """Have the client take a redirect for the answer, as our own requests do.

    It would look for the bucket's region, meet the redirect again there, and so on for ever.
    """
    context["s3_redirect"]["redirected"] = True


def _settings(endpoint: S3Endpoint) -> Any:  # noqa: ANN401 - botocore's Config, which is not imported yet
    from botocore.config import Config  # noqa: PLC0415 - as boto3

    return Config(
        signature_version="s3v4",
        connect_timeout=endpoint.connect_seconds,
        read_timeout=endpoint.read_seconds,
        max_pool_connections=endpoint.connections,
        retries={"total_max_attempts": 1},  # ours heed Retry-After, and end when the store is closed
        s3={"addressing_style": endpoint.addressing.value},
        # Newer SDKs append checksums to bodies in a way that some servers store as content (boto3 issue
        # 4435). Ours travel as headers, on every request that needs one.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra=f"artifactd/{__version__}",
    )


def _narrow(session: "Session", access: S3Access) -> None:
    """Keep the SDK to the credentials that were asked for."""
    from botocore.credentials import (  # noqa: PLC0415 - as boto3
        AssumeRoleCredentialFetcher,
        DeferredRefreshableCredentials,
    )

    core = session._session  # noqa: SLF001 - boto3 has no public way to a role to assume
    if access.instance_role:
        chain = core.get_component("credential_provider")
        chain.providers = [provider for provider in chain.providers if provider.METHOD == "iam-role"]
    if access.role_arn:
        fetcher = AssumeRoleCredentialFetcher(
            core.create_client,
            _found(session),
            access.role_arn,
            extra_args={"RoleSessionName": "artifactd"},
        )
        core._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001 - as above


def _found(session: "Session") -> Any:  # noqa: ANN401 - botocore's credentials have no types
    credentials = session.get_credentials()
    if credentials is None:
        raise Denied(
            "there are no credentials: set aws_access_key_id and aws_secret_access_key, "
            "or give the host a profile or a role"
        )
    return credentials


def _signer(session: "Session") -> Callable[[], Credentials]:
    def now() -> Credentials:
        with answered("the credentials"):
            frozen = _found(session).get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return now


def _kept(session: "Session") -> Callable[[], Credentials | None]:
    signer, expires = _signer(session), getattr(_found(session), "refresh_needed", None)
    if expires is None:
        fixed = signer()
        return lambda: fixed  # a key of the configuration: nothing is asked of the SDK for each request
    return lambda: None if expires() else signer()


def _context(authorities: str | None) -> ssl.SSLContext:
    """TLS that checks against these authorities; None: that checks nothing.

    Raises:
        Denied: the file has no certificates.
    """
    try:
        return trust(authorities, verify=authorities is not None)
    except OSError as error:
        raise Denied(
            f"the certificates in {authorities} cannot be used: {error.strerror or error}"
        ) from error
