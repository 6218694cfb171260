"""A container of Azure Blob Storage or of a server that speaks its protocol. Pure.

The sources of what is read here are Azure's "Configure Azure Storage connection strings" and its SDK, which
looks for names in any case and takes spaces for a part of them; a test holds this file to it.
"""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self
from urllib.parse import unquote, urlsplit

from artifactd.config import values
from artifactd.config.destinations import objects
from artifactd.config.destinations.kinds import Clash, Missing, Settings, StoreKind, pair
from artifactd.config.values import MaybePlace, Secret, Switch, Table, named, plain

_NAME, _KEY = "artifacts_azure_blob_account_name", "artifacts_azure_blob_account_key"
_SAS, _CONNECTION = "artifacts_azure_sas_token", "artifacts_azure_connection_string"
_ENDPOINT = "azure.endpoint_url"
_CLOUD = "core.windows.net"

container_name = objects.matching(
    r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "a container's name alone: 3 to 63 lower-case letters, digits and single dashes",
)
"""A name by Azure's "Naming and referencing containers, blobs, and metadata"."""

account_name = objects.matching(
    r"[a-z0-9]{3,24}", "a storage account's name alone: 3 to 24 lower-case letters and digits"
)
"""A name by Azure's "Storage account overview"."""

_suffix = objects.matching(
    r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 'the end of a host\'s name such as "core.windows.net"'
)


def suffix(value: object) -> str:
    """The end of the hosts' names in one of Azure's clouds."""
    return _suffix(named(value))


azure_tags = objects.tags(r"A-Za-z0-9 +\-=.:/_", "plain letters, digits, spaces and + - = . _ : /")
"""Tags by Azure's "Set Blob Tags"."""


class ImmutabilityMode(StrEnum):
    """Azure's immutability policy of a blob: who may end its retention early."""

    NONE = "none"
    """no retention is asked for: the container's own default holds"""
    UNLOCKED = "unlocked"
    """those with a permission of its own"""
    LOCKED = "locked"
    """nobody"""


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Which account, and who asks, by a key or a SAS token. With neither it is an identity of Entra ID."""

    account: str = ""
    """the account's name; "": the address says it"""
    url: str = field(default="", repr=False)
    """http or https, the whole address of the account's blob service"""
    key: str = field(default="", repr=False)
    sas_token: str = field(default="", repr=False)
    """with or without its leading "?"; a key goes before it"""

    @classmethod
    def of(cls, written: str) -> Self:
        """What a connection string says.

        Raises:
            ValueError: it is none, or has no credentials. The message says what is allowed and shows nothing.
        """
        parts = [part.partition("=") for part in written.rstrip(";").split(";")]
        found = {name.casefold(): value for name, equals, value in parts if equals and value}
        if found.get("usedevelopmentstorage") == "true":
            return cls(**_EMULATOR)
        name = found.get("accountname", "")
        key = found.get("accountkey", "").strip() if name else ""
        scheme, cloud = found.get("defaultendpointsprotocol", "https"), found.get("endpointsuffix", _CLOUD)
        address = found.get("blobendpoint") or (f"{scheme}://{name}.blob.{cloud}" if name else "")
        url, _, query = address.partition("?")
        token = found.get("sharedaccesssignature", query)
        whole = len(found) == len(parts) and url and not any(map(str.isspace, url))
        if not whole or not (is_key(key) or any(signatures(token))):
            raise ValueError(
                "a whole connection string, without spaces: AccountName with AccountKey, or "
                "SharedAccessSignature with BlobEndpoint or AccountName"
            )
        return cls(name, url, key, token)


