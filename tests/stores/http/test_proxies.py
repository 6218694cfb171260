"""The proxies that the environment names, for the client."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from artifactd.stores.base import Denied, StoreError, Unavailable
from artifactd.stores.http.client import Client
from artifactd.stores.http.connect import Server
from tests.servers.faults import Answer, Fault
from tests.servers.proxy import Proxy
from tests.servers.tls import Authority
from tests.support.forwarding import Forwarding, forwarding

CANARY = "canary-of-the-proxy"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def forward() -> Iterator[Forwarding]:
    with forwarding() as proxy:
        yield proxy


@contextmanager
def client_to(url: str, context: ssl.SSLContext | None = None) -> Iterator[Client]:
    client = Client(Server.at(url, context, 5.0, 30.0))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def server(authority: Authority | None = None) -> Iterator[Proxy]:
    with Proxy("http://127.0.0.1:1", tls=authority.good.context() if authority else None) as proxy:
        proxy.faults.append(Fault(Answer(200), times=99))
        yield proxy


def ask(client: Client) -> int:
    return client.send("PUT", "/b/k", {}, b"content").status


def test_plain_requests_are_forwarded_on_a_kept_connection(
    forward: Forwarding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", forward.url)
    with server() as there, client_to(there.url) as client:
        assert [ask(client), ask(client)] == [200, 200]
        assert forward.asked == [f"PUT {there.url}/b/k"] * 2
        assert [seen.target for seen in there.seen] == ["/b/k"] * 2
    assert forward.connections == 1


def test_tls_goes_through_a_tunnel_and_is_checked_behind_it(
    forward: Forwarding, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", forward.url)
    with server(authority) as there, client_to(there.url, authority.trusting()) as client:
        assert ask(client) == 200
        assert forward.asked == [f"CONNECT 127.0.0.1:{there.port}"]
    with (
        server(authority) as there,
        client_to(there.url, ssl.create_default_context()) as client,
        pytest.raises(Denied, match="certificate"),
    ):
        ask(client)
    assert there.seen == []


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.1:{port}", "*", "elsewhere.example, 127.0.0.1"])
def test_who_is_in_no_proxy_is_reached_directly(
    forward: Forwarding, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", forward.url)
    with server() as there:
        monkeypatch.setenv("NO_PROXY", named.format(port=there.port))
        with client_to(there.url) as client:
            assert ask(client) == 200
    assert forward.asked == []


def test_the_proxy_of_tls_is_not_that_of_plain_requests(
    forward: Forwarding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", forward.url)
    with server() as there, client_to(there.url) as client:
        assert ask(client) == 200
    assert forward.asked == []


@pytest.mark.parametrize("secure", [False, True])
def test_the_proxy_gets_the_credentials_of_its_url_and_the_server_does_not(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, *, secure: bool
) -> None:
    pair = f"us:er:{CANARY}"
    wanted = f"Basic {base64.b64encode(pair.encode()).decode()}"
    with forwarding(wanted) as forward, server(authority if secure else None) as there:
        url = forward.url.replace("//", f"//us%3Aer:{CANARY}@")
        monkeypatch.setenv("HTTPS_PROXY" if secure else "HTTP_PROXY", url)
        with client_to(there.url, authority.trusting()) as client:
            assert ask(client) == 200
        assert "proxy-authorization" not in there.seen[0].headers


def test_a_proxy_that_wants_other_credentials_is_denied_without_showing_ours(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forwarding("Basic other") as forward, server(authority) as there:
        monkeypatch.setenv("HTTPS_PROXY", forward.url.replace("//", f"//user:{CANARY}@"))
        with client_to(there.url, authority.trusting()) as client:
            with pytest.raises(Denied, match="407") as raised:
                ask(client)
            assert CANARY not in f"{raised.value!r} {client.server!r}"
    assert there.seen == []


def test_a_proxy_that_does_not_reach_the_server_may_do_so_later(
    forward: Forwarding, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", forward.url)
    with server(authority) as there:
        pass
    with client_to(there.url, authority.trusting()) as client, pytest.raises(Unavailable, match="502"):
        ask(client)


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_a_proxy_that_cannot_be_spoken_to_gets_nothing(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Neither the request nor the password in clear text."""
    monkeypatch.setenv("HTTP_PROXY", f"{scheme}://user:{CANARY}@127.0.0.1:1")
    with server() as there, client_to(there.url) as client, pytest.raises(StoreError) as raised:
        ask(client)
    assert isinstance(raised.value, Denied)
    assert scheme in str(raised.value)
    assert CANARY not in str(raised.value)
    assert there.seen == []


def test_a_proxy_without_a_scheme_is_spoken_to_in_plain(
    forward: Forwarding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", forward.url.removeprefix("http://"))
    with server() as there, client_to(there.url) as client:
        assert ask(client) == 200
    assert len(forward.asked) == 1
