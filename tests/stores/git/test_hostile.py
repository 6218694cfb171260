"""git servers and LFS servers that say anything, or nothing, or go on for ever."""

import fcntl
import json
import os
import signal
import socket
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.config.destinations.git_address import Address
from artifactd.config.values import Hidden
from artifactd.stores.base import Corrupt, Denied, Receipt, Result, StoreError, Unavailable
from artifactd.stores.git import answers
from artifactd.stores.git.lfs.files import Lfs
from artifactd.stores.git.lfs.pointer import Pointer
from artifactd.stores.git.lfs.server import Action, Gone, LfsServer, parsed
from artifactd.stores.git.process import Runner, Running
from artifactd.stores.git.remote import Remote
from artifactd.stores.git.store import GitStore
from tests.servers.git.https import PASSWORD, USER
from tests.servers.git.repository import BRANCH, Repository
from tests.servers.git.stores import store_on
from tests.servers.ports import LOCALHOST
from tests.servers.tls import Authority
from tests.support.harness import a_put, digest, only, receipt
from tests.support.scripted import Script, Scripted, request, serving

LARGE = b"large" * 100


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository.git")


# --- the LFS server ---


def tls(authority: Authority, script: Script) -> Script:
    """The script, behind TLS."""

    def secured(connected: socket.socket) -> None:
        with authority.good.context().wrap_socket(connected, server_side=True) as wire:
            script(wire)

    return secured


def saying(answer: bytes, heads: list[bytes] | None = None) -> Script:
    """This body, whatever is asked."""

    def script(connected: socket.socket) -> None:
        head, _ = request(connected)
        if heads is not None:
            heads.append(head)
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    return script


def lfs_on(server: Scripted, authority: Authority, seconds: float = 30.0) -> LfsServer:
    url = f"https://{LOCALHOST}:{server.port}/repository.git"
    password = Hidden(PASSWORD)
    remote = Remote(Address.parse(url), BRANCH, USER, password=password, ca_file=authority.ca_file)
    return LfsServer(remote, Runner(Path("/"), 5.0, Running()), seconds)


def batch(**upload: object) -> bytes:
    return json.dumps({"objects": [{"actions": {"upload": upload}}]}).encode()


