"""What contradicts itself in a destination, and what is allowed but seldom meant. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple, assert_never
from urllib.parse import urlsplit

from pydantic import SecretStr

from artifactd.config.azure import Connection, is_key, signatures
from artifactd.config.destination import (
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

_ACCESS, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_EC2 = "aws_use_ec2_role_credentials"
_NAME, _KEY = "artifacts_azure_blob_account_name", "artifacts_azure_blob_account_key"
_SAS, _CONNECTION = "artifacts_azure_sas_token", "artifacts_azure_connection_string"
_ENDPOINT = "azure.endpoint_url"

_ASLEEP = frozenset({"GLACIER", "DEEP_ARCHIVE", "ARCHIVE"})
"""Storage classes of S3 and tiers of Azure, in capitals, whose objects have to be restored to be read."""


class Clash(NamedTuple):
    """Values that are right each by itself and wrong together."""

    keys: tuple[str, ...]
    """all that take part; the first is set, and the one to look at"""
    mend: str


def clashes(destination: Destination) -> Iterator[Clash]:
    """All there are, of secrets nothing but their keys' names."""
    match destination:
        case S3():
            yield from _s3(destination)
            mode, days = "s3.object_lock_mode", "s3.object_lock_days"
            yield from _pair(mode, destination.lock_mode is not LockMode.NONE, days, destination.lock_days)
        case Azure():
            yield from _azure(destination)
            mode, days = "azure.immutability_mode", "azure.immutability_days"
            yield from _pair(
                mode,
                destination.immutability_mode is not ImmutabilityMode.NONE,
                days,
                destination.immutability_days,
            )
        case FileSystem() | Bitbucket():
            return
        case _:
            assert_never(destination)


def _pair(one: str, has_one: object, other: str, has_other: object) -> Iterator[Clash]:
    """Two keys of which neither means anything without the other."""
    if bool(has_one) is not bool(has_other):
        there, away = (one, other) if has_one else (other, one)
        yield Clash((there, away), f"it needs {away} beside it; set both or neither")


def _s3(destination: S3) -> Iterator[Clash]:
    yield from _pair(_ACCESS, destination.access_key_id, _SECRET, destination.secret_access_key)
    if destination.use_ec2_role_credentials and destination.access_key_id:
        yield Clash((_EC2, _ACCESS), f"{_ACCESS} is set as well; remove one of the two")
    if destination.kms_key_id and destination.encryption is not Encryption.KMS:
        mend = 'it needs encryption = "aws:kms"; set that, or remove s3.kms_key_id'
        yield Clash(("s3.kms_key_id", "s3.encryption"), mend)
    if destination.checksum is Checksum.READ_BACK and destination.storage_class.upper() in _ASLEEP:
        mend = f"what lies in {destination.storage_class} cannot be read back; choose another of the two"
        yield Clash(("s3.checksum", "s3.storage_class"), mend)


def _azure(destination: Azure) -> Iterator[Clash]:
    """About credentials: there may be one kind of them."""
    account_key, token = _said(destination.account_key), _said(destination.sas_token)
    if destination.connection_string is not None:
        yield from _beside_connection(destination, destination.connection_string.get_secret_value())
    elif account_key and token:
        yield Clash((_KEY, _SAS), f"{_SAS} is set as well; remove one of the two")
    elif not account_key and not token and urlsplit(destination.endpoint_url).scheme == "http":
        mend = f"Azure's identities send their tokens over https only; write https, or set {_KEY} or {_SAS}"
        yield Clash((_ENDPOINT, _KEY, _SAS, _CONNECTION), mend)
    if account_key and not is_key(account_key):
        yield Clash((_KEY,), "allowed: a whole account key, which is written in base64")
    if token and not any(signatures(token)):
        yield Clash((_SAS,), "allowed: a whole SAS token, which has a part sig=")


def _beside_connection(destination: Azure, written: str) -> Iterator[Clash]:
    for key, secret in ((_KEY, destination.account_key), (_SAS, destination.sas_token)):
        if secret is not None:
            mend = f"{_CONNECTION} is set as well and has its own credentials; remove {key}, or that one"
            yield Clash((key, _CONNECTION), mend)
    if destination.endpoint_url:
        mend = f"{_CONNECTION} is set as well and has its own address; remove {_ENDPOINT}, or that one"
        yield Clash((_ENDPOINT, _CONNECTION), mend)
    try:
        account = Connection.of(written).account
    except ValueError as error:
        yield Clash((_CONNECTION,), f"allowed: {error}")
    else:
        if account and destination.account_name not in {"", account}:
            mend = f"{_CONNECTION} names another account; remove {_NAME}, or mend one of the two"
            yield Clash((_NAME, _CONNECTION), mend)


def _said(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def doubts(destination: Destination) -> Iterator[str]:
    """What is allowed but seldom meant, as sentences that show no secret."""
    match destination:
        case S3():
            yield from _s3_doubts(destination)
        case Azure():
            if _in_the_open(_address(destination)):
                yield f"azure: the address of the blob service is http: {_OPEN}"
            if destination.access_tier.upper() in _ASLEEP:
                yield f"azure.access_tier: {_UNREADABLE}"
        case FileSystem() | Bitbucket():
            return
        case _:
            assert_never(destination)


def _s3_doubts(destination: S3) -> Iterator[str]:
    if destination.skip_cert_verification:
        yield (
            "s3_skip_cert_verification: certificates of the S3 endpoint are not checked; anybody on the way "
            "can take its place; mend: name the certificates in s3_connector_cert_location"
        )
    if destination.skip_cert_verification and destination.cert_location:
        yield "s3_connector_cert_location: not used, because s3_skip_cert_verification is true"
    if _in_the_open(destination.endpoint_url):
        yield f"the S3 endpoint {destination.endpoint_url} is http: {_OPEN}"
    if destination.storage_class.upper() in _ASLEEP:
        yield f"s3.storage_class: {_UNREADABLE}"


_OPEN = "bytes and signatures travel unencrypted; mend: https"
_UNREADABLE = "what lies there cannot be read back until it is restored, so `verify` cannot prove it"


def _address(destination: Azure) -> str:
    if destination.connection_string is None:
        return destination.endpoint_url
    return Connection.of(destination.connection_string.get_secret_value()).address


def _in_the_open(address: str) -> bool:
    """Whether what is sent there leaves this machine unencrypted."""
    url = urlsplit(address)
    host = url.hostname or ""
    try:
        near = ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    return url.scheme == "http" and not near
