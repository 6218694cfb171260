"""What a newcomer's two commands and an administrator's install rest on: Debian's packages, pinned wheels."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[1]
PINNED = ("constraints.txt", "constraints-build.txt", "constraints-dev.txt")
A_USER = ("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, tuple[str, int]]:
    """Name → version, and how many hashes it has."""
    found = re.findall(r"^([\w.-]+)==(\S+)((?:.*\\\n)*.*)", (ROOT / file).read_text(), flags=re.MULTILINE)
    return {canonical(name): (version, rest.count("--hash=sha256:")) for name, version, rest in found}


def named(requirements: Iterable[str | dict[str, str]]) -> set[str]:
    """What is required by name. The rest includes another group."""
    return {canonical(re.split(r"[^\w.-]", one)[0]) for one in requirements if isinstance(one, str)}


@pytest.mark.parametrize("file", PINNED)
def test_everything_is_pinned_by_hash_and_no_place_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text, "where packages come from is the site's own affair"
    assert "\n--only-binary :all:\n" in text, "what is built from source takes what is not pinned"
    assert pins(file)
    for name, (_, hashes) in pins(file).items():
        assert hashes, name


def test_the_pins_cover_what_pyproject_names_and_agree() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    run, build, dev = map(pins, PINNED)
    groups = project["dependency-groups"]
    for requirements, pinned in (
        (project["project"]["dependencies"], run),
        (project["project"]["optional-dependencies"]["azure-identity"], run),
        (project["build-system"]["requires"], build),
        (groups["build"], build),
        (groups["dev"], dev),
    ):
        assert named(requirements) <= pinned.keys(), "make constraints"
    assert run.items() | build.items() <= dev.items()


@pytest.fixture
def bare() -> Iterator[Path]:
    """A PATH on which there is next to nothing, with the script."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others
        path = Path(directory)
        path.chmod(0o755)
        shutil.copy(ROOT / ".ci" / "packages", path)
        for program in ("sh", "id"):
            (path / program).symlink_to(f"/bin/{program}")
        (path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {path}/installed\n')
        (path / "apt-get").chmod(0o755)
        yield path


def packages(bare: Path, *under: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*under, "/bin/sh", bare / "packages", "test"],
        env={"PATH": str(bare)},
        cwd=bare,
        capture_output=True,
        text=True,
        check=False,
    )


NEEDED = ("python3-venv", "git", "git-lfs", "strace", "systemd")
"""sshd is found beside PATH, where it is installed."""


def test_root_has_all_that_is_missing_installed_at_once(bare: Path) -> None:
    done = packages(bare)
    assert done.returncode == 0, done.stderr
    update, install = (bare / "installed").read_text().splitlines()
    assert update == "-qq update"
    assert {*NEEDED} <= {*install.split()}


def test_anybody_else_is_told_all_of_it_at_once(bare: Path) -> None:
    done = packages(bare, *A_USER)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert {*NEEDED} <= {*line.split()}
    assert not (bare / "installed").exists()
