"""Commands as processes of their own that import nothing: each is forked from one that has it all.

Python takes 0.3 to 0.5 s of CPU to import what a command needs. A suite that starts hundreds pays that once a
worker. The daemon, and whatever is started under another program, still begins as a person begins it.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

MOST = 1 << 17
"""Bytes of a request: arguments and environment, a tenth of it as a rule."""


def run(
    arguments: list[str], *, cwd: Path, env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """`python -m artifactd` with these arguments, to its end.

    Raises:
        TimeoutExpired: it took longer than `seconds`, and was killed.
    """
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with theirs:
            request = json.dumps([arguments, str(cwd), dict(env)]).encode()
            assert len(request) < MOST
            socket.send_fds(_parent(), [request], [theirs.fileno(), out.fileno(), errors.fileno()])
        ours.settimeout(seconds)
        with ours.makefile() as told:
            pid = int(told.readline())
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, seconds) from None
        said = []
        for file in (out, errors):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(arguments, code, *said)


@cache
def _parent() -> socket.socket:
    """The way to the process that forks, one a worker. It ends when this end is closed: when we die."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [
                sys.executable,
                "-P",
                __file__,
                str(theirs.fileno()),
            ],  # -P: operator.py beside this file is not Python's
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        ).returncode = 0  # nobody waits for it
    atexit.register(ours.close)
    return ours


def _serve(requests: socket.socket) -> None:
    """Fork a command for each request, and one that waits for it: nobody waits for anybody else."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries those that wait
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MOST, 3)
        if not request:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            answers, out, errors = descriptors
            if (pid := os.fork()) == 0:
                os.close(answers)
                arguments, cwd, env = json.loads(request)
                _become(arguments, cwd, env, out, errors)
                return
            os.write(answers, b"%d\n" % pid)
            os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(arguments: list[str], cwd: str, env: dict[str, str], out: int, errors: int) -> None:
    """Be the command, from here to the end of the process, which is Python's own."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, descriptor in ((1, out), (2, errors)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["artifactd", *arguments]
    runpy.run_module("artifactd", run_name="__main__", alter_sys=True)


def _import_everything() -> None:
    package = importlib.import_module("artifactd")
    for module in pkgutil.walk_packages(package.__path__, "artifactd."):
        if module.name != "artifactd.__main__":
            importlib.import_module(module.name)
    gc.freeze()  # what is here stays, and its pages stay shared


if __name__ == "__main__":
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
