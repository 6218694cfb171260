"""`artifactd sync` under strace: killed, or failed by the kernel, at every durable step it takes."""

import hashlib
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from artifactd.cli.exits import Exit

CONFIG = """
enable_artifacts_upload = true
data_directory = "data"
artifacts_file_system_directory = "exports"
[artifactd]
state_directory = "state"
[watch]
quiet_seconds = 0.01
[limits]
workers = 1
[[policy]]
name = "all"
match = ["*.csv"]
"""

STEPS = (
    "fsync",
    "fdatasync",
    "syncfs",
    "renameat",
    "renameat2",
    "pwrite64",
    "write",
    "copy_file_range",
    "fchmod",
    "ftruncate",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
)
"""What changes a disk, of the calls that are made."""

LARGE = 300 << 10  # past what the reader keeps in memory: copied by the kernel


@dataclass
class Life:
    """One tree, its exports and its state, through many deaths."""

    base: Path
    rounds: int = 0
    ever: defaultdict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """key → digests of what its file ever held"""

    def __post_init__(self) -> None:
        (self.base / "exports").mkdir()
        (self.base / "config.toml").write_text(CONFIG)
        for number in range(3):
            self.write("kept", f"{number}.csv", b"kept %d" % number)
        self.change()

    def change(self) -> None:
        """Artifacts that are new, changed, and unchanged; small and large; a few, or a batch."""
        self.rounds += 1
        shutil.rmtree(self.folder(f"new{self.rounds - 1}"), ignore_errors=True)
        for number in range(2 if self.rounds % 2 else 6):
            self.write(f"new{self.rounds}", f"below/{number}.csv", b"new %d %d" % (number, self.rounds) * 100)
        for number in range(2):
            self.write("changed", f"{number}.csv", b"changed %d %d" % (number, self.rounds) * 100)
        self.write("changed", "large.csv", b"%9d" % self.rounds * (LARGE // 9))

    def folder(self, experiment: str) -> Path:
        return self.base / "data/alice" / f"h2oai_experiment_{experiment}"

    def write(self, experiment: str, name: str, content: bytes) -> None:
        file = self.folder(experiment) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.ever[f"alice/{experiment}/{file.name}"].add(hashlib.sha256(content).digest())

    def command(self, *arguments: str, strace: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        prefix = ("strace", "-f", "-qq", "-o", "/dev/null", *strace) if strace else ()
        ours = (sys.executable, "-m", "artifactd", *arguments, "--config", str(self.base / "config.toml"))
        return subprocess.run([*prefix, *ours], capture_output=True, text=True, timeout=100, check=False)

    def sync(self, step: str = "", how: str = "") -> subprocess.CompletedProcess[str]:
        strace = ("-e", f"trace={step}", "-e", f"inject={step}:{how}") if step else ()
        return self.command("sync", "--wait", "20", strace=strace)

    # --- looked at from outside ---

    def visible(self) -> Iterator[tuple[str, bytes]]:
        exports = self.base / "exports"
        for file in exports.rglob("*"):
            if file.is_file() and ".artifactd" not in file.parts:
                yield file.relative_to(exports).as_posix(), file.read_bytes()

    def nothing_half_written(self) -> None:
        for key, content in self.visible():
            digest = hashlib.sha256(content)
            if key.startswith("_artifactd/"):
                assert key.endswith(digest.hexdigest()), f"{key} is no anchor"
            else:
                assert digest.digest() in self.ever[key], f"{key} holds {content[:50]!r}"

    def converges(self) -> None:
        """A clean sync exports what is there now; then all is proven and nothing is left over."""
        ended = self.sync()
        assert ended.returncode == Exit.OK, ended.stdout + ended.stderr
        self.nothing_half_written()
        exported = dict(self.visible())
        for file in (self.base / "data").rglob("*.csv"):
            key = f"alice/{file.relative_to(self.base / 'data/alice').parts[0][17:]}/{file.name}"
            assert exported.get(key) == file.read_bytes(), f"{key} is not what its file is"
        assert list((self.base / "exports/.artifactd/tmp").iterdir()) == []
        verified = self.command("verify")
        assert verified.returncode == Exit.OK, verified.stdout + verified.stderr


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def killed(life: Life, step: str, number: int) -> bool:
    """Whether the sync took that step so often, and so was killed at it. It ends well afterwards."""
    ended = life.sync(step, f"signal=KILL:when={number}")
    assert ended.returncode in (-9, 137, Exit.OK), ended.stderr
    life.nothing_half_written()
    life.converges()
    life.change()
    return ended.returncode != Exit.OK


def failed(life: Life, step: str, how: str, number: int) -> bool:
    """The same with a failing step."""
    ended = life.sync(step, f"{how}:when={number}")
    assert ended.returncode in (*Exit, 120), ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    life.nothing_half_written()
    life.converges()
    life.change()
    return False


def test_killed_at_a_durable_step_it_leaves_nothing_half_written_and_loses_nothing(life: Life) -> None:
    for step, number in (("fdatasync", 6), ("syncfs", 1), ("fsync", 2), ("renameat2", 3), ("renameat", 1)):
        assert killed(life, step, number), step


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "later sync"])
def test_killed_at_every_durable_step(tmp_path: Path, step: str, first: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    life = a_life(tmp_path / "0", first)
    survived = number = 0
    while survived < 2:  # a few files and a batch take different steps
        number += 1
        if not killed(life, step, number):
            survived += 1
        else:
            survived = 0
        if first:
            shutil.rmtree(life.base)
            life = a_life(tmp_path / str(number), first)


def a_life(base: Path, first: bool) -> Life:  # noqa: FBT001 - it reads well
    base.mkdir()
    life = Life(base)
    if not first:
        life.converges()
        life.change()
    return life


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "write"])
def test_failed_at_every_durable_step(life: Life, step: str, how: str) -> None:
    for number in range(1, calls(life, step) + 2):
        failed(life, step, how, number)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("step", ["write", "copy_file_range"])
def test_a_write_that_tells_more_than_it_did(life: Life, step: str) -> None:
    for number in range(1, calls(life, step) + 2):
        failed(life, step, "retval=100", number)


def calls(life: Life, step: str) -> int:
    """The most calls of `step` by any one thread: what strace counts."""
    trace = life.base / "trace"
    most = 0
    for _ in range(2):
        prefix = ("strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={step}")
        ours = (sys.executable, "-m", "artifactd", "sync", "--config", str(life.base / "config.toml"))
        subprocess.run([*prefix, *ours], capture_output=True, timeout=100, check=True)
        of_threads: defaultdict[str, int] = defaultdict(int)
        for line in trace.read_text().splitlines():
            of_threads[line.split()[0]] += f"{step}(" in line
        most = max(most, *of_threads.values(), 0)
        life.change()
    trace.unlink()
    return most
