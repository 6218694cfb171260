"""artifactd into a git repository and its verify, beside `git add`, `git commit`, `git push` by hand."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import SYNC
from benchmarks.measure import Cost, flush, measured
from benchmarks.workload import Workload

FILES, COMMITS = 20_000, 5_000
"""What a large repository holds: files of 8 KiB, and its history."""

_CONFIG = """\
enable_artifacts_upload = true
artifacts_store = "bitbucket"
artifacts_git_repo = "{repository}"
data_directory = "{data}"

[artifactd]
state_directory = "{state}"

[watch]
quiet_seconds = 0.01

[git]
lfs_threshold = ""

[[policy]]
name = "everything"
match = "**"
as = "{{path}}"
"""

_BY_HAND = (
    'cp -r "$1"/. "$2" && cd "$2" && git add --all && git -c user.name=me -c user.email=me@example.com '
    "commit --quiet --message=all && git push --quiet origin HEAD:dev"
)


@dataclass(frozen=True, slots=True)
class Lap:
    """One way of one workload into one repository."""

    workload: Workload
    into: str
    way: str
    cost: Cost
    disk: int
    """bytes on the disk that the way leaves beside the repository and the source"""


def laps(workload: Workload, home: Path, *, size: tuple[int, int] = (FILES, COMMITS)) -> Iterator[Lap]:
    """Every way of the workload, in a directory that is made for it."""
    home.mkdir()
    workload.make(home / "data")
    for into, (files, commits) in {"empty": (0, 0), "large": size}.items():
        for way in ("artifactd sync", "git add, commit, push"):
            place = home / f"{into}-{way[:3]}"
            repository = _repository(place, files, commits)
            ours = way.startswith("a")
            command, kept = (_ours if ours else _by_hand)(place, repository, home / "data")
            flush(home)
            cost = measured(command)
            yield Lap(workload, into, way, cost, sum(map(_size, kept)))
            for options in (
                ([], ["--read"]) if ours and not files else ()
            ):  # what others have there is unknown
                verify = [command[0], "verify", *options, "--config", command[-1]]
                name = " ".join(["artifactd verify", *options])
                yield Lap(workload, into, name, measured(verify), sum(map(_size, kept)))
            shutil.rmtree(place)
    shutil.rmtree(home)


def _repository(place: Path, files: int, commits: int) -> Path:
    """A bare repository with that much in its branch."""
    repository = place / "repository.git"
    repository.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=dev", repository], check=True)
    subprocess.run(["git", "-C", repository, "config", "uploadpack.allowFilter", "true"], check=True)
    importer = ["git", "-C", str(repository), "fast-import", "--quiet"]
    with subprocess.Popen(importer, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - for mypy: it was asked for
        for number in range(commits):
            process.stdin.write(b"commit refs/heads/dev\ncommitter c <c@example.com> %d +0000\n" % number)
            process.stdin.write(b"data 1\nx\n")
            each = -(-files // commits)
            for file in range(number * each, min(files, (number + 1) * each)):
                process.stdin.write(b"M 100644 inline old/%03d/%06d\ndata 8192\n" % (file % 100, file))
                process.stdin.write(os.urandom(8192) + b"\n")
    return repository


def _ours(place: Path, repository: Path, data: Path) -> tuple[list[str], list[Path]]:
    config = place / "config.toml"
    text = _CONFIG.format(repository=repository, data=data, state=place / "state")
    config.write_text(text, encoding="utf-8")
    return [*(part for part in SYNC if part), str(config)], [place / "state" / "git"]


def _by_hand(place: Path, repository: Path, data: Path) -> tuple[list[str], list[Path]]:
    work = place / "work"
    subprocess.run(["git", "clone", "--quiet", repository, work], check=True, stderr=subprocess.DEVNULL)
    return ["sh", "-c", _BY_HAND, "sh", str(data), str(work)], [work]


def _size(directory: Path) -> int:
    return int(subprocess.check_output(["du", "-s", "-B1", directory]).split()[0])
