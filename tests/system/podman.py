"""Containers as a platform runs them: podman with a storage of its own, images built here, no network.

Nothing is pulled and nothing of the machine's own podman is touched. `containers.conf` says what the machine
lacks that podman wants by default: a service manager, a limit on open files that may be raised.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import PATIENCE

ROOT = Path(__file__).parents[2]
BASE, IMAGE = "localhost/artifactd-base", "localhost/artifactd"
PYTHON = "3.11"
"""Debian's, which `container/base` takes"""

_NEEDED = ("podman", "runc", "mmdebstrap", "iptables", "catatonit")
_CONF = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """podman, with everything that it keeps below one directory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "containers.conf").write_text(_CONF)
        (base / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{base}/storage"\nrunroot = "{base}/run"\n'
        )
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": f"{base}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{base}/storage.conf",
        }

    def __call__(self, *arguments: str, seconds: float = 4 * PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command of podman's to its end, whatever that is."""
        return self.process("podman", *arguments, seconds=seconds)

    def process(self, *command: str, seconds: float, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program that may call podman."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environment | variables,
            timeout=seconds,
        )

    def ok(self, *arguments: str, seconds: float = 4 * PATIENCE) -> str:
        """What a command prints that has to end well."""
        return said(self(*arguments, seconds=seconds))

    def build(self, wheels: Path) -> None:
        """Make the bases and the image, as container/README.md says for a site without a network."""
        said(self.process("container/base", BASE, seconds=600))
        ignored = "--ignorefile=container/Containerfile.dockerignore"
        arguments = {
            "BASE": BASE,
            "BUILD_BASE": f"{BASE}-build",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "/wheels",
            "VERSION": "0.0.test",
            "REVISION": "of-the-tests",
        }
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        where = ("--pull=never", "--network=none", f"--volume={wheels}:/wheels:ro", f"--tag={IMAGE}")
        self.ok(
            "build",
            "--format=docker",
            "--file=container/Containerfile",
            ignored,
            *given,
            *where,
            ".",
            seconds=600,
        )

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What podman knows of an image or a container."""
        (found,) = json.loads(self.ok(kind, "inspect", name))
        return dict(found)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed that had to end well."""
    assert done.returncode == 0, f"{done.args} ended with {done.returncode}: {done.stderr[-4000:]}"
    return done.stdout


def download(wheels: Path) -> None:
    """Every wheel that the build wants, as container/README.md says."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--only-binary=:all:")
    pinned = ("--require-hashes", "-r", "constraints.txt", "-r", "constraints-build.txt")
    said(
        subprocess.run(
            [*pip, "--python-version", PYTHON, *pinned],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=600,
        )
    )


@contextmanager
def podman() -> Iterator[Podman]:
    """A podman that has the image; nothing of it is left behind."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    assert not missing, (
        f"these tests need more of Debian: apt-get install --no-install-recommends {' '.join(missing)}"
    )
    base = Path(
        tempfile.mkdtemp(prefix="artifactd-")
    )  # short: a socket's path below it has room for 107 bytes
    try:
        found = Podman(base)
        (base / "wheels").mkdir()
        download(base / "wheels")
        found.build(base / "wheels")
        yield found
    finally:
        found("rm", "--all", "--force", "--volumes", "--time=0")
        found("rmi", "--all", "--force")
        shutil.rmtree(base, ignore_errors=True)
