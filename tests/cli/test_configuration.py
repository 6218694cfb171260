"""The configuration as commands take it, where a directory that it names hangs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from tests.support.process import Site


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A configuration that nobody ends reading: a pipe into which nothing is written."""
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)
    yield pipe
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


def test_a_command_ends_and_says_so_where_looking_at_the_configuration_hangs(
    silent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        configuration(silent, seconds=0.1)
    assert ended.value.exit_code == Exit.CONFIGURATION
    assert "a directory that it names hangs, 0.1 s without an answer" in capsys.readouterr().err


def touches(site: Site, *command: str) -> bool:
    """Whether the command asks the kernel anything about the destination: where that hangs, it would."""
    log = site.base / "strace.log"
    under = ("strace", "-f", "-qq", "-o", str(log), "-P", str(site.exports), "-e", "signal=none")
    subprocess.run(
        [*under, *site.arguments(*command)], env=site.environment, check=False, capture_output=True
    )
    return str(site.exports) in log.read_text()


@pytest.mark.parametrize("command", ["status", "list", "audit", "retry --all"])
def test_what_uses_no_destination_touches_none(by_hand: Site, command: str) -> None:
    if not by_hand.state.exists():
        by_hand.ok("sync")
    assert not touches(by_hand, *command.split())


def test_what_uses_a_destination_touches_it(site: Site) -> None:
    assert touches(site, "check")
