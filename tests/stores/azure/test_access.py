"""Who may do what in Azure, and that no secret is told where somebody may not."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import certifi
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError

from artifactd.artifact import Key
from artifactd.config.destinations.azure import AzureAccess
from artifactd.stores.azure.account import TokenSource
from artifactd.stores.azure.session import Bearer
from artifactd.stores.base import Denied, Refusal, Result, Unavailable
from artifactd.stores.objects.store import ObjectStore
from tests.servers.azure import ACCOUNT, KEY, AzureServer, Tokens
from tests.servers.faults import Answer, Blackhole, Fault, Refuse, Reset, Truncate, What, of
from tests.servers.proxy import Proxy
from tests.servers.tls import Authority, Certificate
from tests.support.containers import BLOCK, a_container, a_store
from tests.support.harness import a_put, digest, only, pattern, put_file, receipt

SMALL: Final = b"content"
NOBODY: Final = "d3Jvbmc="


@contextmanager
def opened(
    server: AzureServer,
    access: AzureAccess | None = None,
    *,
    place: tuple[str, str] | None = None,
    url: str = "",
    authorities: Path | None = None,
    identity: TokenSource | None = None,
) -> Iterator[ObjectStore]:
    place = place or server.destination()
    container = a_container(
        server,
        place,
        url=url,
        access=access,
        authorities=authorities,
        read_seconds=1.0,
        identity=identity,
    )
    with closing(a_store(server, place, container, block=BLOCK)) as store:
        yield store


def denied(result: Result) -> str:
    """What the person is told."""
    assert isinstance(result, Denied), result
    return str(result)


# --- keys ---


def test_a_wrong_key_is_told(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(ACCOUNT, key=NOBODY)) as store:
        told = denied(only(store.put([a_put("k", SMALL)])))
        assert "AuthorizationFailure" in told
        assert NOBODY not in told
        with pytest.raises(Denied):
            store.stat(Key("k"))


def test_a_wrong_container_is_told(azurite: AzureServer) -> None:
    with opened(azurite, place=("unknown", "prefix/")) as store:
        assert "there is no such container: make it" in denied(only(store.put([a_put("k", SMALL)])))
        for ask in (store.stat, store.digest):
            with pytest.raises(Denied, match="ContainerNotFound"):
                ask(Key("k"))
        with pytest.raises(Denied, match="ContainerNotFound"):
            list(store.keys())


def test_an_account_that_lets_nobody_in_is_asked_once_for_a_batch(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(ACCOUNT, key=NOBODY)) as store:
        results = store.put([a_put(f"k{n}", SMALL) for n in range(20)])
        assert {type(result) for result in results} == {Denied}
        assert store.requests()["PutBlob"] <= 4


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_connection_string_opens_the_account(azurite: AzureServer, kind: str) -> None:
    opens = f"AccountKey={KEY}" if kind == "key" else f"SharedAccessSignature={azurite.sas('rcwl')}"
    written = f"AccountName={ACCOUNT};BlobEndpoint={azurite.url};{opens}"
    with opened(azurite, AzureAccess.of(written)) as store:
        assert receipt(store.put([a_put("k", SMALL)])).written
        assert store.digest(Key("k")) == digest(SMALL)
        assert list(store.keys()) == [Key("k")]


# --- signatures ---


def test_a_signature_that_is_over_is_told(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(sas_token=azurite.sas("rcw", seconds=-60))) as store:
        assert "the SAS token has expired: renew it" in denied(only(store.put([a_put("k", SMALL)])))
        with pytest.raises(Denied, match="has expired"):
            store.stat(Key("k"))


def test_a_signature_that_is_not_valid_yet_is_told_with_its_beginning(azurite: AzureServer) -> None:
    early = azurite.sas("rcw", begins=3600, seconds=7200)
    with opened(azurite, AzureAccess(sas_token=early)) as store:
        assert "the SAS token is not valid before 2" in denied(only(store.put([a_put("k", SMALL)])))
        with pytest.raises(Denied, match="make another one"):
            store.stat(Key("k"))


def test_a_signature_does_not_go_through_a_proxy_in_the_open(
    azurite: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(azurite.url) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        with opened(azurite, AzureAccess(sas_token=azurite.sas("rcw"))) as store:
            assert "set NO_PROXY" in denied(only(store.put([a_put("k", SMALL)])))
        assert proxy.connections == 0


def test_a_signature_that_may_only_write_is_enough_to_put(azurite: AzureServer, tmp_path: Path) -> None:
    with (
        opened(azurite, AzureAccess(sas_token=azurite.sas("cw"))) as store,
        (tmp_path / "source").open("w+b") as file,
    ):
        assert receipt(store.put([a_put("small", SMALL)])).written
        assert store.requests() == {"PutBlob": 1, "HeadBlob": 1}, "it is looked for, and need not be shown"
        large = put_file("large", tmp_path / "source", pattern(3 * BLOCK), file.fileno())
        assert receipt(store.put([large])).written
        taken = only(store.put([a_put("small", b"other")]))
        assert isinstance(taken, Refusal)
        assert "may not look" in str(taken)


def test_a_signature_that_may_only_create_takes_small_copies(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(sas_token=azurite.sas("c"))) as store:
        assert receipt(store.put([a_put("k", SMALL)])).written


def test_a_signature_that_may_only_read_cannot_put(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(sas_token=azurite.sas("r"))) as store:
        assert "docs/azure.md" in denied(only(store.put([a_put("k", SMALL)])))
        assert store.stat(Key("k")) is None


def test_a_signature_without_lists_can_do_all_but_list(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(sas_token=azurite.sas("rcw"))) as store:
        assert receipt(store.put([a_put("k", SMALL)])).written
        assert receipt(store.put([a_put("k", SMALL)])).written is False
        assert receipt(store.put([a_put("k", b"new", SMALL)])).written
        assert store.digest(Key("k")) == digest(b"new")
        with pytest.raises(Denied, match=r"docs/azure\.md"):
            list(store.keys())


ASK: Final[dict[str, Callable[[ObjectStore], object]]] = {
    "put": lambda store: only(store.put([a_put("k", SMALL)])),
    "stat": lambda store: store.stat(Key("k")),
    "digest": lambda store: store.digest(Key("k")),
    "keys": lambda store: list(store.keys()),
}
ALL: Final = of("PutBlob", "HeadBlob", "GetBlob", "ListBlobs")


def echo(status: int, token: str) -> Answer:
    said = f"<Error><Code>InvalidUri</Code><Message>What is /k?{token}</Message></Error>"
    return Answer(status, said.encode(), {"content-type": "application/xml", "x-ms-error-code": "InvalidUri"})


@pytest.mark.parametrize(
    ("fault", "ask"),
    [
        (fault, ask)
        for fault in ("refuse", "reset", "silent", "truncate", "echo", "down")
        for ask in ASK
        if (fault, ask) not in {("truncate", "put"), ("truncate", "stat")}  # answers without a body
    ],
)
def test_no_error_shows_the_signature(azurite: AzureServer, fault: str, ask: str) -> None:
    token = azurite.sas("rcwl")
    faults: dict[str, What] = {
        "refuse": Refuse(),
        "reset": Reset(),
        "silent": Blackhole(),
        "truncate": Truncate(3),
        "echo": echo(400, token),
    }
    with Proxy(azurite.url) as proxy:
        if fault in faults:
            proxy.faults.append(Fault(faults[fault], ALL, math.inf))
        with opened(azurite, AzureAccess(sas_token=token), url=proxy.url) as store:
            if fault == "down":
                with proxy.down():
                    told = result_of(ASK[ask], store)
            else:
                told = result_of(ASK[ask], store)
            assert "sig" not in store.uri(Key("k"))
    assert told, "there was no error"
    assert "sig=" not in told
    assert token[-20:] not in told


def result_of(ask: Callable[[ObjectStore], object], store: ObjectStore) -> str:
    """All that an error tells, with what it came from."""
    try:
        found = ask(store)
    except Exception as error:  # noqa: BLE001 - whatever it is, it has to be discreet
        found = error
    told = ""
    while isinstance(found, BaseException):
        told += repr(found) + str(found) + repr(vars(found))
        found = found.__cause__ or found.__context__
    return told


# --- identities ---


@dataclass
class Fleeting:
    """Tokens that hold for so many seconds."""

    seconds: float
    given: list[str] = field(default_factory=list)

    def get_token(self, *_: str, **__: object) -> AccessToken:
        self.given.append(f"token {len(self.given)}")
        return AccessToken(self.given[-1], int(time.time() + self.seconds))


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    moments = iter([0.0, 3000.0, 3400.0, 3400.0])
    started = time.time()
    bearer = Bearer(Fleeting(3600), lambda: started + next(moments))
    assert [bearer.token() for _ in range(3)] == ["token 0", "token 0", "token 1"]
    bearer.forget()
    assert bearer.token() == "token 2"


def test_one_token_opens_both_ways_to_the_account(azurite_tls: AzureServer) -> None:
    source = Counting()
    with opened(azurite_tls, AzureAccess(), identity=source) as store:
        receipt(store.put([a_put("k", SMALL)]))
        assert store.digest(Key("k")) == digest(SMALL)
        assert store.stat(Key("k")) is not None
    assert source.asked == 1


def test_a_token_that_is_not_believed_is_asked_for_again(
    azurite_tls: AzureServer, authority: Authority
) -> None:
    source = Fleeting(3600)
    with (
        Proxy(azurite_tls.url, tls=authority.good.context(), upstream_tls=authority.trusting()) as proxy,
        opened(azurite_tls, AzureAccess(), identity=source, url=proxy.url) as store,
    ):
        proxy.faults.append(Fault(Answer.azure(401, "InvalidAuthenticationInfo"), of("PutBlob"), 2))
        for _ in range(2):
            denied(only(store.put([a_put("k", SMALL)])))
        assert [seen.headers["authorization"] for seen in proxy.seen] == ["Bearer token 0", "Bearer token 1"]


class Counting(Tokens):
    """Tells how often it was asked."""

    asked = 0

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.asked += 1
        return super().get_token(*scopes, **options)


class Unreachable:
    """Whoever gives tokens is not there."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        raise ServiceRequestError("https://login.example/?secret")


