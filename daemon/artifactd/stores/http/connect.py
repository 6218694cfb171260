"""Where a server is and how a connection gets there: time-outs, TLS, the environment's proxy."""

import base64
import socket
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from artifactd.stores.base import Denied, Unavailable
from artifactd.stores.http.deadline import LEAST_RATE, Deadline
from artifactd.stores.http.incoming import Incoming
from artifactd.stores.mends import SOMEWHERE, Keys, mended

_PROXYS: Final = "the proxy's (HTTPS_PROXY, HTTP_PROXY)"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go, and how."""

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: SplitResult | None = field(repr=False)
    """it may hold a password"""
    connect_seconds: float
    read_seconds: float
    """without a byte from the server, or without room for one"""
    least_rate: float = LEAST_RATE
    """bytes a second, below which a request is given up as a whole"""
    keys: Keys = SOMEWHERE

    def seconds(self, size: int) -> float:
        """What a request that sends so many bytes may take in all, the connection included."""
        return self.connect_seconds + self.read_seconds + size / self.least_rate

    @classmethod
    def at(
        cls,
        url: str,
        tls: ssl.SSLContext | None,
        connect_seconds: float,
        read_seconds: float,
        keys: Keys = SOMEWHERE,
    ) -> "Server":
        """The server at `url`, through the environment's proxy for it (HTTPS_PROXY, NO_PROXY, …)."""
        from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - it loads more than the rest of this

        parts = urlsplit(url)
        named = getproxies().get(parts.scheme)
        return cls(
            parts.scheme,
            parts.hostname or "",
            parts.port or _DEFAULT_PORTS[parts.scheme],
            tls if parts.scheme == "https" else None,
            None if named is None or proxy_bypass(parts.netloc) else urlsplit(_with_scheme(named)),
            connect_seconds,
            read_seconds,
            keys=keys,
        )

    @property
    def address(self) -> str:
        """The value of the Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def trust(
    file: Path | str | None = None, directory: Path | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """TLS that checks a server against these certificates; without any, against those of the system.

    Raises:
        OSError: no certificates can be read there.
    """
    context = ssl.create_default_context(cafile=file, capath=directory)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connected(server: Server, deadline: Deadline) -> socket.socket:
    """A connection to the server, before `deadline`.

    Raises:
        Unavailable: it cannot be reached.
        Denied: its certificate is not to be trusted, or the proxy refuses, or cannot be used.
    """
    proxy = server.proxy
    if proxy is not None and proxy.scheme != "http":
        raise Denied(f"the proxy {proxy.hostname} is to be spoken to by {proxy.scheme}: only http is known")
    via = (proxy.hostname or "", proxy.port or 80) if proxy else (server.host, server.port)
    try:
        plain = _reached(via, server, deadline)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none in the DNS
        keys = server.keys if proxy is None else replace(server.keys, address=_PROXYS)
        reason = f"{via[0]}:{via[1]} cannot be reached: {deadline.reason(error)}"
        raise Unavailable(mended(reason, error, keys)) from error
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls is None:
            return plain
        if proxy is not None:
            _tunnel(plain, server, proxy, deadline)
        plain.settimeout(deadline.within(server.read_seconds))
        return server.tls.wrap_socket(plain, server_hostname=server.host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        reason = f"the certificate of {server.address} is not to be trusted: {error.verify_message}"
        raise Denied(mended(reason, error, server.keys)) from error
    except (OSError, ValueError) as error:  # ValueError: the proxy does not speak HTTP
        plain.close()
        reason = f"no TLS with {server.address}: {deadline.reason(error)}"
        raise Unavailable(mended(reason, error, server.keys)) from error
    except BaseException:
        plain.close()
        raise


def _reached(via: tuple[str, int], server: Server, deadline: Deadline) -> socket.socket:
    """A connection to the first address of the name that takes one."""
    failure = OSError(None, "its name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(*via, type=socket.SOCK_STREAM):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(deadline.within(server.connect_seconds))
            plain.connect(address)
        except OSError as error:
            plain.close()
            failure = error
        else:
            return plain
    raise failure


def _tunnel(plain: socket.socket, server: Server, proxy: SplitResult, deadline: Deadline) -> None:
    """Ask the proxy to connect us (RFC 9110, 9.3.6)."""
    target = f"{server.host}:{server.port}"
    lines = (f"CONNECT {target} HTTP/1.1", f"Host: {target}", *authorization(proxy), "", "")
    plain.settimeout(deadline.within(server.read_seconds))
    plain.sendall("\r\n".join(lines).encode("latin-1"))
    incoming, answer = Incoming(), None
    incoming.expect(bodiless=True)
    while answer is None:
        plain.settimeout(deadline.within(server.read_seconds))
        answer = incoming.feed(plain.recv(4096))
    if answer.status >= 500:  # noqa: PLR2004 - RFC 9110, 15.6: it did not get there
        raise Unavailable(f"the proxy {proxy.hostname} did not reach {target}: HTTP {answer.status}")
    if answer.status >= 300:  # noqa: PLR2004 - RFC 9110, 15.3: all 2xx are tunnels
        raise Denied(f"the proxy {proxy.hostname} refuses to connect to {target}: HTTP {answer.status}")


def authorization(proxy: SplitResult) -> list[str]:
    """The header that names us to the proxy; none where its URL has no name."""
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}"]