HOSTILE = {
    "a port that is none": batch(href="https://127.0.0.1:99999/k"),
    "a port that is no number": batch(href="https://127.0.0.1:many/k"),
    "the port 0": batch(href="https://127.0.0.1:0/k"),
    "CR LF in the address": batch(href="https://127.0.0.1/k\r\nX: y"),
    "a space in the address": batch(href="https://127.0.0.1/k k"),
    "no ASCII in the address": batch(href="https://127.0.0.1/é"),
    "no ASCII in the host": batch(href="https://é.example/k"),
    "half an IPv6 address": batch(href="https://[::1"),
    "no IPv6 address": batch(href="https://[zz]/"),
    "a user in the address": batch(href="https://user:word@127.0.0.1/k"),
    "an address without a host": batch(href="https:///k"),
    "an address that is a number": batch(href=7),
    "no address": batch(header={}),
    "CR LF in a header": batch(href="https://127.0.0.1/k", header={"X": "y\r\nZ: z"}),
    "CR LF in a header's name": batch(href="https://127.0.0.1/k", header={"X\r\nZ": "z"}),
    "no ASCII in a header": batch(href="https://127.0.0.1/k", header={"X": "日本"}),
    "a header that is a number": batch(href="https://127.0.0.1/k", header={"X": 7}),
    "headers that are a list": batch(href="https://127.0.0.1/k", header=["X"]),
    "too many headers": batch(href="https://127.0.0.1/k", header={f"X{n}": "y" for n in range(101)}),
    "an action that is a text": json.dumps({"objects": [{"actions": {"upload": "x"}}]}).encode(),
    "actions that are a list": json.dumps({"objects": [{"actions": [1]}]}).encode(),
    "no objects": b"{}",
    "two objects": b'{"objects": [{}, {}]}',
    "an object that is nothing": b'{"objects": [null]}',
    "an error that is nothing": b'{"objects": [{"error": null}]}',
    "an error without a number": b'{"objects": [{"error": {"code": "many"}}]}',
    "an error without an end": b'{"objects": [{"error": {"code": 1e999}}]}',
    "no JSON": b"<html>",
    "no UTF-8": b'{"objects": "\xff"}',
    "deep JSON": b"[" * 200_000,
    "deep JSON within": b'{"objects": [{"actions": ' + b'{"a":' * 100_000 + b"1",
    "large JSON": b'{"objects": [{"actions": {}}], "more": "' + b"x" * (2 << 20) + b'"}',
    "a large number": b'{"objects": [{"error": {"code": ' + b"9" * 5000 + b"}}]}",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_lfs_server_that_says_what_is_no_answer_is_unavailable(authority: Authority, said: bytes) -> None:
    with (
        serving(tls(authority, saying(said))) as server,
        pytest.raises(Unavailable, match="no answer"),
    ):
        lfs_on(server, authority).actions("upload", Pointer(digest(LARGE), len(LARGE)))


@pytest.mark.parametrize("scheme", ["http", "file", "ssh", "ftp", "HTTP", "javascript"])
def test_an_lfs_server_that_names_another_protocol_is_denied(authority: Authority, scheme: str) -> None:
    said = batch(href=f"{scheme}://127.0.0.1/etc/passwd")
    with serving(tls(authority, saying(said))) as server, pytest.raises(Denied, match="not https://"):
        lfs_on(server, authority).actions("upload", Pointer(digest(LARGE), len(LARGE)))


@pytest.mark.parametrize(
    "said", [HOSTILE["a port that is none"], HOSTILE["deep JSON"], batch(href="file:///k")]
)
def test_what_it_says_is_that_file_s_error_and_no_other_s(
    authority: Authority, repository: Repository, tmp_path: Path, said: bytes
) -> None:
    with serving(tls(authority, saying(said))) as server:
        store = store_on(str(repository.path), tmp_path / "home", lfs_threshold=100)
        store._lfs = type(store._lfs)(lfs_on(server, authority))  # noqa: SLF001 - a directory has no LFS of its own
        large, small = store.put([a_put("large", LARGE), a_put("small", b"small")])
        store.close()
    assert type(large) is StoreError, large
    assert isinstance(small, Receipt)


def test_the_password_goes_to_the_repository_s_own_host_and_no_other(authority: Authority) -> None:
    heads, theirs = list[bytes](), list[bytes]()
    with serving(tls(authority, saying(b"", theirs))) as elsewhere:
        said = batch(href=f"https://{LOCALHOST}:{elsewhere.port}/k", header={"X-Key": "k"})
        with serving(tls(authority, saying(said, heads))) as server:
            lfs = lfs_on(server, authority)
            upload = lfs.actions("upload", Pointer(digest(LARGE), len(LARGE)))["upload"]
            with lfs.request("PUT", upload, LARGE) as answer:
                assert answer.status == 200
    assert b"Authorization: Basic" in heads[0]
    assert b"X-Key: k" in theirs[0]
    assert b"Authorization" not in theirs[0]


def test_a_server_does_not_choose_where_a_request_ends(authority: Authority) -> None:
    said = batch(href="https://127.0.0.1/k", header={"content-length": "1", "Transfer-Encoding": "chunked"})
    with serving(tls(authority, saying(said))) as server:
        upload = lfs_on(server, authority).actions("upload", Pointer(digest(LARGE), len(LARGE)))["upload"]
    assert upload == Action("https://127.0.0.1/k", {})


DRIPS = {
    "a header": b"HTTP/1.1 200 OK\r\nX-Long: ",
    "a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "a body to the end of the connection": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("start", DRIPS.values(), ids=DRIPS.keys())
def test_an_answer_that_drips_ends_with_the_request_s_time(authority: Authority, start: bytes) -> None:
    ended = threading.Event()

    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(start)
        while not ended.wait(0.02):
            connected.sendall(b"x")

    with serving(tls(authority, script)) as server:
        lfs = lfs_on(server, authority, seconds=1.0)
        with pytest.raises(Unavailable, match=f"{LOCALHOST} took more than 1 seconds in all"):
            lfs.actions("upload", Pointer(digest(LARGE), len(LARGE)))
        ended.set()


def test_a_file_whose_end_is_missing_is_no_other_file(authority: Authority) -> None:
    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + LARGE[:100])

    with serving(tls(authority, script)) as server:
        lfs = lfs_on(server, authority)
        there = json.dumps(
            {"objects": [{"actions": {"download": {"href": f"https://{LOCALHOST}:{server.port}/k"}}}]}
        ).encode()
        with serving(tls(authority, saying(there))) as first:
            files = type(store_on("/none", Path("/none"))._lfs)(lfs_on(first, authority))  # noqa: SLF001 - as above
            with pytest.raises(Unavailable, match="the end is missing"):
                files.digest(Pointer(digest(LARGE), len(LARGE)))
    assert lfs.possible


FLOODS = {
    "announced": b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    "to the end of the connection": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("start", FLOODS.values(), ids=FLOODS.keys())
def test_a_file_is_read_no_further_than_its_size(authority: Authority, start: bytes) -> None:
    def script(connected: socket.socket) -> None:
        request(connected)
        connected.sendall(start)
        while True:
            connected.sendall(bytes(65536))

    with serving(tls(authority, script)) as server:
        there = {"objects": [{"actions": {"download": {"href": f"https://{LOCALHOST}:{server.port}/k"}}}]}
        with serving(tls(authority, saying(json.dumps(there).encode()))) as first:
            files, passed = Lfs(lfs_on(first, authority)), list[int]()
            with pytest.raises(Corrupt, match="more than 500 bytes"):
                files.digest(Pointer(digest(LARGE), len(LARGE)), passed.append)
    assert sum(passed) == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(["objects", "actions", "upload", "href", "header", "error", "code", "message"])
_HREFS = st.sampled_from(["https://", "http://", "[", "]", ":", "@", "/", "host", "99999", "\r\n", "é"])
_ANSWERS = st.recursive(
    _JSON | st.lists(_HREFS, max_size=6).map("".join),
    lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.binary(max_size=200)
    | _ANSWERS.map(lambda said: json.dumps(said).encode())
    | _ANSWERS.map(lambda said: json.dumps({"objects": [said]}).encode())
    | _ANSWERS.map(lambda said: json.dumps({"objects": [{"actions": {"upload": said}}]}).encode())
    | _ANSWERS.map(lambda said: json.dumps({"objects": [{"error": said}]}).encode())
)
def test_any_answer_to_a_batch_is_actions_or_an_error_of_ours(said: bytes) -> None:
    with suppress(StoreError, Gone):
        for action in parsed(said).values():
            assert action.href.startswith(("https://", "HTTPS://"))
            assert all(value.isprintable() for value in action.header.values())


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda said: said.decode("utf-8", "replace")))
def test_any_words_of_git_mean_something_or_nothing(said: str) -> None:
    met = answers.meaning(said)
    assert met is None or isinstance(met, StoreError)
    assert answers.rejected(said) in (True, False)
    assert answers.excerpt(said).isprintable()


