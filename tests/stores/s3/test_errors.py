"""What a person is told when S3 does not let us in, or is not there at all."""

import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.base import Corrupt, Denied, StoreError, Unacceptable, Unavailable
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.s3 import checksums
from artifactd.stores.s3.bucket import Bucket
from artifactd.stores.s3.checksums import Verified
from tests.servers.faults import Answer, Fault
from tests.servers.ports import free_ports
from tests.servers.proxy import Proxy
from tests.servers.s3 import Credentials, S3Server
from tests.servers.tls import Authority
from tests.support.buckets import CLOCK, PART, a_bucket, a_store
from tests.support.harness import a_put, digest, only, outcome, pattern, put_file, receipt
from tests.support.scripted import serving
from tests.support.through import Through, through


@pytest.fixture
def weed(seaweed: S3Server) -> Iterator[Through]:
    with through(seaweed) as here:
        yield here


def a_store_at(endpoint: S3Endpoint) -> ObjectStore:
    bucket = Bucket(endpoint, S3Access("AKIAADMIN", "secret"), S3Table(), CLOCK)
    return ObjectStore(
        "s3",
        bucket,
        prefix="",
        part_size=PART,
        connections=2,
        abandon_after=1.0,
        upload_log=InMemory(),
        clock=CLOCK,
    )


def said(store: ObjectStore) -> StoreError:
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, StoreError)
    store.close()
    return result


# --- answers, from the server itself ---


def test_a_wrong_secret_is_told_apart_from_a_wrong_key(weed: Through) -> None:
    key = weed.server.access_key
    wrong_secret = said(weed.store(ready=False, credentials=Credentials(key, "wrong")))
    assert isinstance(wrong_secret, Denied)
    assert "aws_secret_access_key" in str(wrong_secret)
    wrong_key = said(weed.store(ready=False, credentials=Credentials("AKIAWRONG", "wrong")))
    assert isinstance(wrong_key, Denied)
    assert "aws_access_key_id" in str(wrong_key)


def test_a_bucket_that_does_not_exist_is_named(seaweed: S3Server) -> None:
    place = ("unknown-bucket", "p/")
    error = said(a_store(seaweed, place, a_bucket(seaweed, place)))
    assert isinstance(error, Denied)
    assert "artifacts_s3_bucket" in str(error)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_is_named(weed: Through, hours: int) -> None:
    skewed = replace(CLOCK, now=lambda: CLOCK.now() + hours * 3600)
    error = said(weed.store(ready=False, signing=skewed))
    assert isinstance(error, Denied)
    assert "this host's clock" in str(error)


def test_a_bucket_in_another_region_is_named_with_its_region(weed: Through) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1"), "PutObject")
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Denied)
    assert "set region in [s3]" in str(result)
    assert "eu-west-1" in str(result)
    assert weed.operations == ["PutObject"], "no redirect is followed"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_without_end_is_told_as_one_by_every_request(weed: Through, status: int) -> None:
    store = weed.store()
    weed.spoil(Answer(status, headers={"location": f"{weed.proxy.url}/elsewhere"}), times=math.inf)
    asked: list[Callable[[], object]] = [
        lambda: only(store.put([a_put("k", b"new")])),
        lambda: store.stat(Key("k")),
        lambda: store.digest(Key("k")),
        lambda: list(store.keys()),
    ]
    for ask in asked:
        weed.proxy.seen.clear()
        try:
            answer = ask()
        except StoreError as error:
            answer = error
        assert isinstance(answer, Denied)
        assert "Redirect" in str(answer)
        assert "aws_s3_endpoint_url" in str(answer)
        assert len(weed.proxy.seen) == 1, "none is followed, nor is another place looked for"


def test_a_key_that_is_too_long_concerns_itself_alone(weed: Through) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(400, "KeyTooLongError"), "PutObject")
    results = store.put([a_put("long", b"new")]) + store.put([a_put("short", b"new")])
    assert [outcome(result) for result in results] == ["Unacceptable", "written"]
    assert isinstance(results[0], Unacceptable)


