"""git over HTTPS and ssh, with servers that are well, hostile, or gone."""

import getpass
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.config.values import Hidden
from artifactd.stores.base import Denied, Receipt, Result, Stat, StoreError, Unacceptable, Unavailable
from artifactd.stores.git.answers import Declined
from artifactd.stores.git.store import GitStore
from tests.servers.git.https import PASSWORD, USER, GitServer, https
from tests.servers.git.repository import Repository
from tests.servers.git.sshd import Sshd, keypair, sshd
from tests.servers.git.stores import RemoteOptions, store_on
from tests.servers.tls import Authority
from tests.support.harness import a_put, digest, only, receipt


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "root" / "repository.git")


@pytest.fixture
def root(repository: Repository) -> Path:
    """The directory that the server serves."""
    return repository.path.parent


@pytest.fixture
def server(repository: Repository, authority: Authority) -> Iterator[GitServer]:
    with https(repository.path.parent, authority.good.context()) as server:
        yield server


@pytest.fixture
def known(authority: Authority) -> RemoteOptions:
    return {"user": USER, "password": Hidden(PASSWORD), "ca_file": authority.ca_file}


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "home") as server:
        yield server


def put_one(store: GitStore) -> Result:
    try:
        return only(store.put([a_put("u/e/k", b"new")]))
    finally:
        store.close()


def refused(store: GitStore, kind: type[StoreError], *words: str) -> None:
    """The store refuses for this reason, in words that a person understands, and tells no secret."""
    result = put_one(store)
    assert type(result) is kind, repr(result)
    for word in words:
        assert word in str(result)
    assert PASSWORD not in str(result)


# --- HTTPS ---


def test_over_https_a_put_arrives_and_is_read_back(
    server: GitServer, repository: Repository, known: RemoteOptions, tmp_path: Path
) -> None:
    store = store_on(server.url(), tmp_path / "home", known)
    receipt(store.put([a_put("u/e/k", b"new")]))
    assert all(
        isinstance(r, Receipt) for r in store.put([a_put("u/e/k", b"newer", b"new"), a_put("u/e/l", b"l")])
    )
    assert repository.contents() == {"u/e/k": b"newer", "u/e/l": b"l"}
    assert store.digest(Key("u/e/k")) == digest(b"newer")
    assert sorted(map(str, store.keys())) == ["u/e/k", "u/e/l"]
    store.close()


def test_many_copies_are_asked_for_and_read_with_as_many_requests_as_one(
    server: GitServer, known: RemoteOptions, tmp_path: Path
) -> None:
    keys = [Key(f"u/e/{n}") for n in range(20)]
    store = store_on(server.url(), tmp_path / "home", known)
    results = store.put([a_put(key.text, key.text.encode()) for key in keys])
    versions = [result.version for result in results if isinstance(result, Receipt)]
    server.seen.clear()
    stats = list(store.stats(keys))
    assert [stat.version for stat in stats if isinstance(stat, Stat)] == versions
    asked = len(server.seen)
    server.seen.clear()
    assert list(store.digests(keys)) == [digest(key.text.encode()) for key in keys]
    read = len(server.seen)
    server.seen.clear()
    store.stat(keys[0])
    assert len(server.seen) == asked
    server.seen.clear()
    store.digest(keys[0])
    assert len(server.seen) == read
    store.close()


def test_a_wrong_password_is_denied(server: GitServer, known: RemoteOptions, tmp_path: Path) -> None:
    server.password = "another"  # noqa: S105 - of nobody
    refused(store_on(server.url(), tmp_path / "home", known), Denied, "artifacts_git_password")


def test_no_password_is_denied(server: GitServer, authority: Authority, tmp_path: Path) -> None:
    store = store_on(server.url(), tmp_path / "home", {"ca_file": authority.ca_file})
    refused(store, Denied, "artifacts_git_password")


def test_a_token_that_may_only_read_is_denied(
    server: GitServer, repository: Repository, known: RemoteOptions, tmp_path: Path
) -> None:
    repository.write({"theirs": b"theirs"})
    server.answers["git-receive-pack"] = (403, {})
    refused(store_on(server.url(), tmp_path / "home", known), Denied, "right to push")


def test_a_repository_that_is_not_there_is_denied(
    server: GitServer, known: RemoteOptions, tmp_path: Path
) -> None:
    store = store_on(server.url("unknown.git"), tmp_path / "home", known)
    refused(store, Denied, "artifacts_git_repo")


