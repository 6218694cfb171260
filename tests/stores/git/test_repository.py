"""What others put into the repository changes nothing of what artifactd puts there, and vice versa."""

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.config.destinations.git import Identity
from artifactd.config.destinations.git_address import Address
from artifactd.stores.base import About, Conflict, Put, Receipt, Source, StoreError, Unacceptable, Unavailable
from artifactd.stores.git import plumbing, transport
from artifactd.stores.git.clone import Clone
from artifactd.stores.git.process import Running
from artifactd.stores.git.remote import Remote
from artifactd.stores.git.store import GitStore
from tests.servers.git.repository import BRANCH, Repository, git
from tests.servers.git.stores import store_on
from tests.support.harness import a_put, digest, may_pass, only, outcome, pattern, put_file, receipt


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository.git")


@pytest.fixture
def store(repository: Repository, tmp_path: Path) -> Iterator[GitStore]:
    store = store_on(str(repository.path), tmp_path / "home")
    yield store
    store.close()


def of_experiment(user: str, experiment_id: str, name: str, content: bytes) -> Put:
    key = Key(f"{user}/{experiment_id}/{name}")
    about = About(f"{user}/h2oai_experiment_{experiment_id}/{name}", user, experiment_id, "logs")
    return Put(key, Source(len(content), content), digest(content), about=about)


def clone_size(home: Path) -> int:
    """Bytes on the disk."""
    return int(subprocess.check_output(["du", "-s", "-B1", str(home)]).split()[0])


# --- commits ---


def test_each_experiment_has_a_commit_that_people_and_machines_read(
    repository: Repository, store: GitStore
) -> None:
    puts = [
        of_experiment("ann", "one", "mojo.zip", b"mojo"),
        of_experiment("bob", "two", "logs.zip", b"logs"),
        of_experiment("ann", "one", "scorer é.zip", b"scorer"),
    ]
    results = store.put(puts)
    assert [outcome(result) for result in results] == ["written"] * 3
    first, second = reversed(repository.commits())
    assert first.splitlines()[0] == "Export 2 artifacts of ann's experiment one"
    assert second.splitlines()[0] == "Export 1 artifact of bob's experiment two"
    read = git(repository.path, "interpret-trailers", "--parse", stdin=first.encode()).decode()
    assert read.splitlines() == [
        "Artifactd-User: ann",
        "Artifactd-Experiment: one",
        f"Artifactd-Copy: {digest(b'mojo')} 4 ann/one/mojo.zip",
        f'Artifactd-Copy: {digest(b"scorer")} 6 "ann/one/scorer é.zip"',
        "Artifactd-Version: 0.1.0",
    ]
    versions = [result.version for result in results if isinstance(result, Receipt)]
    assert versions == [repository.blobs()[put.key.text] for put in puts]


def test_an_empty_repository_and_a_missing_branch_are_made(
    repository: Repository, store: GitStore, tmp_path: Path
) -> None:
    receipt(store.put([a_put("k", b"new")]))
    other = store_on(str(repository.path), tmp_path / "home", branch="exports/dai")
    receipt(other.put([a_put("k", b"other")]))
    other.close()
    assert repository.contents() == {"k": b"new"}
    assert repository.contents("exports/dai") == {"k": b"other"}
    assert len(repository.commits("exports/dai")) == 1


def test_what_others_have_in_the_branch_stays(repository: Repository, store: GitStore) -> None:
    theirs = {"README.md": b"read me", "src/x.py": b"x", "u/e/theirs": b"theirs"}
    repository.write(theirs)
    receipt(store.put([a_put("u/e/k", b"new")]))
    repository.write({"later": b"later"})
    receipt(store.put([a_put("u/e/l", b"newer")]))
    assert repository.contents() == {**theirs, "later": b"later", "u/e/k": b"new", "u/e/l": b"newer"}
    repository.fsck()


def test_what_others_took_out_by_setting_the_branch_back_stays_out(
    repository: Repository, store: GitStore
) -> None:
    before = repository.write({"theirs": b"theirs"})
    receipt(store.put([a_put("k", b"new")]))
    git(repository.path, "update-ref", f"refs/heads/{BRANCH}", before)
    receipt(store.put([a_put("l", b"new")]))
    assert repository.contents() == {"theirs": b"theirs", "l": b"new"}
    assert receipt(store.put([a_put("k", b"new")])).written