_EMULATOR: Final = {
    "account": "devstoreaccount1",
    "url": "http://127.0.0.1:10000/devstoreaccount1",
    "key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}
"""What UseDevelopmentStorage=true stands for. Everybody knows this key: it opens an emulator."""


def is_key(written: str) -> bool:
    """Whether it can be an account's key, which is written in base64."""
    try:
        return len(b64decode(written, validate=True)) > 0
    except ValueError:
        return False


def signatures(token: str) -> Iterator[str]:
    """The signature of a SAS token, as it is written there and decoded. None: it is no whole token."""
    for part in token.removeprefix("?").split("&"):
        name, _, value = part.partition("=")
        if name == "sig" and value:
            yield from dict.fromkeys((value, unquote(value)))


@dataclass(frozen=True)
class AzureKeys(Table):
    """Driverless AI's. Of the credentials there may be one kind; with none it is an identity of Entra ID."""

    artifacts_azure_blob_account_name: Annotated[str, account_name] = ""
    artifacts_azure_blob_account_key: Secret = None
    artifacts_azure_connection_string: Secret = None
    artifacts_azure_sas_token: Secret = None


@dataclass(frozen=True)
class AzureTable(Table):
    """`[azure]`. What is empty or NONE is left to account and container.

    Block sizes and days are Azure's own limits ("Put Block", "immutable storage").
    """

    container: Annotated[str, container_name] = ""
    prefix: objects.Prefix = ""
    endpoint_url: objects.Endpoint = ""
    endpoint_suffix: Annotated[str, suffix] = _CLOUD
    sas_over_http: Switch = False
    """whether a SAS token may leave this machine unencrypted"""
    cert_location: MaybePlace = None
    access_tier: objects.Word = ""
    immutability_mode: Annotated[ImmutabilityMode, values.one_of(ImmutabilityMode)] = ImmutabilityMode.NONE
    immutability_days: Annotated[int, values.whole(0, 146_000)] = 0
    """0 exactly where there is no mode"""
    legal_hold: Switch = False
    tags: Annotated[dict[str, str], azure_tags] = field(default_factory=dict)
    block_size: Annotated[int, values.size_within("64 KiB", "4000 MiB")] = 8 * 2**20
    """bytes"""
    connections: objects.Connections = "auto"
    bandwidth: objects.Bandwidth = None
    """bytes per second; None: no limit"""
    connect_timeout_seconds: objects.ConnectSeconds = 10.0
    read_timeout_seconds: objects.ReadSeconds = 60.0


@dataclass(frozen=True, slots=True)
class Azure:
    """A container."""

    kind: ClassVar = StoreKind.AZURE
    access: AzureAccess
    table: AzureTable


@dataclass(frozen=True, slots=True)
class AzureSettings(Settings):
    """What is set for it."""

    keys: AzureKeys
    table: AzureTable

    def missing(self) -> Iterator[Missing]:
        """As `Settings.missing`."""
        if not self.table.container:
            yield Missing(("azure.container",), "a container")
        if not self._written and not self._beside.url:
            yield Missing((_NAME, _CONNECTION, _ENDPOINT), f"it, or {_CONNECTION}, or {_ENDPOINT}")

    def clashes(self) -> Iterator[Clash]:
        """As `Settings.clashes`."""
        beside, table = self._beside, self.table
        if self._written:
            yield from self._beside_connection()
        elif beside.key and beside.sas_token:
            yield Clash((_KEY, _SAS), f"{_SAS} is set as well; remove one of the two")
        elif not beside.key and not beside.sas_token and urlsplit(table.endpoint_url).scheme == "http":
            mend = "Azure's identities send their tokens over https only; write https, or set"
            yield Clash((_ENDPOINT, _KEY, _SAS, _CONNECTION), f"{mend} {_KEY} or {_SAS}")
        if beside.key and not is_key(beside.key):
            yield Clash((_KEY,), "allowed: a whole account key, which is written in base64")
        if beside.sas_token and not any(signatures(beside.sas_token)):
            yield Clash((_SAS,), "allowed: a whole SAS token, which has a part sig=")
        yield from self._in_the_open()
        mode, days = "azure.immutability_mode", "azure.immutability_days"
        locked = table.immutability_mode is not ImmutabilityMode.NONE
        yield from pair(mode, locked, days, table.immutability_days)

    def _in_the_open(self) -> Iterator[Clash]:
        """A SAS token goes into each address, and whoever reads it has all that it opens."""
        try:
            access = self._access
        except ValueError:
            return  # told already
        sent = access.sas_token and not access.key and objects.in_the_open(access.url)
        if sent and not self.table.sas_over_http:
            mend = (
                "it says http, and with each request the SAS token would travel unencrypted, for anybody on "
                "the way to take; write https. On a line that nobody else reads: azure.sas_over_http = true"
            )
            yield Clash((_CONNECTION if self._written else _ENDPOINT,), mend)

    def _beside_connection(self) -> Iterator[Clash]:
        beside = self._beside
        for key, secret in ((_KEY, beside.key), (_SAS, beside.sas_token)):
            if secret:
                mend = f"{_CONNECTION} is set as well and has its own credentials; remove {key}, or that one"
                yield Clash((key, _CONNECTION), mend)
        if self.table.endpoint_url:
            mend = f"{_CONNECTION} is set as well and has its own address; remove {_ENDPOINT}, or that one"
            yield Clash((_ENDPOINT, _CONNECTION), mend)
        try:
            account = AzureAccess.of(self._written).account
        except ValueError as error:
            yield Clash((_CONNECTION,), f"allowed: {error}")
        else:
            if account and beside.account not in {"", account}:
                mend = f"{_CONNECTION} names another account; remove {_NAME}, or mend one of the two"
                yield Clash((_NAME, _CONNECTION), mend)

    def doubts(self) -> Iterator[str]:
        """As `Settings.doubts`."""
        if objects.in_the_open(self._access.url):
            yield f"azure: the address of the blob service is http: {objects.OPEN}"
        if objects.asleep(self.table.access_tier):
            yield f"azure.access_tier: {objects.UNREADABLE}"

    def secrets(self) -> Iterator[str]:
        """As `Settings.secrets`: whole and in parts, because a signature can show without its token."""
        access = self._access
        yield from filter(None, (self._written, access.key, access.sas_token, *signatures(access.sas_token)))

    @property
    def _written(self) -> str:
        return plain(self.keys.artifacts_azure_connection_string)

    @property
    def _beside(self) -> AzureAccess:
        """What is said beside the connection string."""
        keys, name = self.keys, self.keys.artifacts_azure_blob_account_name
        made = f"https://{name}.blob.{self.table.endpoint_suffix}" if name else ""
        return AzureAccess(
            name,
            self.table.endpoint_url or made,
            plain(keys.artifacts_azure_blob_account_key),
            plain(keys.artifacts_azure_sas_token),
        )

    @property
    def _access(self) -> AzureAccess:
        return AzureAccess.of(self._written) if self._written else self._beside

    def destination(self) -> Azure:
        """The container, as its store takes it."""
        return Azure(self._access, self.table)