def test_an_identity_that_cannot_be_asked_may_pass(azurite_tls: AzureServer) -> None:
    with opened(azurite_tls, AzureAccess(), identity=Unreachable()) as store:
        got = only(store.put([a_put("k", SMALL)]))
    assert isinstance(got, Unavailable)
    assert "secret" not in str(got)


def test_an_identity_goes_over_https_only(azurite: AzureServer) -> None:
    with opened(azurite, AzureAccess(), identity=Tokens()) as store:
        assert "https only" in denied(only(store.put([a_put("k", SMALL)])))


def test_without_the_extra_its_name_is_told(
    azurite_tls: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with opened(azurite_tls, AzureAccess(ACCOUNT)) as store:
        assert "artifactd[azure-identity]" in denied(only(store.put([a_put("k", SMALL)])))


def test_without_any_identity_the_sdk_says_what_it_looked_for(
    azurite_tls: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with opened(azurite_tls, AzureAccess(ACCOUNT)) as store:
        assert "no token: " in denied(only(store.put([a_put("k", SMALL)])))
        with pytest.raises(Denied, match="no token: "):
            store.stat(Key("k"))


# --- TLS ---


def test_https_is_spoken_with_who_can_be_trusted(azurite_tls: AzureServer) -> None:
    with opened(azurite_tls) as store:
        assert receipt(store.put([a_put("k", SMALL)])).written
        assert store.digest(Key("k")) == digest(SMALL)


@pytest.mark.parametrize("kind", ["another host's", "expired", "of an unknown authority"])
def test_a_certificate_that_is_not_to_be_trusted_is_told(
    azurite_tls: AzureServer, authority: Authority, kind: str
) -> None:
    shown: dict[str, Certificate] = {"another host's": authority.other_host, "expired": authority.expired}
    certificate = shown.get(kind, authority.good)
    strangers = Path(certifi.where()) if kind == "of an unknown authority" else None
    access = AzureAccess(sas_token=azurite_tls.sas("rcw"))
    with (
        Proxy(azurite_tls.url, tls=certificate.context(), upstream_tls=authority.trusting()) as proxy,
        opened(azurite_tls, access, url=proxy.url, authorities=strangers) as store,
    ):
        assert "not to be trusted" in denied(only(store.put([a_put("k", SMALL)])))
        with pytest.raises(Denied, match="not to be trusted"):
            store.stat(Key("k"))
        assert not any("sig=" in result_of(ask, store) for ask in ASK.values())
        assert proxy.seen == []


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_certificates_that_cannot_be_read_are_told(
    azurite_tls: AzureServer, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with opened(azurite_tls, authorities=file) as store:
        assert "cert_location" in denied(only(store.put([a_put("k", SMALL)])))