@pytest.mark.parametrize(
    ("certificate", "words"), [("expired", "out of date"), ("other_host", "of another host")]
)
def test_a_bad_certificate_is_denied(
    root: Path, authority: Authority, known: RemoteOptions, certificate: str, words: str
) -> None:
    with https(root, getattr(authority, certificate).context()) as server:
        refused(store_on(server.url(), root / "home", known), Denied, words)
        assert server.seen == []  # the password was not sent either


def test_a_certificate_of_an_unknown_authority_is_denied(
    server: GitServer, tmp_path: Path, known: RemoteOptions
) -> None:
    del known["ca_file"]
    refused(store_on(server.url(), tmp_path / "home", known), Denied, "ca_file")


@pytest.mark.parametrize("certificate", ["expired", "other_host"])
def test_verification_can_be_skipped(
    repository: Repository, authority: Authority, known: RemoteOptions, tmp_path: Path, certificate: str
) -> None:
    known["skip_cert_verification"] = True
    with https(repository.path.parent, getattr(authority, certificate).context()) as server:
        assert isinstance(put_one(store_on(server.url(), tmp_path / "home", known)), Receipt)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_never_followed(
    server: GitServer, root: Path, authority: Authority, known: RemoteOptions, status: int
) -> None:
    with https(root, authority.good.context()) as elsewhere:
        there = elsewhere.url() + "/info/refs?service=git-upload-pack"
        server.answers["info/refs"] = (status, {"Location": there})
        refused(store_on(server.url(), root / "home", known), Denied, "sends elsewhere")
        assert elsewhere.seen == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_unavailable_and_recovers(
    server: GitServer, known: RemoteOptions, tmp_path: Path, status: int
) -> None:
    store = store_on(server.url(), tmp_path / "home", known)
    server.answers["info/refs"] = (status, {})
    assert type(only(store.put([a_put("k", b"new")]))) is Unavailable
    server.answers.clear()
    receipt(store.put([a_put("k", b"new")]))
    store.close()


def test_a_server_that_asks_for_a_pause_gets_one(
    server: GitServer, known: RemoteOptions, tmp_path: Path
) -> None:
    server.answers["info/refs"] = (429, {})
    result = put_one(store_on(server.url(), tmp_path / "home", known))
    assert isinstance(result, Unavailable)
    assert result.retry_after > 0


def test_a_server_that_is_gone_is_unavailable(
    repository: Repository, authority: Authority, known: RemoteOptions, tmp_path: Path
) -> None:
    with https(repository.path.parent, authority.good.context()) as server:
        url = server.url()
    refused(store_on(url, tmp_path / "home", known), Unavailable)


def test_a_server_that_hangs_costs_the_time_out_and_no_more(
    server: GitServer, known: RemoteOptions, tmp_path: Path
) -> None:
    server.hang = threading.Event()
    known["seconds"] = 1.0
    refused(store_on(server.url(), tmp_path / "home", known), Unavailable, "more than 1 second")


def test_an_answer_that_was_lost_after_the_push_is_found_again(
    server: GitServer, repository: Repository, known: RemoteOptions, tmp_path: Path
) -> None:
    store = store_on(server.url(), tmp_path / "home", known)
    server.dropped.add("/git-receive-pack")
    assert type(only(store.put([a_put("k", b"new")]))) is Unavailable
    assert repository.contents() == {"k": b"new"}
    server.dropped.clear()
    got = receipt(store.put([a_put("k", b"new")]))
    assert (got.written, got.version, len(repository.commits())) == (False, repository.blobs()["k"], 1)
    store.close()


def test_a_server_that_hangs_up_on_a_cut_history_gets_pushes_that_say_nothing_of_it(
    server: GitServer, repository: Repository, known: RemoteOptions, tmp_path: Path
) -> None:
    repository.write({"theirs": b"theirs"})
    repository.write({"later": b"later"})
    server.knows_shallow = False
    store = store_on(server.url(), tmp_path / "home", known)
    receipt(store.put([a_put("u/e/k", b"new")]))
    server.seen.clear()
    receipt(store.put([a_put("u/e/l", b"new")]))
    assert sum(seen.endswith("POST /repository.git/git-receive-pack") for seen in server.seen) == 1
    store.close()
    assert repository.contents().keys() == {"theirs", "later", "u/e/k", "u/e/l"}
    repository.fsck()


# --- what a server does not want ---

