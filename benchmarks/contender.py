"""Who copies: each as its users run it."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """\
enable_artifacts_upload = true
artifacts_file_system_directory = "{exports}"
data_directory = "{data}"

[artifactd]
state_directory = "{state}"

[watch]
quiet_seconds = {quiet_seconds}

[[policy]]
name = "everything"
match = "**"
as = "{{path}}"
"""


def beside_python(name: str) -> str | None:
    """The command of a package in this environment, or one on PATH."""
    own = Path(sys.executable).with_name(name)
    return str(own) if own.exists() else shutil.which(name)


def configuration(home: Path, data: Path, quiet_seconds: float) -> Path:
    """artifactd's configuration in the directory `home`, with its state and its exports there too."""
    (home / "exports").mkdir(parents=True)
    file = home / "config.toml"
    text = _CONFIG.format(
        exports=home / "exports", data=data, state=home / "state", quiet_seconds=quiet_seconds
    )
    file.write_text(text, encoding="utf-8")
    return file


@dataclass(frozen=True, slots=True)
class Contender:
    """A command line, with `{data}` and `{copy}` to be filled in."""

    name: str
    command: tuple[str | None, ...]
    """its first part is None where it is not installed"""
    again: bool = True
    """whether it can bring an earlier copy up to date"""

    def prepare(self, data: Path, copy: Path) -> Sequence[str]:
        """The command that copies `data` below `copy`, which does not exist yet."""
        copy.mkdir()
        return [part.format(data=data, copy=copy) for part in self.command if part is not None]

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return None not in self.command


class Artifactd(Contender):
    """`artifactd sync`, with all that it promises."""

    def prepare(self, data: Path, copy: Path) -> Sequence[str]:
        """As `Contender.prepare`. The quiet period is short: every file is older when the clock starts."""
        return [*super().prepare(data, copy), str(configuration(copy / "artifactd", data, 0.01))]


_CP = 'cp -r "$1" "$2" && find "$2" -type f -exec sha256sum {{}} + && sync --file-system "$2"'
_RCLONE = (beside_python("rclone"), "--config=", "copy")

ARTIFACTD = Artifactd("artifactd sync", (beside_python("artifactd"), "sync", "--config"))
PEERS = (
    Contender("rclone copy --checksum", (*_RCLONE, "--checksum", "{data}", "{copy}")),
    Contender("rclone copy", (*_RCLONE, "{data}", "{copy}")),
    Contender("rsync -a", (shutil.which("rsync"), "-a", "{data}/", "{copy}")),
    Contender("cp + sha256sum + sync", ("sh", "-c", _CP, "sh", "{data}", "{copy}/data"), again=False),
)
