"""Containers as a platform runs them: podman with a storage of its own, images built here, no network.

Nothing is pulled and nothing of the machine's own podman is touched. `containers.conf` says what the machine
lacks that podman wants by default: a service manager, a limit on open files that may be raised.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli

from tests.process import OWN, PATIENCE, Daemon

ROOT = Path(__file__).parents[2]
BASE, IMAGE = "localhost/artifactd-base", "localhost/artifactd"
PYTHON = "3.11"
"""Debian's, which `container/base` takes"""

CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
"""What compose.yaml and the Kubernetes manifests ask for, and not even a /tmp."""

_NEEDED = ("podman", "runc", "mmdebstrap", "iptables", "catatonit")
_CONF = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

_MACHINE = """
services:
  driverless-ai:
    entrypoint: ["python3", "-c"]
    command:
      - |
        import os, signal
        os.makedirs("/tmp/alice/h2oai_experiment_one")
        with open("/tmp/alice/h2oai_experiment_one/test_preds.csv", "wb") as file:
            file.write(b"row,prediction\\n1,0.25\\n")
        signal.sigwait([signal.SIGTERM])
    network_mode: none
    ports: !reset []
    ulimits: {nofile: 1024, nproc: 1024}
"""
"""Laid over compose.yaml: what stands in for Driverless AI, and what this machine does not let it have."""


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
    """Every wheel that the build wants, in the versions of constraints.txt."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    extra = project["project"]["optional-dependencies"]["azure-identity"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"], *extra]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--only-binary=:all:")
    said(
        subprocess.run(
            [*pip, "--python-version", PYTHON, "--constraint", str(ROOT / "constraints.txt"), *wanted],
            capture_output=True,
            text=True,
            check=False,
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


class Sidecar:
    """artifactd in a container beside a data directory: three mounts, and an account."""

    def __init__(self, podman: Podman, base: Path, user: str = "4321:7654") -> None:
        self.podman, self.base, self.user = podman, base, user
        self.name = f"artifactd-{base.name}"
        self.data, self.exports, self.state = base / "data", base / "exports", base / "state"
        self.variables = {
            "DRIVERLESS_AI_ENABLE_ARTIFACTS_UPLOAD": "true",
            "ARTIFACTD_WATCH__QUIET_SECONDS": "0.2",
        }
        self.more: list[str] = []
        """further arguments of `podman run`"""
        uid, _, gid = user.partition(":")
        for directory in (self.data, self.exports, self.state):
            directory.mkdir()
            os.chown(directory, int(uid), int(gid))

    def volumes(self) -> Sequence[str]:
        return (f"{self.data}:/dai-data:ro", f"{self.exports}:/exports", f"{self.state}:/var/lib/artifactd")

    def arguments(self) -> list[str]:
        variables = [f"--env={name}={value}" for name, value in self.variables.items()]
        volumes = [f"--volume={volume}" for volume in self.volumes()]
        account = (f"--name={self.name}", f"--user={self.user}", "--hostname=artifactd", "--network=none")
        return ["run", "--pull=never", *account, *CONFINED, *variables, *volumes, *self.more, IMAGE]

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """A new container, past its first scan. It is gone at the end."""
        with self._attached(self.arguments()) as daemon:
            yield daemon

    @contextmanager
    def again(self) -> Iterator[Daemon]:
        """The same container, started again."""
        with self._attached(["start", "--attach", self.name]) as daemon:
            yield daemon

    @contextmanager
    def _attached(self, arguments: Sequence[str]) -> Iterator[Daemon]:
        errors = self.base / "stderr"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                ["podman", *arguments], stdout=subprocess.PIPE, stderr=stderr, env=self.podman.environment
            )
        daemon = Daemon(process, errors)
        try:
            daemon.hear("scan.finished", reason="start")
            yield daemon
        finally:
            self.podman("kill", "--signal=KILL", self.name)
            daemon.ended()

    def exec(self, *command: str, user: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return self.podman("exec", f"--user={user or self.user}", self.name, *command)

    def python(self, code: str) -> str:
        """What a program prints that runs in the container."""
        return said(self.exec("python3", "-c", code)).strip()

    def state_of(self) -> Mapping[str, Any]:
        """What podman knows of how the container is."""
        return dict(self.podman.inspect("container", self.name)["State"])

    def signal(self, number: signal.Signals) -> None:
        self.podman.ok("kill", f"--signal={number.name}", self.name)

    def driverless_ai(self, code: str) -> str:
        """What the other container does: it has the same directory at /tmp, as Driverless AI has it."""
        entry = (
            "--entrypoint=python3",
            f"--user={self.user}",
            "--network=none",
            f"--volume={self.data}:/tmp",
        )
        return self.podman.ok("run", "--rm", "--pull=never", *entry, IMAGE, "-c", code)

    def exported(self) -> dict[str, bytes]:
        """Key → bytes of every copy."""
        return copies(self.exports)


class Compose:
    """container/compose.yaml where its first lines say that it lies, with what they say to do once."""

    user = "4321:7654"

    def __init__(self, podman: Podman, base: Path) -> None:
        self.podman, self.base, self.name = podman, base, "artifactd-compose"
        shutil.copy(ROOT / "container/compose.yaml", base)
        uid, _, gid = self.user.partition(":")
        for name in ("data", "log", "license", "tmp", "exports", "exports-by-hand", "artifactd"):
            (base / name).mkdir()
            os.chown(base / name, int(uid), int(gid))
        (base / ".env").write_text(f"DAI_UID={uid}\nDAI_GID={gid}\nDAI_IMAGE={IMAGE}\n")
        (base / "machine.yaml").write_text(_MACHINE)

    def ok(self, *arguments: str) -> str:
        """What a command of podman-compose's prints that has to end well."""
        compose = Path(sys.executable).parent / "podman-compose"
        files = [f"--file={self.base}/{name}" for name in ("compose.yaml", "machine.yaml")]
        where = (f"--project-name={self.name}", f"--env-file={self.base}/.env", "--in-pod=false")
        return said(self.podman.process(str(compose), *where, *files, *arguments, seconds=4 * PATIENCE))

    def exported(self) -> dict[str, bytes]:
        """Key → bytes of every copy."""
        return copies(self.base / "exports")


def copies(directory: Path) -> dict[str, bytes]:
    """What anybody sees in a destination, artifactd's own folders aside."""
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in files.items() if not key.startswith(OWN)}