HOOKS = {
    "a protected branch": ("remote: Branch dev is protected branch; use a pull request", Denied, "protected"),
    "a full quota": ("Repository is over its size limit of 4 GB", Declined, "no room"),
    "a file limit": (
        "File u/e/k is 200 MB; this exceeds the file size limit of 100 MB",
        Unacceptable,
        "size",
    ),
    "any rule": ("Commits need a ticket number", Declined, "ticket number"),
}


@pytest.mark.parametrize(("said", "kind", "words"), HOOKS.values(), ids=HOOKS.keys())
def test_a_rule_of_the_server_is_told_in_its_words(
    repository: Repository, tmp_path: Path, said: str, kind: type[StoreError], words: str
) -> None:
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    hook.chmod(0o755)
    refused(store_on(str(repository.path), tmp_path / "home"), kind, words)
    assert repository.contents() == {}


NO_BAD_NAMES = """#!/bin/sh
while read old new ref; do
    if git ls-tree -r --name-only $new | grep -q "$(cat {words})"; then
        echo "this file is not wanted here" >&2
        exit 1
    fi
done
"""


@pytest.mark.parametrize("bad", [[5], [0, 7], [3, 4, 5]])
def test_a_file_that_a_rule_refuses_delays_no_other(
    repository: Repository, tmp_path: Path, bad: list[int]
) -> None:
    hook, words = repository.path / "hooks" / "pre-receive", tmp_path / "words"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(NO_BAD_NAMES.format(words=words))
    hook.chmod(0o755)
    words.write_text("\n".join(f"k{n}$" for n in bad))
    store = store_on(str(repository.path), tmp_path / "home")
    results = store.put([a_put(f"u/e/k{n}", b"new") for n in range(8)])
    store.close()
    assert [type(result) for result in results] == [Unacceptable if n in bad else Receipt for n in range(8)]
    assert all("not wanted here" in str(results[n]) for n in bad)
    assert len(repository.contents()) == 8 - len(bad)


REFUSED_BY_GIT = {
    "too large for receive.maxInputSize": ("u/e/large", os.urandom(60_000), "size"),
    "a name that stands for .gitmodules": ("u/e/GITMOD~1", b'[submodule "../x"]\n\tpath=x\n\turl=y\n', "as"),
    "a name that stands for .gitattributes": ("u/e/gitatt~1", b"a" * 3000, "receive.fsckObjects"),
}


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
@pytest.mark.parametrize(("key", "content", "words"), REFUSED_BY_GIT.values(), ids=REFUSED_BY_GIT.keys())
def test_a_file_that_the_server_s_unpacker_refuses_is_refused_alone_and_the_clone_stays(
    repository: Repository, tmp_path: Path, key: str, content: bytes, words: str, *, alone: bool
) -> None:
    repository.configure("receive.maxInputSize", "40k")
    repository.configure("receive.fsckObjects", "true")
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("u/e/first", b"first")]))
    (place,) = (tmp_path / "home").iterdir()
    (place / "repository.git" / "mark").touch()
    others = [] if alone else [a_put(f"u/e/k{n}", b"new") for n in range(3)]
    bad, *results = store.put([a_put(key, content), *others])
    assert type(bad) is Unacceptable, bad
    assert words in str(bad)
    assert [type(result) for result in results] == [Receipt] * len(others)
    assert (place / "repository.git" / "mark").exists()
    assert len(repository.commits()) == (1 if alone else 3)  # each half has one
    store.close()


def logged(repository: Repository, hook: str) -> Path:
    """A hook that notes each push before it decides; the file that it notes in."""
    log = repository.path / "pushes"
    (repository.path / "hooks").mkdir(exist_ok=True)
    (repository.path / "hooks" / "pre-receive").write_text(f"#!/bin/sh\necho x >> {log}\n{hook}")
    (repository.path / "hooks" / "pre-receive").chmod(0o755)
    return log


STANDING = {
    "another branch below its name": ("git update-ref refs/heads/dev/feature $OLD", "artifacts_git_branch"),
    "a stale lock": ("touch refs/heads/dev.lock", "its owner deletes the file"),
}


@pytest.mark.parametrize(("before", "words"), STANDING.values(), ids=STANDING.keys())
def test_a_branch_that_nobody_else_moves_and_that_takes_nothing_is_denied_after_three_tries(
    repository: Repository, tmp_path: Path, before: str, words: str
) -> None:
    old = repository.write({"theirs": b"theirs"}, branch="old")
    command, there = ["sh", "-c", before.replace("$OLD", old)], repository.path
    subprocess.run(command, cwd=there, check=True)
    log = logged(repository, "exit 0")
    refused(store_on(str(repository.path), tmp_path / "home"), Denied, words)
    assert len(log.read_text().split()) == 3
    for path in ("refs/heads/dev.lock", "refs/heads/dev/feature", "refs/heads/dev"):
        if (there / path).is_dir():
            (there / path).rmdir()
        else:
            (there / path).unlink(missing_ok=True)
    receipt(store_on(str(repository.path), tmp_path / "home").put([a_put("u/e/k", b"new")]))


