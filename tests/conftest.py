"""What tests of the real process share."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.process import Site

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
def open_site() -> Iterator[Site]:
    """A site that other accounts can look into; pytest's own directories are closed to them."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Site(Path(directory))
