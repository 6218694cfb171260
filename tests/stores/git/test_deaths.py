"""Killed at every command of git: the remote never sees a half state, and a repeat converges."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.stores.base import Put, Receipt
from tests.servers.git.repository import Repository
from tests.servers.git.stores import store_on
from tests.support.harness import a_put, digest, outcome, receipt

CHILD = """
import sys
from pathlib import Path
from tests.servers.git.stores import store_on
from tests.stores.git.test_deaths import puts
store = store_on(sys.argv[1], Path(sys.argv[2]))
print(all(store.put(puts()) and [True]))
store.close()
"""

KILLER = """#!/bin/sh
# The n-th git kills the daemon that started it: instead of its work, before it, or after it.
echo x >> {log}
n=$(wc -l < {log})
if [ "$n" != {when} ]; then exec {git} "$@"; fi
case {how} in
instead) kill -9 $PPID ;;
before) kill -9 $PPID; exec {git} "$@" ;;
after) {git} "$@"; kill -9 $PPID ;;
esac
"""

COMMANDS = 16
"""of git in the put of two experiments to an empty repository, from `git version` to `git update-ref`"""


def puts() -> list[Put]:
    return [a_put("u/one/k", b"one"), a_put("u/one/l", b"l" * 5000), a_put("u/two/k", b"two")]


def contents() -> dict[str, bytes]:
    return {"u/one/k": b"one", "u/one/l": b"l" * 5000, "u/two/k": b"two"}


def die(tmp_path: Path, repository: Repository, when: int, how: str) -> "subprocess.CompletedProcess[str]":
    """Put in a process of its own, which is killed on the way."""
    tools = tmp_path / "tools"
    tools.mkdir()
    real = subprocess.check_output(["sh", "-c", "command -v git"], text=True).strip()
    killer = KILLER.format(log=tmp_path / "log", when=when, how=how, git=real)
    (tools / "git").write_text(killer)
    (tools / "git").chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "GIT_PYTHON_REFRESH": "quiet"}
    command = [sys.executable, "-c", CHILD, str(repository.path), str(tmp_path / "home")]
    root = Path(__file__).parents[3]
    return subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False)


def assert_converges(tmp_path: Path, repository: Repository) -> None:
    repository.fsck()
    assert repository.contents() in ({}, contents())
    store = store_on(str(repository.path), tmp_path / "home")
    results = store.put(puts())
    assert all(isinstance(result, Receipt) for result in results), results
    assert store.digest(Key("u/one/l")) == digest(b"l" * 5000)
    store.close()
    assert repository.contents() == contents()
    repository.fsck()
    for path in contents():
        assert sum(f" {path}\n" in message for message in repository.commits()) == 1


@pytest.mark.parametrize(
    ("when", "how"),
    [
        *((when, how) for when in range(1, COMMANDS + 1) for how in ("instead", "before")),
        (COMMANDS, "after"),  # after any other is instead of the next
    ],
)
def test_a_death_at_any_command_loses_nothing_and_repeats_nothing(
    tmp_path: Path, when: int, how: str
) -> None:
    repository = Repository(tmp_path / "repository.git")
    done = die(tmp_path, repository, when, how)
    assert done.returncode == -9, done.stderr
    assert_converges(tmp_path, repository)


def test_there_are_just_so_many_commands(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository.git")
    done = die(tmp_path, repository, 1000, "instead")
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert (tmp_path / "log").read_text().count("x") == COMMANDS


# --- the clone ---


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository.git")
    repository.write({"theirs": b"theirs"})
    return repository


def the_place(home: Path) -> Path:
    (place,) = home.iterdir()
    return place


DAMAGES = {
    "it was deleted": "rm -rf {home}",
    "its repository was deleted": "rm -rf {place}/repository.git",
    "its objects are empty": "find {place}/repository.git/objects -type f -exec truncate -s 0 {{}} +",
    "its objects are gone": "find {place}/repository.git/objects -type f -delete",
    "its reference is broken": "echo rubbish > {place}/repository.git/refs/artifactd/head",
    "its index is broken": "echo rubbish > {place}/index",
    "its locks are stale": "touch {place}/index.lock {place}/repository.git/shallow.lock "
    "{place}/repository.git/refs/artifactd/head.lock {place}/repository.git/config.lock",
    "its configuration is broken": "echo '[rubbish' > {place}/repository.git/config",
}


@pytest.mark.parametrize("reopened", [True, False], ids=["before it is opened", "while it is open"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_clone_is_made_anew(
    tmp_path: Path,
    repository: Repository,
    damage: str,
    reopened: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    home = tmp_path / "home"
    store = store_on(str(repository.path), home)
    receipt(store.put([a_put("k", b"new")]))
    if reopened:
        store.close()
    command = damage.format(home=home, place=the_place(home))
    subprocess.run(["sh", "-c", command], check=True)
    if reopened:
        store = store_on(str(repository.path), home)
    assert receipt(store.put([a_put("l", b"newer")])).written
    assert store.digest(Key("k")) == digest(b"new")
    assert [outcome(one) for one in store.put([a_put("k", b"new"), a_put("m", b"m")])] == ["there", "written"]
    store.close()
    assert repository.contents() == {"theirs": b"theirs", "k": b"new", "l": b"newer", "m": b"m"}
    repository.fsck()


def test_a_clone_left_in_order_is_used_again_until_the_machine_is_booted(
    tmp_path: Path, repository: Repository
) -> None:
    home = tmp_path / "home"

    def put(key: str) -> None:
        store = store_on(str(repository.path), home)
        receipt(store.put([a_put(key, b"new")]))
        store.close()

    put("k")
    mark = the_place(home) / "repository.git" / "mark"
    mark.touch()
    put("l")
    assert mark.exists()
    (the_place(home) / "in-order").write_text("of an earlier boot")
    put("m")
    assert not mark.exists()


def test_two_stores_at_once_have_a_clone_each(tmp_path: Path, repository: Repository) -> None:
    stores = [store_on(str(repository.path), tmp_path / "home") for _ in range(2)]
    for number, store in enumerate(stores):
        receipt(store.put([a_put(f"k{number}", b"new")]))
    assert len(list((tmp_path / "home").iterdir())) == 2
    for store in stores:
        store.close()


def test_a_state_directory_that_cannot_be_written_is_told(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "home").write_text("a file")
    store = store_on(str(repository.path), tmp_path / "home")
    (result,) = store.put([a_put("k", b"new")])
    assert type(result).__name__ == "Unavailable"
    assert "clone" in str(result)