@pytest.mark.parametrize("count", [1, 4])
def test_files_that_a_rule_refuses_are_told_from_a_branch_that_takes_nothing(
    repository: Repository, tmp_path: Path, count: int
) -> None:
    (tmp_path / "words").write_text("bad")
    log = logged(repository, NO_BAD_NAMES.removeprefix("#!/bin/sh\n").format(words=tmp_path / "words"))
    store = store_on(str(repository.path), tmp_path / "home")
    results = store.put([a_put(f"u/e/bad{n}", b"new") for n in range(count)])
    assert {type(result) for result in results} == {Unacceptable}
    assert (repository.contents(), len(repository.commits())) == ({}, 1)
    assert "changes none" in repository.commits()[0]
    receipt(store.put([a_put("u/e/good", b"new")]))
    assert len(log.read_text().split()) == 2 * count + 1
    store.close()


def test_a_rule_that_refuses_all_is_soon_taken_for_one(repository: Repository, tmp_path: Path) -> None:
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\nexit 1\n")
    hook.chmod(0o755)
    store = store_on(str(repository.path), tmp_path / "home")
    results = store.put([a_put(f"u/e/k{n}", b"new") for n in range(64)])
    store.close()
    assert {type(result) for result in results} == {Declined}
    assert len((tmp_path / "asked").read_text().splitlines()) < 12


def test_git_that_is_not_installed_is_denied(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "env").symlink_to("/usr/bin/env")
    url = str(repository.path)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    refused(store_on(url, tmp_path / "home"), Denied, "is not installed")


# --- ssh ---


def test_over_ssh_a_put_arrives_and_is_read_back(ssh: Sshd, repository: Repository, tmp_path: Path) -> None:
    remote: RemoteOptions = {"ssh_key": ssh.key, "known_hosts": ssh.known_hosts}
    store = store_on(ssh.url(repository.path), tmp_path / "home", remote)
    receipt(store.put([a_put("u/e/k", b"new")]))
    assert repository.contents() == {"u/e/k": b"new"}
    assert store.digest(Key("u/e/k")) == digest(b"new")
    store.close()


def test_the_user_may_stand_apart_from_the_address(ssh: Sshd, repository: Repository, tmp_path: Path) -> None:
    remote: RemoteOptions = {"ssh_key": ssh.key, "known_hosts": ssh.known_hosts, "user": getpass.getuser()}
    url = ssh.url(repository.path).replace(f"{getpass.getuser()}@", "")
    assert isinstance(put_one(store_on(url, tmp_path / "home", remote)), Receipt)


def test_a_key_that_is_not_let_in_is_denied(ssh: Sshd, repository: Repository, tmp_path: Path) -> None:
    remote: RemoteOptions = {"ssh_key": ssh.stranger, "known_hosts": ssh.known_hosts}
    store = store_on(ssh.url(repository.path), tmp_path / "home", remote)
    refused(store, Denied, "artifacts_git_ssh_private_key_file_location")


@pytest.mark.parametrize("known", ["another key", "nobody"])
def test_a_host_key_that_is_not_the_known_one_is_denied(
    ssh: Sshd, repository: Repository, tmp_path: Path, known: str
) -> None:
    hosts = tmp_path / "known hosts"
    other = keypair(tmp_path / "other").with_suffix(".pub").read_text()
    hosts.write_text(f"[127.0.0.1]:{ssh.port} {other}" if known == "another key" else "")
    store = store_on(ssh.url(repository.path), tmp_path / "home", {"ssh_key": ssh.key, "known_hosts": hosts})
    refused(store, Denied, "known_hosts")
    assert repository.contents() == {}


def test_an_ssh_server_that_is_gone_is_unavailable(repository: Repository, tmp_path: Path) -> None:
    with sshd(tmp_path / "gone") as gone:
        remote: RemoteOptions = {"ssh_key": gone.key, "known_hosts": gone.known_hosts}
        url = gone.url(repository.path)
    refused(store_on(url, tmp_path / "home", remote), Unavailable)
