"""artifactd in a container beside another one: started by podman, and by compose."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import OWN, PATIENCE, Daemon
from tests.system.podman import IMAGE, ROOT, Podman, said

CONFINED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
"""What compose.yaml and the Kubernetes manifests ask for, and not even a /tmp."""

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
