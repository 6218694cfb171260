"""Runs git: bounded in time and words, in its own environment, killed with its children. GitPython's home.

GitPython starts the child processes and nothing else: its object database keeps files and memory in a process
that runs for months. It hands every child the daemon's whole environment, where Driverless AI's passwords may
stand; so each variable is emptied, and `env -i` starts git with no more than it is given here.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Final

from artifactd.stores.git.pipes import TooMuch, converse, into

_SAID: Final = 16 << 10
"""Bytes of git's words that are looked at. A server may say any number; the cause stands at the end."""

_MOST: Final = 256 << 20
"""Bytes that a command may answer: a branch of a million files, listed."""

_NOT_FOUND: Final = 127  # what env(1) ends with
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")

_ALWAYS: Final = {
    "LC_ALL": "C",  # answers.py reads what git says
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}


class GitFailed(Exception):
    """git ended with an error, or was killed: after its time, or because it said too much."""

    def __init__(self, command: str, said: str, output: str = "") -> None:
        super().__init__(f"git {command}: {said.strip() or 'failed and said nothing'}")
        self.said = f"{output}\n{said}"
        """the end of what it wrote"""


class NoGit(Exception):
    """git, or its ssh, is not installed."""


class Running:
    """The commands of one store that are under way, to be ended together. Threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._ended = Event()

    @contextmanager
    def one(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """This command runs for as long as the block; it is killed at once where all were ended."""
        with self._lock:
            self._processes.add(process)
            if self._ended.is_set():
                _kill(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        """Kill all, and whatever is started from now on."""
        with self._lock:
            self._ended.set()
            for process in self._processes:
                _kill(process)

    def pause(self, seconds: float) -> None:
        """Wait so long, or until all are ended."""
        self._ended.wait(seconds)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs git on the repository in `directory`."""

    directory: Path
    seconds: float
    """after which a command is killed"""
    running: Running
    held: tuple[int, ...] = ()
    """descriptors that every child inherits: locks, so that they last as long as the last child"""

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
        program: str = "git",
    ) -> bytes:
        """What git writes to its standard output. `fds` are inherited by it and its children.

        `program`: git's transport, where it is spoken to itself. More than 256 MiB of output is an error.

        Raises:
            GitFailed, NoGit: see there.
        """
        output = bytearray()
        with self._started([program, *arguments], env, fds) as process:
            said = self._conversed(process, arguments[0], stdin, into(output, _MOST))
            _must_be_well(process.returncode, arguments[0], said, output)
            return bytes(output)

    def stream(
        self,
        *arguments: str,
        take: Callable[[bytes], None],
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Hand git's standard output to `take`, piece by piece.

        Raises:
            GitFailed, NoGit: see there. What `take` got is not all.
        """
        with self._started(["git", *arguments], env, ()) as process:
            said = self._conversed(process, arguments[0], stdin, take)
            _must_be_well(process.returncode, arguments[0], said, b"")

    def _conversed(
        self,
        process: "subprocess.Popen[bytes]",
        command: str,
        stdin: bytes,
        take: Callable[[bytes], None],
    ) -> bytes:
        """Let it do its work; the end of what it said of it."""
        try:
            return converse(process, stdin, take, _SAID, self.seconds)
        except TimeoutError:  # what was said is not told: who left the group may say more
            too_long = f"Operation timed out: it took more than {self.seconds:g} seconds"
            raise GitFailed(command, too_long) from None
        except TooMuch as error:
            raise GitFailed(command, str(error)) from None

    @contextmanager
    def _started(
        self, command: Sequence[str], env: Mapping[str, str] | None, fds: Sequence[int]
    ) -> "Iterator[subprocess.Popen[bytes]]":
        # Without it the import fails where git is not installed; so the command tells, as the store's error.
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        from git.cmd import Git  # noqa: PLC0415 - a run that starts no git does not pay for it
        from git.exc import GitCommandNotFound  # noqa: PLC0415 - as above

        clean = _ALWAYS | _inherited() | {"HOME": str(self.directory), "GIT_DIR": str(self.directory)}
        variables = [f"{name}={value}" for name, value in (clean | dict(env or {})).items()]
        try:
            started = Git(str(self.directory)).execute(
                ["env", "-i", *variables, *command],
                istream=subprocess.PIPE,
                as_process=True,
                env=dict.fromkeys(os.environ, "") | {"PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=(*self.held, *fds),
                start_new_session=True,
            )
        except GitCommandNotFound as error:
            raise NoGit(str(error)) from None
        process = started.proc
        assert process is not None  # noqa: S101 - for mypy: it was just started
        try:
            with self.running.one(process):
                yield process
        except BaseException:
            _kill(process)
            raise
        finally:
            _close(process)
            process.wait()


def _must_be_well(code: int, command: str, said: bytes, out: bytes | bytearray) -> None:
    if code == _NOT_FOUND and said.startswith(b"env:"):
        raise NoGit("git or ssh is not installed: apt-get install git openssh-client")
    if code != 0:
        raise GitFailed(command, said.decode("utf-8", "replace"), out[-_SAID:].decode("utf-8", "replace"))


def _inherited() -> dict[str, str]:
    """Where programs are, and the way out; but no proxy that has a password in its address."""
    found = {name: os.environ.get(name, "") for name in ("PATH", *_PROXIES)}
    return {name: value for name, value in found.items() if value and (name == "PATH" or "@" not in value)}


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End it and all that it started: git's transports are processes of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _close(process: "subprocess.Popen[bytes]") -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None and not stream.closed:
            try:
                stream.close()
            except BrokenPipeError:
                continue
