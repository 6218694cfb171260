"""A site as an operator has it: directories, a configuration, and the real `artifactd` as a process."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artifactd.log.lines import COMMON, LINES, OPTIONAL
from tests.support import forking

PATIENCE = 120.0
"""Seconds after which something that should have happened never will, on a machine that others use too."""

CONFINED = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
"""Starts a process of root's that permissions hold for, as for any other account."""

OWN = (".artifactd/", "_artifactd/")
"""What artifactd keeps in a destination for itself: unfinished copies, anchors of the record."""

CSV = b"row,prediction\n1,0.25\n"


def until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until it happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def a_zip(content: bytes = b"model", name: str = "mojo/model.ini") -> bytes:
    """The bytes of a whole zip, the same for the same content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


class Site:
    """Everything below one directory. What a test says in `tables` goes to the end of config.toml."""

    def __init__(self, base: Path) -> None:
        self.base, self.data, self.exports, self.state = base, base / "data", base / "exports", base / "state"
        self.config = base / "config.toml"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ARTIFACTD_", "DRIVERLESS_AI_"))
        }
        for directory in (self.data, self.exports):
            directory.mkdir()
        self.configure()

    def configure(
        self,
        tables: str = "",
        *,
        enabled: bool = True,
        exports: str = "exports",
        quiet: float = 0.2,
        rescan: float = 60.0,
        ours: str = "",
    ) -> None:
        """Write config.toml. The scan on the timer comes late, so that events have to do the work."""
        self.config.write_text(
            f"enable_artifacts_upload = {str(enabled).lower()}\n"
            f'artifacts_file_system_directory = "{exports}"\n'
            'data_directory = "data"\n'
            f'[artifactd]\nstate_directory = "state"\n{ours}\n'
            f"[watch]\nquiet_seconds = {quiet}\nrescan_seconds = {rescan}\n"
            f"{tables}\n"
        )

    # --- the data directory ---

    def folder(self, experiment: str = "one", user: str | None = "alice") -> Path:
        """An experiment's folder."""
        return self.data / (user or "") / f"h2oai_experiment_{experiment}"

    def write(
        self, name: str, content: bytes = CSV, *, experiment: str = "one", user: str | None = "alice"
    ) -> Path:
        """Write an artifact in place, at once."""
        path = self.folder(experiment, user) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    # --- the destination, looked at from outside ---

    def files(self) -> dict[str, Path]:
        """Every file that anybody sees in the destination, artifactd's own folders aside."""
        found = (path for path in self.exports.rglob("*") if not path.is_dir())
        files = {str(path.relative_to(self.exports)): path for path in found}
        return {key: path for key, path in files.items() if not key.startswith(OWN)}

    def exported(self) -> dict[str, bytes]:
        """Key → bytes of every copy."""
        return {key: path.read_bytes() for key, path in self.files().items()}

    def leftovers(self) -> list[Path]:
        """Temporary files that nobody cleaned up."""
        return list((self.exports / ".artifactd" / "tmp").glob("*"))

    def stamps(self) -> dict[Path, tuple[int, int, int]]:
        """What a write to the destination or the state would change.

        The watcher's heartbeat aside, and the memory that SQLite's readers share.
        """
        below = (path for top in (self.exports, self.state) for path in top.rglob("*"))
        counted = (path for path in below if "heartbeat" not in path.parts and not path.name.endswith("-shm"))
        found = {path: path.stat() for path in counted}
        return {path: (one.st_ino, one.st_size, one.st_mtime_ns) for path, one in found.items()}

    # --- artifactd ---

    def arguments(self, *arguments: str) -> list[str]:
        """The command line of a command."""
        return [sys.executable, "-m", "artifactd", *arguments, "--config", str(self.config)]

    def command(
        self, *arguments: str, under: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. `under`: what starts it, such as setpriv with its arguments."""
        if not under:
            return forking.run(
                [*arguments, "--config", str(self.config)],
                cwd=self.base,
                env={**self.environment, **(environment or {})},
                seconds=2 * PATIENCE,
            )
        return subprocess.run(
            [*under, *self.arguments(*arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.base,
            env={**self.environment, **(environment or {})},
            timeout=2 * PATIENCE,
        )

    def ok(self, *arguments: str) -> str:
        """What a command prints that has to end well."""
        done = self.command(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines that a command prints, however it ends."""
        return [json.loads(line) for line in self.command(*arguments).stdout.splitlines()]

    @contextmanager
    def daemon(
        self, *, under: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Iterator["Daemon"]:
        """The running daemon, past its first scan. It is stopped at the end, and has to end well."""
        with self.starting(under=under, environment=environment) as daemon:
            daemon.hear("daemon.started")
            daemon.hear("scan.finished", reason="start")
            yield daemon
            if daemon.process.poll() is None:
                assert daemon.stop() == 0, daemon.errors()

    @contextmanager
    def starting(
        self, *, under: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Iterator["Daemon"]:
        """A daemon that was just started. Whatever is left of it at the end is killed."""
        errors = self.base / "stderr"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [*under, *self.arguments("run")],
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.base,
                env={**self.environment, **(environment or {})},
            )
        daemon = Daemon(process, errors)
        try:
            yield daemon
        finally:
            if process.poll() is None:
                process.kill()
            daemon.ended()


class Daemon:
    """A running `artifactd run`; every line that it logs is checked against the schema."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: Path) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._stderr = stderr
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(json.loads(line))
                self._news.notify_all()
        self.process.stdout.close()

    def heard(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines so far of this event with these fields."""
        return [
            line for line in list(self.lines) if line["event"] == event and fields.items() <= line.items()
        ]

    def hear(self, event: str, count: int = 1, **fields: object) -> dict[str, Any]:
        """Wait for so many lines of this event with these fields in all; the last one."""
        found: list[dict[str, Any]] = []
        looked_at = 0

        def came() -> bool:
            nonlocal looked_at
            news, looked_at = self.lines[looked_at:], len(self.lines)
            found.extend(line for line in news if line["event"] == event and fields.items() <= line.items())
            return len(found) >= count

        with self._news:
            heard = self._news.wait_for(came, PATIENCE)
        tail = "\n".join(map(str, self.lines[-20:]))
        assert heard, f"{count} of {event} {fields} never came\n{self.errors()}\n{tail}"
        return found[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        for line in self.lines:
            unknown = line.keys() - {*COMMON, *OPTIONAL, *LINES[line["event"]]}
            assert not unknown, f"not in the schema of {line['event']}: {unknown}"
            assert set(COMMON) <= line.keys(), line
        return code

    def errors(self) -> str:
        """What it said on standard error."""
        return self._stderr.read_text()
