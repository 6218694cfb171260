"""A machine of its own: systemd booted by systemd-nspawn on an overlay of this one's root.

What it writes is in memory, and forgotten with it.
"""

import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.process import until

PROGRAM = Path("/opt/artifactd/bin/artifactd")
_DEPENDENCIES = "/opt/artifactd/dependencies"
_BOOT_SECONDS = 30.0

DISKS = ("/opt/h2oai", "/srv")
"""File systems of their own: on an overlay, a file and its directory can have different devices."""


def _disk(top: str) -> str:
    return f"disk{top.replace('/', '-')}"


class Box:
    """A booted machine. `root` is its file system as seen from here."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(self, *command: str, standard_input: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command as the machine's root, to its end."""
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid")
        return subprocess.run(
            ["nsenter", "--target", str(self._leader), *namespaces, "--", *command],
            capture_output=True,
            text=True,
            check=False,
            input=standard_input,
            timeout=120,
        )

    def ok(self, *command: str) -> str:
        """What a command prints that has to end well."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(self, path: str) -> Path:
        """A path of the machine, as seen from here: on its root or on one of its disks."""
        top = next((top for top in DISKS if path.startswith(top)), "")
        return (
            self.root.with_name(_disk(top)) / path.removeprefix(top).lstrip("/")
            if top
            else self.root / path[1:]
        )

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file of root's, as the machine sees it."""
        done = self.run(
            "sh", "-c", f'install -D -m {mode:o} /dev/stdin "$1"', "sh", path, standard_input=text
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def booted(base: Path, wheel: Path) -> Iterator[Box]:
    """A machine with artifactd installed from `wheel`, and with Driverless AI's account."""
    assert os.geteuid() == 0, "booting a machine needs root"
    assert shutil.which("systemd-nspawn"), "apt-get install systemd-container"
    with ExitStack() as stack:
        root = _overlaid(base, stack)
        (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
        (root / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/basic.target")
        for directory in (root / "opt/artifactd", *(base / _disk(top) for top in DISKS)):
            directory.mkdir(exist_ok=True)
        console = stack.enter_context((base / "console").open("wb"))
        nspawn = subprocess.Popen(
            [
                "systemd-nspawn",
                f"--directory={root}",
                "--boot",
                f"--machine=artifactd-{os.getpid()}",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--link-journal=no",
                f"--bind-ro={sysconfig.get_path('purelib')}:{_DEPENDENCIES}",
                f"--bind-ro={wheel}",
                *(f"--bind={base / _disk(top)}:{top}" for top in DISKS),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
        stack.callback(_shut_down, nspawn)
        box = _up(root, nspawn)
        _install(box, wheel)
        yield box


def _overlaid(base: Path, stack: ExitStack) -> Path:
    """This machine's root, with a layer in memory above it that takes every write."""
    _mounted(stack, "-t", "tmpfs", "-o", "size=3g,mode=755", "none", str(base))
    upper, work, root = base / "upper", base / "work", base / "root"
    for directory in (upper, work, root):
        directory.mkdir()
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    _mounted(stack, "-t", "overlay", "-o", layers, "none", str(root))
    return root


def _mounted(stack: ExitStack, *arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
    stack.callback(subprocess.run, ["umount", "--lazy", arguments[-1]], check=False)


def _up(root: Path, nspawn: "subprocess.Popen[bytes]") -> Box:
    """The machine once it is up. Its first process is nspawn's child; before it, others are for a moment."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    found: list[Box] = []

    def is_up() -> bool:
        assert nspawn.poll() is None, f"nspawn ended: {root.with_name('console').read_text()}"
        found[:] = [Box(root, int(child)) for child in children.read_text().split()]
        states = [box.run("systemctl", "is-system-running").stdout.strip() for box in found]
        return bool({"running", "degraded"}.intersection(states))

    until(is_up, "the machine is up", _BOOT_SECONDS)
    return found[-1]


def _shut_down(nspawn: "subprocess.Popen[bytes]") -> None:
    nspawn.send_signal(signal.SIGTERM)  # nspawn shuts the machine down
    try:
        nspawn.wait(timeout=30)
    except subprocess.TimeoutExpired:
        nspawn.kill()
        nspawn.wait()


def _install(box: Box, wheel: Path) -> None:
    box.ok("/usr/bin/python3", "-m", "venv", "--without-pip", "/opt/artifactd")
    (packages,) = box.ok("sh", "-c", "echo /opt/artifactd/lib/python3*/site-packages").split()
    box.write(f"{packages}/dependencies.pth", _DEPENDENCIES + "\n")
    box.ok(
        "/opt/artifactd/bin/python",
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        str(wheel),
    )
    box.ok("useradd", "--system", "--user-group", "dai")
