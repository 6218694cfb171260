"""TLS on the client: who is not who it should be hears nothing."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from artifactd.stores.base import Denied, Unavailable
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from tests.servers.faults import Answer, Fault
from tests.servers.proxy import Proxy
from tests.servers.tls import Authority, Certificate
from tests.support.scripted import serving as scripted

UPSTREAM = "http://127.0.0.1:1"
"""Nobody: the proxy answers by itself."""


@contextmanager
def serving(certificate: Certificate) -> Iterator[Proxy]:
    with Proxy(UPSTREAM, tls=certificate.context()) as proxy:
        proxy.faults.append(Fault(Answer(200), times=99))
        yield proxy


@contextmanager
def client_to(url: str, context: ssl.SSLContext, read_seconds: float = 30.0) -> Iterator[Client]:
    client = Client(Server.at(url, context, 5.0, read_seconds))
    try:
        yield client
    finally:
        client.close()


def test_a_certificate_of_the_authority_is_trusted_and_its_connection_kept(authority: Authority) -> None:
    with serving(authority.good) as proxy, client_to(proxy.url, authority.trusting()) as client:
        for size in (0, 7, 1 << 20):
            assert client.send("PUT", "/b/k", {}, bytes(size)).status == 200
        assert [seen.body_length for seen in proxy.seen] == [0, 7, 1 << 20]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("other_host", r"not valid for '127.0.0.1'.*it has to name the host"),
        ("expired", "expired.*Renew the server's certificate"),
        ("unknown", "unable to get local issuer.*Name the certificate of who signed it"),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted_is_denied_and_nothing_is_sent(
    authority: Authority, kind: str, said: str
) -> None:
    certificate = authority.good if kind == "unknown" else getattr(authority, kind)
    context = ssl.create_default_context() if kind == "unknown" else authority.trusting()
    with (
        serving(certificate) as proxy,
        client_to(proxy.url, context) as client,
        pytest.raises(Denied, match=said) as raised,
    ):
        client.send("PUT", "/b/k", {}, b"content")
    assert f"127.0.0.1:{proxy.port}" in str(raised.value)
    assert proxy.seen == []


def test_a_server_without_tls_is_told_apart(authority: Authority) -> None:
    said = list[bytes]()

    def script(connected: socket.socket) -> None:
        said.append(connected.recv(1 << 16))
        connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        scripted(script) as server,
        client_to(f"https://127.0.0.1:{server.port}", authority.trusting()) as client,
        pytest.raises(Unavailable, match="no TLS with"),
    ):
        client.send("PUT", "/b/k", {}, b"content")
    assert b"content" not in said[0]