# --- the clone ---


@pytest.mark.parametrize("stamp", [b"\xff\xfe", b"", b"\0" * 100, bytes(range(256))])
def test_a_stamp_of_garbage_means_a_new_clone(repository: Repository, tmp_path: Path, stamp: bytes) -> None:
    first = store_on(str(repository.path), tmp_path / "home")
    receipt(first.put([a_put("k", b"k")]))
    first.close()
    (place,) = (tmp_path / "home").iterdir()
    (place / "in-order").write_bytes(stamp)
    (place / "repository.git" / "HEAD").write_bytes(b"\xff")
    second = store_on(str(repository.path), tmp_path / "home")
    receipt(second.put([a_put("l", b"l")]))
    second.close()
    assert repository.contents() == {"k": b"k", "l": b"l"}


def test_branches_of_others_may_be_called_anything(repository: Repository, tmp_path: Path) -> None:
    repository.write({"theirs": b"theirs"})
    packed = repository.path / "packed-refs"
    name = b"refs/heads/\xff\xfe/refs/heads/" + BRANCH.encode()
    packed.write_bytes(repository.head().encode() + b" " + name + b"\n")
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("k", b"k")]))
    store.close()


# --- a hook that sleeps ---


def sleeping(repository: Repository, tmp_path: Path, then: str = "exec sleep 600") -> Path:
    """A hook that takes a lock, says so through a pipe and sleeps with it; the lock's path."""
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "asleep")
    hook.write_text(f"#!/bin/bash\nexec 9>{tmp_path}/lock\nflock 9\necho $$ > {tmp_path}/asleep\n{then}\n")
    hook.chmod(0o755)
    return tmp_path / "lock"


