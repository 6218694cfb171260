"""`artifactd install-service` and `artifactd uninstall-service`: the files of the systemd service."""

import grp
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options.config import ConfigPath, state_of
from artifactd.cli.terminal import fail
from artifactd.config.effective import Config
from artifactd.config.location import chosen
from artifactd.service import systemd_unit

Root = Annotated[Path, typer.Option(help="Below which directory the files go, for images and packages.")]
_ROOT = Path("/")

_NEXT = """\
Now, as root:
  systemd-sysusers && systemd-tmpfiles --create && sysctl --system
  systemctl daemon-reload && systemctl enable --now artifactd
Secrets go to /etc/credstore/artifactd.<key>, mode 0600, root's; then systemctl restart artifactd."""

_BEFORE = "If it runs: systemctl disable --now artifactd. Then: systemctl daemon-reload"
_STAYS = "The state in {}, all exports, the configuration, the credentials and the account stay."


def install_service(
    config: ConfigPath = None,
    root: Root = _ROOT,
    group: Annotated[
        str | None,
        typer.Option(help="Driverless AI's group. Default: the one that owns the data directory, else dai."),
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Show the files, and write none.")] = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Put the files of the systemd service in place: unit, account, directories, limits of inotify.

    What depends on your site (paths, group, network) is taken from the configuration. Run it again when
    those change. Nothing is started.
    """
    settings = configuration(config)
    source = chosen(config, os.environ).absolute()
    program = Path(sys.executable).with_name("artifactd")
    with _writing():
        found = systemd_unit.files(settings, source, program, group or _group(settings))
        for place, content in found.items():
            if show:
                typer.echo(f"# --- /{place}\n{content}")
                continue
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o644)
            typer.echo(path)
    if not show:
        typer.echo(_NEXT)


def uninstall_service(config: ConfigPath = None, root: Root = _ROOT) -> None:
    """Remove the files of the systemd service. What was exported and what is on record stay."""
    with _writing():
        for path in (root / place for place in systemd_unit.PLACES):
            if path.exists():
                path.unlink()
                typer.echo(f"removed {path}")
        directory = (root / systemd_unit.PLACES[-1]).parent
        if directory.exists() and not any(directory.iterdir()):  # else somebody's own settings are there
            directory.rmdir()
    typer.echo(f"{_BEFORE}\n{_STAYS.format(state_of(config))}")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(Exit.FAILED, f"artifactd: {error.filename}: {error.strerror}")


def _group(settings: Config) -> str:
    """The group that owns the data directory, unless it is root's or cannot be told."""
    try:
        owner = settings.data_directory.stat().st_gid
        return grp.getgrgid(owner).gr_name if owner else systemd_unit.GROUP
    except (OSError, KeyError):
        return systemd_unit.GROUP
