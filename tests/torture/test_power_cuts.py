"""The power fails at any moment of a sync. Who wrote the sources did not flush all of them, either."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest

from artifactd.cli.exits import Exit
from tests.support.logged_disk import MKFS, Cut, Kept, LoggedDisks, Step, What

CONFIG = """
enable_artifacts_upload = true
data_directory = "{data}"
artifacts_file_system_directory = "{kept}/exports"
[artifactd]
state_directory = "{kept}/state"
[watch]
quiet_seconds = 0.01
[[policy]]
name = "all"
match = ["*.csv"]
"""

ROUNDS = 4
CUTS = 36
"""for each kind of file system, and number of disks"""


@dataclass
class Life:
    """Sources on the first disk, state and destination on the last, through a few syncs."""

    disks: LoggedDisks
    config: Path
    versions: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """key → digests of what its file was made to hold, in order"""

    def __post_init__(self) -> None:
        self.data, kept = self.disks.roots[0] / "data", self.disks.roots[-1]
        self.exports = kept / "exports"
        self.config.write_text(CONFIG.format(data=self.data, kept=kept))

    def live(self) -> list[Step]:
        """In each round: new files that nobody flushes, changed ones that their writer flushes; a sync."""
        self.exports.mkdir()
        for number in range(ROUNDS):
            shutil.rmtree(self.data / f"alice/h2oai_experiment_new{number - 2}", ignore_errors=True)
            for file in range(4):
                self.write(f"new{number}", f"{file}.csv", b"new %d %d\n" % (number, file) * 300, flush=False)
            self.write(f"new{number}", "large.csv", b"large %d\n" % number * 60_000, flush=False)
            for file in range(2):
                self.write("changed", f"{file}.csv", b"version %d of %d\n" % (number, file) * 300, flush=True)
            for line in self.command("sync").splitlines():
                event = json.loads(line)
                if event["event"] == "artifact.exported":
                    self.disks.mark(f"{event['key']} {event['sha256']}")
        return self.disks.steps()

    def write(self, experiment: str, name: str, content: bytes, *, flush: bool) -> None:
        path = self.data / f"alice/h2oai_experiment_{experiment}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        self.versions[f"alice/{experiment}/{name}"].append(hashlib.sha256(content).digest())

    def command(self, *arguments: str, ends: Sequence[Exit] = (Exit.OK,)) -> str:
        ours = (sys.executable, "-m", "artifactd", *arguments, "--config", str(self.config))
        ended = subprocess.run(ours, capture_output=True, text=True, timeout=100, check=False)
        assert ended.returncode in ends, ended.stdout + ended.stderr
        return ended.stdout

    # --- after a cut ---

    def holds(self, acknowledged: dict[str, bytes]) -> None:
        """What was acknowledged is there, in that version or a later one; each copy is a version."""
        exported = {key: hashlib.sha256(content).digest() for key, content in self.visible()}
        for key, digest in exported.items():
            assert digest in self.versions[key], f"{key} holds what its file never held"
        for key, digest in acknowledged.items():
            later = self.versions[key][self.versions[key].index(digest) :]
            assert exported.get(key) in later, f"{key} was acknowledged, and is lost"

    def visible(self) -> Iterator[tuple[str, bytes]]:
        for file in (self.exports / "alice").rglob("*"):
            if file.is_file():
                yield file.relative_to(self.exports).as_posix(), file.read_bytes()

    def goes_on(self, acknowledged: dict[str, bytes]) -> None:
        """The next sync ends well, or names what is damaged. What was exported stays, and is proven."""
        for directory in (self.data, self.exports):
            directory.mkdir(exist_ok=True)  # they have to be there, and the first cuts come before they are
        for source in self.data.rglob("*.csv"):
            # What was damaged before it was on record is, for all that anybody can know, what was written.
            key = f"alice/{source.parent.name.removeprefix('h2oai_experiment_')}/{source.name}"
            if key not in acknowledged:
                self.versions[key].append(hashlib.sha256(source.read_bytes()).digest())
        self.command("sync", ends=(Exit.OK, Exit.INCOMPLETE))
        self.holds(acknowledged)
        self.command("verify", "--read")


def acknowledged(steps: Sequence[Step]) -> dict[str, bytes]:
    """key → digest of the last version of which the sync had said that it is exported."""
    marks = (step.content.decode().split() for step in steps if step.what is What.MARKED)
    return {key: bytes.fromhex(digest) for key, digest in marks}


def cuts(steps: Sequence[Step], chance: random.Random) -> Iterator[Cut]:
    """Half of them right after something was acknowledged, the others anywhere."""
    marks = [number + 1 for number, step in enumerate(steps) if step.what is What.MARKED]
    for number in range(CUTS):
        at = chance.choice(marks) if number % 2 else chance.randrange(len(steps))
        yield Cut(at, get_args(Kept)[number // 2 % 4], chance.getrandbits(32))


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", MKFS)
@pytest.mark.parametrize("number", [1, 2], ids=["one disk", "source and destination on two disks"])
def test_no_power_cut_loses_or_damages_what_was_acknowledged(tmp_path: Path, kind: str, number: int) -> None:
    disks = LoggedDisks(tmp_path, kind, number)
    life = Life(disks, tmp_path / "config.toml")
    with disks:
        steps = life.live()
    written = {key: list(digests) for key, digests in life.versions.items()}
    for cut in cuts(steps, random.Random(f"{kind} {number}")):  # noqa: S311 - the same cuts each time
        life.versions = defaultdict(list, {key: list(digests) for key, digests in written.items()})
        before = acknowledged(steps[: cut.at])
        with disks.after(cut, steps):
            life.holds(before)
            life.goes_on(before)


@pytest.mark.torture
@pytest.mark.parametrize("kind", MKFS)
def test_a_disk_that_does_not_flush_is_found_out(tmp_path: Path, kind: str) -> None:
    """The test can fail: this is what a missing flush of ours would look like to it."""
    disks = LoggedDisks(tmp_path, kind, 1)
    life = Life(disks, tmp_path / "config.toml")
    with disks:
        steps = life.live()
    cut = Cut(len(steps), "none", 0, flushes=False)
    with disks.after(cut, steps), pytest.raises(AssertionError, match="was acknowledged, and is lost"):
        life.holds(acknowledged(steps))