def wait_until_gone(lock: Path) -> None:
    """Until everybody who inherited the lock is dead; the test's own time-out is the limit."""
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def putting(store: GitStore) -> tuple[threading.Thread, list[Result]]:
    results = list[Result]()
    thread = threading.Thread(target=lambda: results.extend(store.put([a_put("k", b"k")])))
    thread.start()
    return thread, results


def test_a_hook_that_sleeps_costs_the_time_out_and_is_killed(repository: Repository, tmp_path: Path) -> None:
    lock = sleeping(repository, tmp_path)
    store = store_on(str(repository.path), tmp_path / "home", {"seconds": 2.0})
    thread, results = putting(store)
    (tmp_path / "asleep").read_text()
    thread.join()
    assert isinstance(only(results), Unavailable)
    assert "more than 2 seconds" in str(only(results))
    wait_until_gone(lock)
    store.close()
    assert repository.contents() == {}


def test_a_hook_that_talks_costs_no_memory(repository: Repository, tmp_path: Path) -> None:
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nyes 'not this, not that' | head -c 5000000 >&2\necho policy 7 >&2\nexit 1\n")
    hook.chmod(0o755)
    store = store_on(str(repository.path), tmp_path / "home")
    tracemalloc.start()
    try:
        result = only(store.put([a_put("k", b"k")]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        store.close()
    assert isinstance(result, Denied)
    assert "policy 7" in str(result)
    assert peak < 2 << 20


def test_an_ssh_that_hangs_costs_the_time_out(tmp_path: Path) -> None:
    def script(connected: socket.socket) -> None:
        while connected.recv(1024):
            pass

    with serving(script) as server:
        url = f"ssh://git@{LOCALHOST}:{server.port}/repository.git"
        store = store_on(url, tmp_path / "home", {"seconds": 1.0})
        result = only(store.put([a_put("k", b"k")]))
        store.close()
    assert isinstance(result, Unavailable)
    assert "more than 1 second" in str(result)


def test_a_hook_that_leaves_the_group_is_not_waited_for(repository: Repository, tmp_path: Path) -> None:
    """It is the server's and nobody can kill it; but it holds the pipe that git's words come through."""
    sleeping(repository, tmp_path, "setsid sleep 600 & echo $! > $0.pid; wait")
    store = store_on(str(repository.path), tmp_path / "home", {"seconds": 2.0})
    thread, results = putting(store)
    (tmp_path / "asleep").read_text()
    thread.join()
    store.close()
    assert isinstance(only(results), Unavailable)
    os.kill(int((repository.path / "hooks" / "pre-receive.pid").read_text()), signal.SIGKILL)


def test_closing_the_store_kills_what_is_under_way_and_does_not_wait(
    repository: Repository, tmp_path: Path
) -> None:
    lock = sleeping(repository, tmp_path)
    store = store_on(str(repository.path), tmp_path / "home", {"seconds": 600.0})
    thread, results = putting(store)
    (tmp_path / "asleep").read_text()
    store.close()
    thread.join()
    assert isinstance(only(results), Unavailable)
    wait_until_gone(lock)
    (repository.path / "hooks" / "pre-receive").unlink()
    again = store_on(str(repository.path), tmp_path / "home")
    receipt(again.put([a_put("k", b"k")]))
    again.close()
    assert [place.name[-2:] for place in (tmp_path / "home").iterdir()] == ["-0"]  # its place was free
