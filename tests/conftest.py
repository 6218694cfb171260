"""What tests of the real process share."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.process import Site, until

pytest_plugins = ("tests.servers.fixtures",)

# How fast examples are drawn says how busy the machine is, and nothing of the code under test.
settings.register_profile("shared machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def tmpfs() -> Iterator[Callable[[Path, str], Path]]:
    """Mounts a small file system of its own at a path, for as long as the test takes."""
    mounted: list[Path] = []

    def mount(path: Path, size: str = "1m") -> Path:
        path.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"mode=0755,size={size}", "none", path],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"this test mounts a tmpfs, which needs root: {done.stderr.decode()}"
        mounted.append(path)
        return path

    yield mount
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)


@pytest.fixture
def folding() -> Iterator[Callable[[Path], Path]]:
    """Mounts at a path a file system that takes names which differ only in case for one.

    It gives the directory that it serves, where nothing is folded.
    """
    with ExitStack() as stack:
        yield partial(_served, stack, "folding_disk")


@pytest.fixture
def hanging() -> Iterator[Callable[[Path], Path]]:
    """Mounts at a path a file system that hangs as soon as a file `hang` lies in the directory it gives."""
    with ExitStack() as stack:

        def mount(path: Path) -> Path:
            behind = _served(stack, "hanging_disk", path)
            stack.callback((behind / "hang").unlink, missing_ok=True)
            return behind

        yield mount


def _served(stack: ExitStack, program: str, path: Path) -> Path:
    """Mounts at `path` what this program of `tests.support` serves; the directory behind it."""
    path.mkdir(exist_ok=True)
    behind = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    command = (sys.executable, "-m", f"tests.support.{program}", behind, path)
    process = stack.enter_context(subprocess.Popen(command))
    stack.callback(lambda: subprocess.run(["umount", "--lazy", path], check=True))
    until(lambda: path.is_mount() or process.poll() is not None, "the file system is mounted")
    return behind


@pytest.fixture
def open_site() -> Iterator[Site]:
    """A site that other accounts can look into; pytest's own directories are closed to them."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Site(Path(directory))