def test_a_branch_that_others_deleted_begins_anew(repository: Repository, store: GitStore) -> None:
    repository.write({"theirs": b"theirs"})
    receipt(store.put([a_put("k", b"new")]))
    git(repository.path, "update-ref", "-d", f"refs/heads/{BRANCH}")
    receipt(store.put([a_put("l", b"new")]))
    assert repository.contents() == {"l": b"new"}


# --- hostile content ---


def test_planted_attributes_change_no_byte(repository: Repository, store: GitStore) -> None:
    repository.write({".gitattributes": b"* text=auto eol=crlf ident filter=evil\n"})
    repository.write({"u/e/.gitattributes": b"* text working-tree-encoding=UTF-16\n"})
    content = b"a\r\nb\n$Id$\n"
    receipt(store.put([a_put("u/e/k", content)]))
    assert repository.contents()["u/e/k"] == content
    assert store.digest(Key("u/e/k")) == digest(content)


@pytest.mark.parametrize("prefix", ["", "exports/of dai"])
def test_a_plain_checkout_has_the_very_bytes_whatever_others_rules_and_settings_are(
    repository: Repository, tmp_path: Path, prefix: str
) -> None:
    rules = b"* text=auto eol=crlf ident filter=evil\n*.csv text working-tree-encoding=UTF-16\n"
    repository.write({".gitattributes": rules})
    home = tmp_path / "person"
    home.mkdir()
    (home / ".gitconfig").write_text('[core]\nautocrlf = true\n[filter "evil"]\nsmudge = tr a b\n')
    store = store_on(str(repository.path), tmp_path / "home", prefix=prefix)
    content = b"a\r\nb\n$Id$\n"
    for key in ("u/e/k.csv", "u/e/l.txt", "v/f/k.csv"):
        receipt(store.put([a_put(key, content)]))
    store.close()
    env = {"GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    git(tmp_path, "clone", "--quiet", f"--branch={BRANCH}", str(repository.path), "work", env=env)
    below = tmp_path / "work" / prefix
    for key in ("u/e/k.csv", "u/e/l.txt", "v/f/k.csv"):
        assert (below / key).read_bytes() == content
        assert git(tmp_path / "work", "status", "--porcelain", "--", str(below / key), env=env) == b""
    written = [path for path in repository.blobs() if path.endswith("/.gitattributes")]
    assert written == ([f"{prefix}/.gitattributes"] if prefix else ["u/.gitattributes", "v/.gitattributes"])


@pytest.mark.parametrize("source", ["content", "file"])
def test_a_full_disk_of_the_clone_is_called_that_and_ends_with_its_cause(
    repository: Repository, tmp_path: Path, tmpfs: Callable[[Path, str], Path], source: str
) -> None:
    home, content = tmpfs(tmp_path / "disk", "4m"), os.urandom(2 << 20)
    store = store_on(str(repository.path), home)
    receipt(store.put([a_put("u/e/k", b"new")]))
    (home / "filler").write_bytes(bytes(3 << 20))
    with (tmp_path / "source").open("w+b") as file:
        put = put_file("u/e/large", tmp_path / "source", content, file.fileno())
        result = only(store.put([put if source == "file" else a_put("u/e/large", content)]))
        assert isinstance(result, Unavailable), result
        assert f"no room: the file system of {home} has " in str(result)
        assert "free of 4" in str(result)
        (home / "filler").unlink()
        receipt(store.put([put]))
    store.close()
    assert repository.contents() == {"u/e/k": b"new", "u/e/large": content}


PLANTED = {
    "a file in place of a folder": {"u/e": b"a file"},
    "a file in place of the user's folder": {"u": b"a file"},
    "a folder in place of the file": {"u/e/k/inside": b"deep"},
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED.keys())
def test_what_stands_in_the_way_is_a_conflict_and_the_rest_of_the_batch_arrives(
    repository: Repository, store: GitStore, planted: dict[str, bytes]
) -> None:
    repository.write(planted)
    results = store.put([a_put("before", b"b"), a_put("u/e/k", b"new"), a_put("v/e/k", b"new")])
    assert [outcome(result) for result in results] == ["written", "Conflict", "written"]
    assert repository.contents() == {**planted, "before": b"b", "v/e/k": b"new"}


@pytest.mark.parametrize("path", ["u/e/k", "u/e", "u"])
def test_another_repository_in_the_way_is_a_conflict(
    repository: Repository, store: GitStore, path: str
) -> None:
    commit = repository.write({"theirs": b"theirs"})
    before = repository.write_link(path, commit)
    assert isinstance(only(store.put([a_put("u/e/k", b"new")])), Conflict)
    assert repository.head() == before
    assert store.digest(Key("u/e/k")) is None
    assert list(map(str, store.keys())) == ["theirs"]


@pytest.mark.parametrize("path", ["u/e/k", "u/e"])
def test_a_symbolic_link_is_neither_followed_nor_replaced(
    repository: Repository, store: GitStore, path: str
) -> None:
    before = repository.write({path: b"../../theirs"}, mode="120000")
    assert isinstance(only(store.put([a_put("u/e/k", b"new", b"../../theirs")])), Conflict)
    assert repository.head() == before
    assert store.stat(Key("u/e/k")) is None


@pytest.mark.parametrize("keys", [["k.csv", "k.csv/below/it"], ["k.csv/below/it", "k.csv"]])
def test_of_keys_of_one_batch_that_exclude_each_other_the_first_lands(
    repository: Repository, store: GitStore, keys: list[str]
) -> None:
    results = store.put([*(a_put(key, key.encode()) for key in keys), a_put("l", b"l")])
    assert [outcome(result) for result in results] == ["written", "Conflict", "written"]
    assert repository.contents() == {keys[0]: keys[0].encode(), "l": b"l"}


def test_of_such_keys_the_second_lands_where_the_first_cannot(
    repository: Repository, store: GitStore
) -> None:
    repository.write({"u/k/theirs": b"theirs"})
    results = store.put([a_put("u/k", b"file"), a_put("u/k/below", b"deep")])
    assert [outcome(result) for result in results] == ["Conflict", "written"]
    assert repository.contents() == {"u/k/theirs": b"theirs", "u/k/below": b"deep"}


def test_a_name_that_git_keeps_for_itself_is_refused_alone(repository: Repository, store: GitStore) -> None:
    """No key can be such a name; a name that only this git refuses is not dropped in silence."""
    bad = a_put("u/e/k", b"new")
    object.__setattr__(bad.key, "text", "u/.git/hooks/k")
    results = store.put([bad, a_put("u/e/l", b"l")])
    assert [type(result) for result in results] == [Unacceptable, Receipt]
    assert repository.contents() == {"u/e/l": b"l"}


def test_a_file_over_the_limit_is_refused_before_any_transfer(repository: Repository, tmp_path: Path) -> None:
    store = store_on(str(repository.path), tmp_path / "home", max_file_size=10)
    results = store.put([a_put("large", bytes(11)), a_put("small", bytes(10))])
    store.close()
    assert [type(result) for result in results] == [Unacceptable, Receipt]
    assert "max_file_size" in str(results[0])
    assert repository.contents() == {"small": bytes(10)}


# --- reads ---


def test_a_digest_comes_from_the_remote_and_not_from_the_clone(
    repository: Repository, store: GitStore
) -> None:
    receipt(store.put([a_put("k", b"new")]))
    blob = repository.blobs()["k"]
    file = repository.path / "objects" / blob[:2] / blob[2:]
    file.chmod(0o600)
    file.write_bytes(b"rotten")
    with pytest.raises(StoreError, match=r"remote|git"):
        store.digest(Key("k"))


def test_a_file_that_the_server_cannot_give_keeps_no_other_from_being_read(
    repository: Repository, store: GitStore
) -> None:
    contents = {f"u/e/{n}": b"content %d" % n for n in range(9)}
    results = store.put([a_put(key, content) for key, content in contents.items()])
    assert [outcome(result) for result in results] == ["written"] * 9
    name = repository.blobs()["u/e/4"]
    (repository.path / "objects" / name[:2] / name[2:]).unlink()
    found = list(store.digests([Key(key) for key in contents]))
    assert isinstance(found.pop(4), StoreError)
    del contents["u/e/4"]
    assert found == [digest(content) for content in contents.values()]


def test_a_server_without_filters_serves_as_well(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository.git", filters=False)
    repository.write({"theirs": pattern(100_000)})
    store = store_on(str(repository.path), tmp_path / "home")
    receipt(store.put([a_put("u/e/k", b"new")]))
    assert store.digest(Key("u/e/k")) == digest(b"new")
    assert store.digest(Key("theirs")) == digest(pattern(100_000))
    receipt(store.put([a_put("theirs", b"newer", pattern(100_000))]))
    store.close()
    assert repository.contents() == {"u/e/k": b"new", "theirs": b"newer"}


# --- many at once ---


def test_of_many_pushers_each_gets_all_through_and_nobodys_work_is_lost(
    repository: Repository, tmp_path: Path
) -> None:
    def put(store: GitStore, key: str) -> Receipt:
        """As the daemon does it: again, where others pushed faster."""
        while not isinstance(result := only(store.put([a_put(key, b"new")])), Receipt):
            assert may_pass(result), result
        return result

    def export(name: str) -> list[bool]:
        store = store_on(str(repository.path), tmp_path / name)
        try:
            return [put(store, f"{name}/e/k{n}").written for n in range(8)]
        finally:
            store.close()

    def push(name: str) -> None:
        """As people do it: pull, commit, push, again when it was too late."""
        work = repository.checkout(tmp_path / name)
        for number in range(8):
            (work / f"{name}-{number}").write_text("by hand")
            git(work, "add", ".")
            git(work, "commit", "--quiet", "-m", "by hand")
            while subprocess.run(
                ["git", "-C", work, "push", "-q"], capture_output=True, check=False
            ).returncode:
                git(work, "pull", "--quiet", "--rebase")

    repository.write({"theirs": b"theirs"})
    with ThreadPoolExecutor(5) as pool:
        exporters = [pool.submit(export, name) for name in ("a", "b", "c")]
        people = [pool.submit(push, name) for name in ("x", "y")]
        assert [one.result(timeout=100) for one in exporters] == [[True] * 8] * 3
        for one in people:
            one.result(timeout=100)
    expected = {f"{name}/e/k{n}" for name in "abc" for n in range(8)}
    expected |= {f"{name}-{n}" for name in "xy" for n in range(8)}
    assert repository.contents().keys() == {"theirs", *expected}
    assert len(repository.commits()) == 1 + 3 * 8 + 2 * 8
    repository.fsck()


def test_callers_that_put_at_the_same_time_share_a_push(repository: Repository, tmp_path: Path) -> None:
    store = store_on(str(repository.path), tmp_path / "home", window=5.0)
    puts = [[of_experiment("ann", "one", f"{caller}-{n}", b"new") for n in range(128)] for caller in range(2)]
    with ThreadPoolExecutor(2) as pool:
        results = [result for batch in pool.map(store.put, puts) for result in batch]
    store.close()
    assert [outcome(result) for result in results] == ["written"] * 256
    assert len(repository.commits()) == 1


def test_of_two_who_make_the_very_same_commit_one_has_written_it(
    repository: Repository, tmp_path: Path
) -> None:
    """Two daemons with the same bytes in the same second: their commits have the same name."""
    remote = Remote(Address.parse(str(repository.path)), BRANCH)
    clone = Clone(tmp_path / "home", remote, Running())
    plumbing.load(clone, "")
    (tmp_path / "k").write_bytes(b"new")
    (blob,) = plumbing.store(clone, [str(tmp_path / "k")], ())
    who = Identity("artifactd", "artifactd@example.com")
    commit = plumbing.commit(clone, "", {"k": blob}, "the same", who, who)
    assert [transport.push(clone, remote, commit, "") is None for _ in range(2)] == [True, False]
    clone.close(in_order=True)
    assert repository.contents() == {"k": b"new"}


# --- what it costs ---


def test_the_clone_grows_neither_with_the_history_nor_with_what_was_put(tmp_path: Path) -> None:
    sizes = []
    for name, commits in (("short", 1), ("long", 2000)):
        repository = Repository(tmp_path / f"{name}.git")
        stream = "".join(
            f"commit refs/heads/{BRANCH}\ncommitter c <c@example.com> {n} +0000\ndata 1\nx\n"
            f"M 100644 inline f/{n % 50}\ndata 2006\n{n:06}{os.urandom(1000).hex()}\n"
            for n in range(commits * 50 if commits == 1 else commits)
        )
        git(repository.path, "fast-import", "--quiet", stdin=stream.encode())
        store = store_on(str(repository.path), tmp_path / name)
        for n in range(3):
            receipt(store.put([a_put(f"u/e{n}/k", os.urandom(1 << 20))]))
        sizes.append(clone_size(tmp_path / name))
        store.close()
    short, long = sizes
    assert long < short + 64 * 1024
    assert long < 1 << 20


def test_an_overgrown_clone_is_made_anew(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("artifactd.stores.git.store._LOOK_AFTER", 2)
    monkeypatch.setattr("artifactd.stores.git.clone._GROWTH", -(1 << 40))
    store = store_on(str(repository.path), tmp_path / "home")
    for n in range(6):
        receipt(store.put([a_put(f"k{n}", b"new")]))
    store.close()
    assert len(repository.contents()) == 6
    assert clone_size(tmp_path / "home") < 300_000
