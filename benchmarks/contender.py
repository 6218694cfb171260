"""Who copies: each as its users run it."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """\
enable_artifacts_upload = true
data_directory = "{data}"
{destination}

[artifactd]
state_directory = "{state}"

[watch]
quiet_seconds = {quiet_seconds}

[[policy]]
name = "everything"
match = "**"
as = "{{path}}"
"""

EXPORTS = 'artifacts_file_system_directory = "{directory}/exports"'
"""artifactd's destination in a directory."""


def beside_python(name: str) -> str | None:
    """The command of a package in this environment or in one below it, or one on PATH."""
    own = Path(sys.executable).with_name(name)
    apart = Path(sys.prefix).glob(f"*/*/bin/{name}")
    return str(own) if own.exists() else next(map(str, apart), None) or shutil.which(name)


def python_of(package: str) -> str | None:
    """The Python of the environment that a package has to itself; None where there is none."""
    return next(map(str, Path(sys.prefix).glob(f"{package}/*/bin/python")), None)


def configuration(home: Path, data: Path, quiet_seconds: float, destination: str = "") -> Path:
    """artifactd's configuration in the directory `home`, with its state and perhaps its exports there too."""
    (home / "exports").mkdir(parents=True)
    file = home / "config.toml"
    text = _CONFIG.format(
        data=data,
        destination=destination or EXPORTS.format(directory=home),
        state=home / "state",
        quiet_seconds=quiet_seconds,
    )
    file.write_text(text, encoding="utf-8")
    return file


@dataclass(frozen=True, slots=True)
class Contender:
    """A command line, with `{data}` and what the destination tells to be filled in."""

    name: str
    command: tuple[str | None, ...]
    """its first part is None where it is not installed"""
    again: bool = True
    """whether it can bring an earlier copy up to date"""

    def prepare(self, data: Path, place: Mapping[str, str]) -> Sequence[str]:
        """The command that copies `data` to the place, which is empty yet."""
        return [part.format(data=data, **place) for part in self.command if part is not None]

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return None not in self.command


@dataclass(frozen=True, slots=True)
class Artifactd(Contender):
    """`artifactd sync`, with all that it promises."""

    destination: str = EXPORTS
    """what its configuration says of the destination, to be filled in as the command"""

    def prepare(self, data: Path, place: Mapping[str, str]) -> Sequence[str]:
        """As `Contender.prepare`. The quiet period is short: every file is older when the clock starts."""
        home = Path(place["directory"]) / "artifactd"
        destination = self.destination.format(**{**place, "directory": home})
        return [*Contender.prepare(self, data, place), str(configuration(home, data, 0.01, destination))]


SYNC = (beside_python("artifactd"), "sync", "--config")
