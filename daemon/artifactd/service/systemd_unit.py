"""What makes artifactd a service of systemd: the shipped files, and what of them depends on the site."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config
from artifactd.config.listen import Unix, exposed

GROUP: Final = "dai"
"""Driverless AI's group, as its packages make it and the shipped files name it."""

_SHIPPED: Final = {
    "artifactd.service": "etc/systemd/system/artifactd.service",
    "artifactd.sysusers.conf": "etc/sysusers.d/artifactd.conf",
    "artifactd.tmpfiles.conf": "etc/tmpfiles.d/artifactd.conf",
    "artifactd.sysctl.conf": "etc/sysctl.d/60-artifactd.conf",
}
_SITE: Final = "etc/systemd/system/artifactd.service.d/site.conf"

PLACES: Final = (*_SHIPPED.values(), _SITE)
"""Every file of the service, below the root directory."""

_RUNTIME: Final = "/run/artifactd"  # RuntimeDirectory=
_HOMES: Final = ("/home", "/root", "/run/user")  # ProtectHome=
_HIDDEN: Final = (*_HOMES, "/tmp", "/var/tmp")  # noqa: S108 - no file is made there: PrivateTmp= hides them


def files(config: Config, source: Path, program: Path, group: str) -> Mapping[str, str]:
    """Where each file of the service goes, below the root directory, and what is in it.

    `source` is the configuration's file, `program` the command that systemd starts; both absolute.

    Raises:
        OSError: what is shipped with artifactd is not there.
    """
    shipped = {place: _read(name) for name, place in _SHIPPED.items()}
    for name in ("artifactd.sysusers.conf", "artifactd.tmpfiles.conf"):
        place = _SHIPPED[name]
        shipped[place] = re.sub(rf"\b{GROUP}\b", group, shipped[place])
    return {**shipped, _SITE: "\n".join(site(config, source, program, group)) + "\n"}


def site(config: Config, source: Path, program: Path, group: str) -> Iterator[str]:
    """The lines of the unit that depend on the site: paths, group, network. Pure."""
    yield f"# Written by `artifactd install-service` from {source}; installing again writes it anew."
    yield "# Put changes of your own into another file of this directory."
    yield "[Service]"
    yield f"Environment={quoted(f'ARTIFACTD_CONFIG={source}')}"
    for key, action in (("ExecStart", "run"), ("ExecReload", "reload")):
        yield f"{key}="
        yield f"{key}={quoted(program).replace('$', '$$')} {action}"
    yield f"Group={group}"
    writable = [config.state_directory, *(one.directory for one in _directories(config))]
    if isinstance(asked := config.health.listen, Unix) and not _below(asked.path, (_RUNTIME,)):
        writable.append(asked.path.parent)
    readable = [config.data_directory]
    readable += [path for path in (source, program.parents[1]) if _below(path, _HIDDEN)]
    if any(_below(path, _HOMES) for path in (*readable, *writable)):
        yield "# Of the homes only what is named below is there."
        yield "ProtectHome=tmpfs"
    yield "# What it reads."
    for path in readable:
        yield _shown(path, "BindReadOnlyPaths", "ReadOnlyPaths")
    yield "# What it writes: state and destination. A start without them fails, and is tried again."
    for path in writable:
        if path != Path("/var/lib/artifactd"):
            yield _shown(path, "BindPaths", "ReadWritePaths")
    if len(_directories(config)) == len(config.destinations) and not exposed(config.health.listen):
        yield "# Every destination is a directory: nothing is to be said to other hosts."
        yield "IPAddressDeny=any"
        yield "IPAddressAllow=localhost"


def quoted(text: object) -> str:
    """`text` as one word of a unit file (systemd.syntax(7)), without specifiers."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[^\w/.=:@%+,-]", escaped) else escaped


def _directories(config: Config) -> list[FileSystem]:
    return [one for one in config.destinations if isinstance(one, FileSystem)]


def _shown(path: Path, hidden: str, seen: str) -> str:
    """The setting that lets `path` be used: by its name, or mounted where its surroundings are hidden."""
    return f"{hidden if _below(path, _HIDDEN) else seen}={quoted(path)}"


def _below(path: Path, directories: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(directory) for directory in directories)


def _read(name: str) -> str:
    """A shipped file: beside the package where that is installed, in the project where it is worked on."""
    package = Path(__file__).parents[1]
    places = (package / "systemd" / name, package.parents[1] / "systemd" / name)
    return next((place for place in places if place.exists()), places[0]).read_text(encoding="utf-8")