def test_expired_credentials_are_named_also_where_the_answer_has_no_body(weed: Through) -> None:
    """400 is all that an answer to HEAD says of them."""
    store = weed.store()
    weed.spoil(Answer(400), "HeadObject")
    with pytest.raises(Denied, match="expired"):
        store.stat(Key("k"))


def test_a_large_copy_meets_a_store_that_is_down_as_a_small_one_does(weed: Through, tmp_path: Path) -> None:
    store = weed.store()
    with weed.proxy.down(), (tmp_path / "source").open("w+b") as file:
        result = only(store.put([put_file("k", tmp_path / "source", pattern(PART + 1), file.fileno())]))
    assert isinstance(result, Unavailable)


def test_a_server_that_recovers_is_used_again(weed: Through) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(403, "AccessDenied"), times=1)
    assert isinstance(only(store.put([a_put("k", b"new")])), Denied)
    with weed.proxy.down():
        assert isinstance(only(store.put([a_put("k", b"new")])), Unavailable)
    assert receipt(store.put([a_put("k", b"new")])).written


# --- nothing there ---


@pytest.fixture
def forgetful(weed: Through) -> Through:
    """It keeps the probe's object, and of copies nothing, though it says so with an ETag."""
    kept = Answer(200, headers={"etag": '"00000000000000000000000000000000"'})
    weed.proxy.faults.append(
        Fault(kept, lambda seen: seen.operation == "PutObject" and "probes/" not in seen.target, math.inf)
    )
    return weed


@pytest.mark.parametrize("verified", [None, Verified.MD5, Verified.NOTHING])
def test_a_server_that_takes_copies_and_keeps_nothing_is_out(
    forgetful: Through, verified: Verified | None
) -> None:
    store = forgetful.store(ready=False, verified=verified)
    for result in store.put([a_put("k", b"new"), a_put("l", b"new")]):
        assert isinstance(result, Denied)
        assert "said that it took this copy, and does not have it" in str(result)
    forgetful.proxy.faults.clear()
    assert receipt(store.put([a_put("k", b"new")])).written, "it recovers by itself"


def test_one_copy_of_each_run_is_looked_for(weed: Through) -> None:
    for run in "12":
        store = weed.store(ready=False)
        weed.proxy.seen.clear()
        for key in "abc":
            receipt(store.put([a_put(run + key, b"new")]))
        assert [seen.target.rpartition("/")[2] for seen in weed.seen("HeadObject")] == ["probe", f"{run}a"]


def test_a_server_that_says_it_got_other_bytes_is_not_believed(weed: Through) -> None:
    store = weed.store()
    other = checksums.of_content(b"other", Verified.SHA256).headers
    weed.spoil(Answer(200, headers={"etag": '"1"', **other}), "PutObject")
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Corrupt)
    assert digest(b"other") in str(result)


# --- nobody there ---


def test_a_port_that_nobody_listens_at() -> None:
    (port,) = free_ports(1)
    error = said(
        a_store_at(S3Endpoint("bucket", "us-east-1", f"http://127.0.0.1:{port}", AddressingStyle.PATH))
    )
    assert isinstance(error, Unavailable)
    assert f"127.0.0.1:{port} cannot be reached" in str(error)


def test_a_name_that_does_not_resolve() -> None:
    error = said(
        a_store_at(S3Endpoint("bucket", "us-east-1", "http://s3.invalid:9000", AddressingStyle.PATH))
    )
    assert isinstance(error, Unavailable)
    assert "s3.invalid:9000 cannot be reached" in str(error)


