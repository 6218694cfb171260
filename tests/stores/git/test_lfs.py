"""Large files in Git LFS, with a real server and git's own LFS client."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.config.values import Hidden
from artifactd.stores.base import Conflict, Corrupt, Proof, Receipt, StoreError, Unacceptable
from artifactd.stores.git.delivery import blob_name
from artifactd.stores.git.lfs.attributes import edited
from artifactd.stores.git.lfs.pointer import Pointer, parse
from artifactd.stores.git.store import GitStore
from tests.servers.git.giftless import Giftless, giftless
from tests.servers.git.https import PASSWORD, USER, GitServer, https
from tests.servers.git.repository import BRANCH, PLAIN, RULE, Repository
from tests.servers.git.sshd import sshd
from tests.servers.git.stores import RemoteOptions, StoreOptions, store_on
from tests.servers.tls import Authority
from tests.support.harness import a_put, digest, only, outcome, pattern, put_file, receipt

LARGE, LARGER = pattern(70_000), pattern(80_000)
LIMITS: StoreOptions = {"lfs_threshold": 50_000, "max_file_size": 60_000}


@pytest.fixture(scope="module")
def lfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Giftless]:
    with giftless(tmp_path_factory.mktemp("lfs") / "storage") as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "root" / tmp_path.name / "repository.git")


@pytest.fixture
def server(
    tmp_path: Path, repository: Repository, authority: Authority, lfs: Giftless
) -> Iterator[GitServer]:
    assert repository.path.exists()
    with https(tmp_path / "root", authority.good.context(), lfs_port=lfs.port) as server:
        yield server


@pytest.fixture
def url(server: GitServer, repository: Repository) -> str:
    return server.url(f"{repository.path.parent.name}/repository.git")


@pytest.fixture
def store(url: str, authority: Authority, tmp_path: Path) -> Iterator[GitStore]:
    store = store_on(
        url,
        tmp_path / "home",
        {"user": USER, "password": Hidden(PASSWORD), "ca_file": authority.ca_file},
        **LIMITS,
    )
    yield store
    store.close()


def pointer_to(content: bytes) -> bytes:
    return Pointer(digest(content), len(content)).content


def test_a_large_file_goes_to_lfs_and_a_pointer_to_git(
    repository: Repository, store: GitStore, lfs: Giftless
) -> None:
    small, large = store.put([a_put("u/e/small", b"small"), a_put("u/e/large", LARGE)])
    assert isinstance(small, Receipt)
    assert isinstance(large, Receipt)
    assert (small.proof, large.proof) == (Proof.SERVER_CHECKSUM, Proof.READ_BACK)
    assert (large.digest, large.size, large.written) == (digest(LARGE), len(LARGE), True)
    contents = repository.contents()
    assert contents.pop("u/e/.gitattributes") == b'"/large" filter=lfs diff=lfs merge=lfs -text\n'
    assert contents == {"u/e/small": b"small", "u/e/large": pointer_to(LARGE)}
    assert lfs.files()[digest(LARGE)].read_bytes() == LARGE


def test_what_lies_in_lfs_is_read_from_there(store: GitStore, server: GitServer) -> None:
    receipt(store.put([a_put("u/e/large", LARGE)]))
    server.seen.clear()
    told: list[int] = []
    assert store.digest(Key("u/e/large"), told.append) == digest(LARGE)
    assert sum(told) == len(LARGE)
    assert any(f"/objects/storage/{digest(LARGE)}" in seen for seen in server.seen)
    found = store.stat(Key("u/e/large"))
    assert found is not None
    assert (found.size, found.version) == (None, blob_name(pointer_to(LARGE)))
    assert list(map(str, store.keys())) == ["u/e/large"]


def test_the_same_again_is_a_success_without_writing(
    repository: Repository, store: GitStore, server: GitServer
) -> None:
    receipt(store.put([a_put("u/e/large", LARGE)]))
    before = repository.head()
    server.seen.clear()
    assert receipt(store.put([a_put("u/e/large", LARGE)])).written is False
    assert repository.head() == before
    assert [seen for seen in server.seen if seen.startswith("PUT")] == []


def test_a_large_file_from_disk_arrives(
    repository: Repository, store: GitStore, lfs: Giftless, tmp_path: Path
) -> None:
    content = os.urandom(3 << 20)
    with (tmp_path / "source").open("w+b") as file:
        receipt(store.put([put_file("u/e/large", tmp_path / "source", content, file.fileno())]))
    assert repository.contents()["u/e/large"] == pointer_to(content)
    assert lfs.files()[digest(content)].read_bytes() == content


def test_only_what_is_ours_is_replaced(repository: Repository, store: GitStore) -> None:
    receipt(store.put([a_put("u/e/large", LARGE)]))
    assert isinstance(only(store.put([a_put("u/e/large", LARGER)])), Conflict)
    assert repository.contents()["u/e/large"] == pointer_to(LARGE)
    assert receipt(store.put([a_put("u/e/large", LARGER, LARGE)])).written
    assert repository.contents()["u/e/large"] == pointer_to(LARGER)


def test_a_file_that_became_small_leaves_lfs_and_its_rule(repository: Repository, store: GitStore) -> None:
    receipt(store.put([a_put("u/e/k", LARGE)]))
    receipt(store.put([a_put("u/e/l", LARGE)]))
    receipt(store.put([a_put("u/e/k", b"small", LARGE)]))
    contents = repository.contents()
    assert contents["u/e/k"] == b"small"
    assert contents["u/e/.gitattributes"] == b'"/l" filter=lfs diff=lfs merge=lfs -text\n'


def test_rules_of_others_stay(repository: Repository, store: GitStore) -> None:
    repository.write({"u/e/.gitattributes": b"# theirs\n*.txt text"})
    receipt(store.put([a_put("u/e/large", LARGE)]))
    assert repository.contents()["u/e/.gitattributes"] == (
        b"# theirs\n*.txt text\n" + RULE + b'"/large" filter=lfs diff=lfs merge=lfs -text\n'
    )


NAMES = [
    "plain.zip",
    "with space.zip",
    "é 😀.csv",
    "st*r [x]?.zip",
    '"quoted".zip',
    "back\\slash.zip",
    "#hash",
    "!bang",
]


def test_a_plain_clone_has_the_files(store: GitStore, url: str, authority: Authority, tmp_path: Path) -> None:
    files = {f"u/e/{name}": LARGE + name.encode() for name in NAMES} | {"u/e/small": b"small\r\n"}
    results = store.put([a_put(key, content) for key, content in files.items()])
    assert [outcome(result) for result in results] == ["written"] * len(files)
    home = tmp_path / "person"
    home.mkdir()
    env = {**PLAIN, "HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    trusting = ["-c", f"http.sslCAInfo={authority.ca_file}"]
    there = url.replace("https://", f"https://{USER}:{PASSWORD}@")
    for command in (
        ["git", "lfs", "install", "--skip-repo"],
        ["git", *trusting, "clone", "-q", f"--branch={BRANCH}", there, str(tmp_path / "work")],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert {key: (tmp_path / "work" / key).read_bytes() for key in files} == files
    status = ["git", "-C", str(tmp_path / "work"), "status", "--porcelain"]
    assert subprocess.check_output(status, env=env) == b""


# --- ssh ---


def test_over_ssh_the_server_says_where_its_lfs_is(
    repository: Repository, url: str, authority: Authority, lfs: Giftless, tmp_path: Path
) -> None:
    content = os.urandom(60_001)
    with sshd(tmp_path / "ssh") as ssh:
        ssh.lfs.write_text(
            json.dumps({"href": f"{url}/info/lfs", "header": {"X-Key": "k"}, "expires_in": 60})
        )
        remote: RemoteOptions = {
            "ssh_key": ssh.key,
            "known_hosts": ssh.known_hosts,
            "ca_file": authority.ca_file,
        }
        store = store_on(ssh.url(repository.path), tmp_path / "home", remote, **LIMITS)
        results = store.put([a_put("u/e/large", content), a_put("u/e/small", b"small")])
        assert [outcome(result) for result in results] == ["written", "written"]
        assert store.digest(Key("u/e/large")) == digest(content)
        store.close()
    assert repository.contents()["u/e/large"] == pointer_to(content)
    assert lfs.files()[digest(content)].read_bytes() == content


def test_over_ssh_without_lfs_larger_files_are_refused(repository: Repository, tmp_path: Path) -> None:
    with sshd(tmp_path / "ssh") as ssh:
        remote: RemoteOptions = {"ssh_key": ssh.key, "known_hosts": ssh.known_hosts}
        store = store_on(ssh.url(repository.path), tmp_path / "home", remote, **LIMITS)
        results = store.put([a_put("large", LARGE), a_put("small", b"small")])
        store.close()
    assert [type(result) for result in results] == [Unacceptable, Receipt]
    assert repository.contents() == {"small": b"small"}


# --- what can go wrong ---


def test_without_lfs_files_up_to_the_limit_go_to_git_and_larger_ones_are_refused(
    repository: Repository, store: GitStore, server: GitServer
) -> None:
    server.answers["/info/lfs"] = (404, {})
    results = store.put([a_put("middle", pattern(55_000)), a_put("large", LARGE)])
    assert [type(result) for result in results] == [Receipt, Unacceptable]
    assert "no LFS" in str(results[1])
    assert repository.contents() == {"middle": pattern(55_000)}


TROUBLES = [
    *(("objects/batch", status, StoreError) for status in (200, 302, 401, 403, 429, 503, 507)),
    ("objects/batch", 413, Unacceptable),
    ("objects/storage", 403, StoreError),
    ("objects/storage", 503, StoreError),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: f"{trouble[0]} says {trouble[1]}")
def test_an_lfs_server_in_trouble_stops_large_files_and_no_other(
    repository: Repository, store: GitStore, server: GitServer, trouble: tuple[str, int, type]
) -> None:
    part, status, kind = trouble
    server.answers[part] = (status, {"Location": "https://127.0.0.1:1/"})
    content = os.urandom(60_000)
    results = store.put([a_put("large", content), a_put("small", b"small")])
    assert [type(result) for result in results] == [kind, Receipt]
    assert PASSWORD not in str(results[0])
    server.answers.clear()
    receipt(store.put([a_put("large", content)]))
    assert repository.contents()["large"] == pointer_to(content)


def test_an_lfs_server_that_holds_other_bytes_is_found_out(
    repository: Repository, store: GitStore, lfs: Giftless
) -> None:
    content = os.urandom(60_000)
    receipt(store.put([a_put("large", content)]))
    lfs.files()[digest(content)].write_bytes(bytes(60_000))
    assert store.digest(Key("large")) == digest(bytes(60_000))
    assert isinstance(only(store.put([a_put("again", content)])), Corrupt)
    assert "again" not in repository.contents()


def test_a_large_file_that_is_gone_is_missing(store: GitStore, lfs: Giftless) -> None:
    content = os.urandom(60_000)
    receipt(store.put([a_put("large", content)]))
    lfs.files()[digest(content)].unlink()
    assert store.digest(Key("large")) is None
    assert isinstance(only(store.put([a_put("large", LARGER)])), Conflict)


def test_a_large_file_that_cannot_be_looked_at_holds_up_no_other(
    repository: Repository, store: GitStore, server: GitServer
) -> None:
    receipt(store.put([a_put("u/e/k", LARGE)]))
    server.answers["objects/batch"] = (503, {})
    results = store.put([a_put("u/e/k", b"small by now", LARGE), a_put("u/e/other", b"other")])
    assert [type(result) for result in results] == [StoreError, Receipt]
    assert str(results[0]).startswith("u/e/k: The LFS server says 503")
    assert repository.contents()["u/e/k"] == pointer_to(LARGE)
    server.answers.clear()
    receipt(store.put([a_put("u/e/k", b"small by now", LARGE)]))


def test_what_waits_for_an_lfs_server_goes_apart(
    store: GitStore, repository: Repository, tmp_path: Path
) -> None:
    assert store.apart == LIMITS["lfs_threshold"]
    directory = store_on(str(repository.path), tmp_path / "other", **LIMITS)
    assert directory.apart is None
    directory.close()


def test_a_source_that_was_cut_is_not_published(
    repository: Repository, store: GitStore, lfs: Giftless, tmp_path: Path
) -> None:
    content = os.urandom(3 << 20)
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("large", tmp_path / "source", content, file.fileno())
        file.truncate(2 << 20)
        assert isinstance(only(store.put([put])), Corrupt)
        assert repository.contents() == {}
        (tmp_path / "source").write_bytes(content)
        receipt(store.put([put]))
    assert lfs.files()[digest(content)].read_bytes() == content


def test_a_pointer_is_no_artifact(repository: Repository, store: GitStore) -> None:
    assert isinstance(only(store.put([a_put("u/e/k", pointer_to(LARGE))])), Unacceptable)
    assert repository.contents() == {}


# --- pure ---


def test_rules_are_edited_only_where_they_have_to_be() -> None:
    theirs = b"*.txt text"
    once = edited(theirs, large=["a b"], plain=[])
    line = b'"/a b" filter=lfs diff=lfs merge=lfs -text\n'
    assert once == b"*.txt text\n" + RULE + line
    assert edited(once, large=["a b"], plain=["c"]) == once
    assert edited(once, large=[], plain=["a b"]) == b"*.txt text\n" + RULE
    assert edited(once + theirs, large=[], plain=[]) == b"*.txt text\n*.txt text\n" + RULE + line
    assert edited(line, large=[], plain=["c"]) == line
    assert edited(line, large=[], plain=["c"], own=True) == RULE + line
    assert edited(b"", large=[], plain=["c"]) == b""
    assert edited(RULE[:-1], large=[], plain=["c"], own=True) == RULE[:-1]


@pytest.mark.parametrize(
    "content", [b"", b"text", pointer_to(b"x")[:-1], pointer_to(b"x") + b"more\n", b"x" * 2000]
)
def test_what_only_looks_like_a_pointer_is_none(content: bytes) -> None:
    assert parse(content) is None


def test_a_pointer_reads_as_what_it_was_made_of() -> None:
    assert parse(pointer_to(LARGE)) == Pointer(digest(LARGE), len(LARGE))
