"""One booted machine for all tests of a run, and the service on it as at the beginning for each."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.box import Box, booted
from tests.system.service import Service

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be published."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(directory), str(PROJECT)]
    subprocess.run(build, check=True)
    (found,) = directory.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def box(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with booted(tmp_path_factory.mktemp("box"), wheel) as machine:
        yield machine


@pytest.fixture(scope="session")
def installed(box: Box) -> Service:
    return Service(box)


@pytest.fixture
def service(installed: Service) -> Iterator[Service]:
    yield installed
    installed.forget()
