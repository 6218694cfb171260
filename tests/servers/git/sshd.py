"""A real sshd on loopback that lets one key in, to git and to nothing else."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv GIT_PROTOCOL
PrintMotd no
LogLevel ERROR
"""


_SHELL = """\
#!/bin/sh
# git, and where its LFS is, if there is a file that says it. Nothing else.
case "$SSH_ORIGINAL_COMMAND" in
git-lfs-authenticate*) exec cat {lfs} ;;
*) exec git-shell -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """A server; `key` is let in, `stranger` is not."""

    port: int
    key: Path
    stranger: Path
    known_hosts: Path
    lfs: Path
    """what `git-lfs-authenticate` says; where there is no such file, there is no LFS"""

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


def program() -> str:
    """The server, which has to be called by its absolute path."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return found or pytest.fail("the tests of git over ssh need a server: apt-get install openssh-server")


def keypair(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@contextmanager
def sshd(home: Path) -> Iterator[Sshd]:
    """A server for as long as the block takes."""
    home.mkdir()
    host, key, stranger = (keypair(home / name) for name in ("host_key", "key", "stranger"))
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
    public = key.with_suffix(".pub").read_text()
    (home / "shell").write_text(_SHELL.format(lfs=home / "lfs"))
    (home / "shell").chmod(0o755)
    command = f'command="{home}/shell"'
    (home / "authorized_keys").write_text(f"restrict,{command} {public}")
    port = _free_port()
    (home / "config").write_text(_CONFIG.format(port=port, home=home))
    known = home / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}")
    log = (home / "log").open("wb")
    process = subprocess.Popen([program(), "-D", "-e", "-f", str(home / "config")], stderr=log)
    try:
        _until_it_answers(port, process)
        yield Sshd(port, key, stranger, known, home / "lfs")
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_it_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "sshd ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("sshd does not answer")
