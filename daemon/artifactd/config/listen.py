"""Where the daemon may be asked how it is: a port of this machine, or a socket in its file system. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ALLOWED: Final = (
    '"127.0.0.1:9817", "[::1]:9817" or "unix:/run/artifactd/health.sock", with an IP address and a port'
)
_NAMES: Final = 'names of hosts without a port, such as ["artifactd.example.com"]'
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
"""as long as DNS lets one be (RFC 1035, 2.3.4)"""
_LONGEST: Final = 107
"""bytes of a socket's path (unix(7))"""
_PORTS: Final = range(1, 65_536)


@dataclass(frozen=True, slots=True, repr=False)
class Tcp:
    """A port of this machine."""

    host: IPv4Address | IPv6Address
    port: int

    def __repr__(self) -> str:
        return f'"{self}"'

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host.version == 6 else str(self.host)  # noqa: PLR2004 - of IP
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Unix:
    """A socket in the file system."""

    path: Path
    """absolute"""

    def __repr__(self) -> str:
        return f'"{self}"'

    def __str__(self) -> str:
        return f"unix:{self.path}"


Listen = Tcp | Unix


def listen_at(value: object) -> Listen:
    """The parser. Raises ValueError with what is allowed, as those of `values` do."""
    if not isinstance(value, str):
        raise ValueError(ALLOWED)  # noqa: TRY004 - as all parsers do
    if value.startswith("unix:"):
        return _unix(value.removeprefix("unix:"))
    try:
        url = urlsplit(f"//{value}")
        host, port = ip_address(url.hostname or ""), url.port or 0
    except ValueError:
        raise ValueError(ALLOWED) from None
    found = Tcp(host, port)
    if port not in _PORTS or "%" in value or str(found) != value:  # what else an address can hold
        raise ValueError(ALLOWED)
    return found


def _unix(path: str) -> Unix:
    sound = path.startswith("/") and path.isprintable() and '"' not in path
    if not sound or len(path.encode()) > _LONGEST:
        raise ValueError(f"unix: and an absolute path of at most {_LONGEST} bytes; or {ALLOWED}")
    return Unix(Path(path))


def host_names(value: object) -> tuple[str, ...]:
    """The parser of names that others ask by: an array, or a text with commas. Raises as `listen_at`."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(one, str) for one in parts):
        raise ValueError(_NAMES)
    names = tuple(filter(None, (one.strip() for one in parts)))
    if not all(_NAME.fullmatch(one) for one in names):
        raise ValueError(_NAMES)
    return names


def exposed(where: Listen | None) -> bool:
    """Whether other machines can reach it."""
    return isinstance(where, Tcp) and not where.host.is_loopback
