"""Which file is the configuration, and where the state lies that it names.

It is the way to the daemon of who needs no more, as Driverless AI's hooks do: nothing else is read or loaded.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import tomli

from artifactd.config.values import place, unquoted

DEFAULT_PATH: Final = Path("/etc/artifactd/config.toml")
DEFAULT_STATE: Final = Path("/var/lib/artifactd")
"""As in `document`, which takes longer to load than all of this."""

_TABLE, _KEY = "artifactd", "state_directory"
_VARIABLE: Final = "ARTIFACTD_ARTIFACTD__STATE_DIRECTORY"


def chosen(path: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file that is meant; see `load`."""
    return path or Path(environ.get("ARTIFACTD_CONFIG") or DEFAULT_PATH)


def state_directories(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where the state may lie, while the configuration may have problems: the likeliest first.

    It is the way to a daemon that runs on what was good before: what the sources say now, or what can be
    made out in a file that is no TOML, systemd's $STATE_DIRECTORY (systemd.exec(5)), and the default.
    """
    file = chosen(path, environ)
    said = unquoted(environ[_VARIABLE]) if _VARIABLE in environ else _said_in(file)
    found = [environ.get("STATE_DIRECTORY"), DEFAULT_STATE]
    with suppress(ValueError):
        found.insert(0, file.absolute().parent / place(said))
    return tuple(Path(one) for one in found if one)


def _said_in(file: Path) -> object:
    """What the file sets, whatever that is; None: nothing, or it cannot be told."""
    content = b""
    try:
        content = file.read_bytes()
        table = tomli.loads(content.decode()).get(_TABLE)
        return table.get(_KEY) if isinstance(table, dict) else None
    except OSError:
        return None
    except ValueError:
        from artifactd.config.syntax import rescued  # noqa: PLC0415 - only a broken file is worth it

        return rescued(content.decode(errors="replace"), f"{_TABLE}.{_KEY}")
