"""The daemon on a tree that many programs write at once, killed at random: zero lost, zero wrong."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from artifactd.cli.exits import Exit
from tests.support.writers import WRITERS, Tree, key_of

CONFIG = """
enable_artifacts_upload = true
data_directory = "data"
artifacts_file_system_directory = "exports"
[artifactd]
state_directory = "state"
[watch]
quiet_seconds = 0.3
rescan_seconds = 5.0
[[policy]]
name = "no logs"
action = "ignore"
match = ["*logs*.zip"]
[[policy]]
name = "all"
match = ["**/*.csv", "**/*.zip"]
as = "{path}"
"""


@contextmanager
def writing(tree: Tree, seed: int) -> Iterator[None]:
    """All writers, each in a thread, for the length of the block. It raises what goes wrong in one."""
    ending = threading.Event()
    errors: list[BaseException] = []

    def go_on(number: int) -> None:
        chance = random.Random(seed * 1000 + number)  # noqa: S311 - a test's dice
        try:
            while not ending.is_set():
                with suppress(
                    FileNotFoundError, FileExistsError
                ):  # as Path.mkdir, where it is removed at once
                    WRITERS[number](tree, chance)
                time.sleep(chance.random() * 0.1)
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(len(WRITERS))]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert not errors, errors


# --- the daemon ---


class Daemon:
    """The real process, started again after each death. Its log goes to a file."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.log = base / "log.jsonl"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "artifactd", "run", "--config", str(self.base / "config.toml")],
                stdout=log,
                stderr=log,
            )

    def stand_still(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def die(self) -> None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        self.process.kill()
        self.process.wait()
        self.start()

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=60) == Exit.OK, self.log.read_text()[-3000:]

    def events(self) -> list[str]:
        return [
            json.loads(line)["event"] for line in self.log.read_text().splitlines() if line.startswith("{")
        ]


def exported(tree: Tree) -> Iterator[tuple[str, Path]]:
    exports = tree.base / "exports"
    for file in exports.rglob("*"):
        path = file.relative_to(exports)
        if file.is_file() and not path.parts[0].startswith((".artifactd", "_artifactd")):
            yield path.as_posix(), file


def wrong(tree: Tree) -> list[str]:
    """Copies that are nothing that their file ever was."""
    return [
        key
        for key, file in exported(tree)
        if hashlib.sha256(file.read_bytes()).hexdigest() not in tree.ever(key)
    ]


def lost(tree: Tree) -> list[str]:
    """Files whose copy is missing or another."""
    data = tree.base / "data"
    return [
        str(file)
        for file in data.rglob("*.*")
        if file.suffix in {".csv", ".zip"} and file.is_file()
        if not same(file, tree.base / "exports" / key_of(file.relative_to(data).as_posix()))
    ]


def same(file: Path, copy: Path) -> bool:
    return copy.is_file() and file.read_bytes() == copy.read_bytes()


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_on_a_churning_tree_nothing_is_lost_and_nothing_is_wrong(tmp_path: Path, seed: int) -> None:
    for name in ("data", "exports", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.toml").write_text(CONFIG)
    tree, chance = Tree(tmp_path), random.Random(seed)  # noqa: S311 - a test's dice
    daemon = Daemon(tmp_path)
    try:
        with writing(tree, seed):
            until = time.monotonic() + 80.0
            while time.monotonic() < until:
                time.sleep(chance.random() * 4.0)
                if chance.random() < 0.5:
                    daemon.stand_still(chance.random() * 6.0)
                else:
                    daemon.die()
                assert wrong(tree) == []
        deadline = time.monotonic() + 120.0
        while lost(tree) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert (lost(tree), wrong(tree)) == ([], [])
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        daemon.end()
    assert "Traceback" not in daemon.log.read_text()
    assert "watch.doubted" in daemon.events(), "the queue of events never overflowed: the test is too mild"
    config = str(tmp_path / "config.toml")
    for command in ("sync", "verify"):
        ours = [sys.executable, "-m", "artifactd", command, "--config", config]
        ended = subprocess.run(ours, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == Exit.OK, ended.stdout[-3000:] + ended.stderr
    assert list((tmp_path / "exports/.artifactd/tmp").iterdir()) == []