def test_somebody_who_does_not_speak_http() -> None:
    def script(connected: socket.socket) -> None:
        connected.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connected.recv(1 << 16)
        connected.sendall(b"\r\n\r\n")

    with serving(script) as server:
        error = said(
            a_store_at(
                S3Endpoint("bucket", "us-east-1", f"http://127.0.0.1:{server.port}", AddressingStyle.PATH)
            )
        )
    assert not isinstance(error, Denied)
    assert "127.0.0.1" in str(error)


def test_reading_from_a_store_that_is_down_is_a_store_error(weed: Through) -> None:
    store = weed.store()
    with weed.proxy.down():
        with pytest.raises(Unavailable):
            store.stat(Key("k"))
        with pytest.raises(Unavailable):
            store.digest(Key("k"))
        with pytest.raises(Unavailable):
            list(store.keys())


# --- TLS, on our own way and on the SDK's ---


@pytest.fixture
def secure(seaweed: S3Server, authority: Authority) -> Iterator[Through]:
    with Proxy(seaweed.url, tls=authority.good.context()) as proxy:
        here = Through(seaweed, proxy, seaweed.destination(), seaweed.client())
        yield here
        here.close()


def both_ways(here: Through, tmp_path: Path, authorities: Path | None, *, verify: bool = True) -> None:
    """A small copy, and a large one, which the SDK begins and completes; and all reads."""
    bucket = Bucket(
        S3Endpoint(
            here.place[0],
            "us-east-1",
            here.proxy.url,
            AddressingStyle.PATH,
            authorities=authorities,
            verify=verify,
        ),
        S3Access(here.server.access_key, here.server.secret_key),
        S3Table(),
        CLOCK,
        probe_key="probes/" + here.place[1] + "probe",
    )
    store = here.store(bucket)
    with (tmp_path / "source").open("w+b") as file:
        large = put_file("large", tmp_path / "source", pattern(PART + 1), file.fileno())
        results = store.put([a_put("small", b"new"), large])
    assert [outcome(result) for result in results] == ["written", "written"]
    assert store.digest(large.key) == large.digest


def test_authorities_of_ones_own_hold_for_both_ways(
    secure: Through, authority: Authority, tmp_path: Path
) -> None:
    both_ways(secure, tmp_path, authority.ca_file)


def test_the_sdks_own_variable_names_the_authorities_too(
    secure: Through, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.ca_file))
    both_ways(secure, tmp_path, None)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_who_wants_no_check_gets_none_on_both_ways(secure: Through, tmp_path: Path) -> None:
    both_ways(secure, tmp_path, None, verify=False)


@pytest.mark.parametrize("kind", ["unknown", "other_host", "expired"])
def test_a_certificate_that_is_not_to_be_trusted_is_denied_and_nothing_is_sent(
    seaweed: S3Server, authority: Authority, kind: str
) -> None:
    certificate = authority.good if kind == "unknown" else getattr(authority, kind)
    with Proxy(seaweed.url, tls=certificate.context()) as proxy:
        store = a_store_at(
            S3Endpoint(
                "bucket", "us-east-1", proxy.url, AddressingStyle.PATH,
                authorities=None if kind == "unknown" else authority.ca_file,
            )
        )  # fmt: skip
        with pytest.raises(Denied, match="TLS"):
            store.stat(Key("k"))
        assert isinstance(said(store), Denied)
        assert proxy.seen == []


def test_a_file_of_authorities_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("missing.pem", "empty.pem"):
        (tmp_path / "empty.pem").touch()
        endpoint = S3Endpoint(
            "b", "us-east-1", "https://127.0.0.1:1", AddressingStyle.PATH, authorities=tmp_path / name
        )
        error = said(a_store_at(endpoint))
        assert isinstance(error, Denied)
        assert name in str(error)


def test_a_server_that_is_always_busy_says_so(weed: Through) -> None:
    store = weed.store()
    weed.spoil(Answer.s3(507, "InsufficientStorage"), times=math.inf)
    result = only(store.put([a_put("k", b"new")]))
    assert isinstance(result, Unavailable)
    assert "InsufficientStorage" in str(result)
