"""`artifactd demo`: the daemon at work on an experiment that is written before your eyes.

Nothing here is faked: in a temporary directory it starts the same `artifactd run` as everybody, with the
defaults (file system store, SQLite ledger), and believes only the daemon's log and the destination.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer

from artifactd.cli.exits import Exit
from artifactd.cli.terminal import fail
from artifactd.clock import SYSTEM
from artifactd.stopping import Stopping

_EXPERIMENT: Final = "h2oai_experiment_6f4a1f0e-52d1-4c3a-9d0b-1c5e6a7b8c9d"
_ID: Final = _EXPERIMENT.removeprefix("h2oai_experiment_")
_SECONDS: Final = 30.0
"""For each thing that is awaited. It takes a second or two; past that the demo has failed."""

_CONFIG: Final = """\
enable_artifacts_upload = true
artifacts_store = "file_system"
artifacts_file_system_directory = "exports"
data_directory = "data"

[artifactd]
state_directory = "state"
"""


class DemoFailed(Exception):
    """The daemon did not do what it promises. The message says what was awaited."""


def demo() -> None:
    """Show the daemon at work: it exports an experiment while that is written, in a temporary directory."""
    try:
        _demo()
    except DemoFailed as error:
        fail(Exit.FAILED, f"the demo failed: {error}")


def _demo() -> None:
    with tempfile.TemporaryDirectory(prefix="artifactd-demo-") as directory:
        story = _Story(Path(directory))
        for name in ("data", "exports"):
            (story.root / name).mkdir()
        (story.root / "config.toml").write_text(_CONFIG)
        typer.echo(f"The daemon starts: artifactd run --config {story.root}/config.toml\n")
        with _daemon(story):
            story.await_events("daemon.started")
            _experiment(story)
        typer.echo("\nThe destination:\n")
        for path in sorted((story.root / "exports" / "alice").rglob("*")):
            if path.is_file():
                typer.echo(f"  exports/{path.relative_to(story.root / 'exports')}")
        for command in (("list",), ("verify",)):
            typer.echo(f"\n$ artifactd {' '.join(command)}")
            _artifactd(story, *command)


@dataclass(slots=True)
class _Story:
    """The data directory and the daemon's log."""

    root: Path
    log: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)

    def write(self, name: str, content: bytes, *, chunks: int = 1, seconds: float = 0.0) -> None:
        """Write a file in place, as Driverless AI does, in so many chunks."""
        path = self.root / "data" / "alice" / _EXPERIMENT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        typer.echo(f"  Driverless AI writes  {name}" + (f"  (slowly: {seconds:g} s)" if seconds else ""))
        size = max(1, len(content) // chunks)
        with path.open("wb") as file:
            for start in range(0, len(content), size):
                file.write(content[start : start + size])
                file.flush()
                Stopping().wait(seconds / chunks)

    def await_events(self, event: str, count: int = 1) -> None:
        """Follow the daemon's log until it has told of `event` so many times more.

        Raises:
            DemoFailed: it did not in time.
        """
        until = SYSTEM.monotonic() + _SECONDS
        while count:
            try:
                line = self.log.get(timeout=max(0.0, until - SYSTEM.monotonic()))
            except queue.Empty:
                raise DemoFailed(f"{event} was awaited {count} times more, for {_SECONDS:g} s") from None
            self.show(line)
            count -= line["event"] == event

    def show(self, line: dict[str, Any]) -> None:
        """What the daemon did, as a sentence."""
        if line["event"] == "artifact.exported":
            name = str(line["key"]).rsplit("/", 1)[-1]
            typer.echo(
                f"  artifactd exported    {name}  {line['size']:,} bytes, sha256 {line['sha256'][:12]}…,"
                f" proof {line['proof']}, evidence {line['evidence']}"
            )


def _experiment(story: _Story) -> None:
    """An experiment from its first temporary file to its last zip, and what the daemon makes of each."""
    story.write("model.pickle", b"working state of the experiment")
    rows = "".join(f"{number},{number / 7:.6f}\n" for number in range(20_000)).encode()
    story.write("train_preds.csv", rows, chunks=8, seconds=2.0)
    story.write("test_preds.csv", rows[:4000])
    story.await_events("artifact.exported", 2)
    story.write("mojo_pipeline/mojo.zip", _zip("mojo/model.ini", os.urandom(300_000)), chunks=3, seconds=1.0)
    story.write("scoring_pipeline/scorer.zip", _zip("scorer/run.py", os.urandom(600_000)))
    story.write(f"h2oai_experiment_summary_{_ID}.zip", _zip("summary.txt", b"AUC 0.83"))
    story.write(f"h2oai_experiment_logs_{_ID}.zip", _zip("experiment.log", b"done"))
    typer.echo("  Driverless AI deletes model.pickle")
    (story.root / "data" / "alice" / _EXPERIMENT / "model.pickle").unlink()
    story.await_events("artifact.exported", 4)
    exported = sorted(path.name for path in (story.root / "exports" / "alice" / _ID).iterdir())
    wanted = 6
    if len(exported) != wanted:
        raise DemoFailed(f"{wanted} artifacts should have been exported, there are: {', '.join(exported)}")


def _zip(name: str, content: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)
        file.seek(0)
        return file.read()


@contextmanager
def _daemon(story: _Story) -> Iterator[None]:
    """The real daemon, its log followed; told to stop at the end as a service manager would."""
    process = subprocess.Popen(  # noqa: S603 - this very program
        _command(story, "run"), stdout=subprocess.PIPE, env=_environment()
    )
    follower = threading.Thread(target=_follow, args=(process, story.log), daemon=True)
    follower.start()
    try:
        yield
    finally:
        process.terminate()
        code = process.wait(timeout=_SECONDS)
        follower.join(timeout=_SECONDS)
    if code != 0:
        raise DemoFailed(f"the daemon ended with {code}")


def _follow(process: subprocess.Popen[bytes], log: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in process.stdout or ():
        log.put(json.loads(line))


def _artifactd(story: _Story, *arguments: str) -> None:
    """A command of ours, shown as a person would see it."""
    sys.stdout.flush()
    code = subprocess.run(_command(story, *arguments), check=False).returncode  # noqa: S603 - as above
    if code != 0:
        raise DemoFailed(f"artifactd {' '.join(arguments)} ended with {code}")


def _command(story: _Story, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "artifactd", *arguments, "--config", str(story.root / "config.toml")]


def _environment() -> dict[str, str]:
    """The environment, without a caller's own settings of the daemon."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ARTIFACTD_", "DRIVERLESS_AI_"))
    }
