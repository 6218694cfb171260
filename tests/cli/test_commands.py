"""The list of commands, the help of each, and what is loaded for them."""

import inspect
import subprocess
import sys
from pkgutil import resolve_name

import pytest
from typer.core import TyperGroup

from artifactd.cli import COMMANDS, LazyCommand
from tests.support.process import Site


def commands() -> list[LazyCommand]:
    """Every command, those of `config` included."""
    groups = [one for one in COMMANDS if isinstance(one, TyperGroup)]
    found = [*COMMANDS, *(one for group in groups for one in group.commands.values())]
    return [one for one in found if isinstance(one, LazyCommand)]


@pytest.mark.parametrize("command", commands(), ids=lambda command: str(command.name))
def test_a_command_is_listed_with_the_first_paragraph_of_its_own_help(command: LazyCommand) -> None:
    help_ = inspect.getdoc(resolve_name(command.place))
    assert help_ is not None
    assert command.help == help_.partition("\n\n")[0]


def loaded(site: Site, *arguments: str) -> set[str]:
    """The modules that this command line imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "artifactd", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=site.environment,
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def test_whoever_lists_the_commands_loads_none_of_them(site: Site) -> None:
    ours = {name for name in loaded(site, "--help") if name.startswith("artifactd")}
    assert ours == {"artifactd", "artifactd.cli"}


def test_a_hint_loads_neither_ledger_nor_mirror_nor_what_draws_on_terminals(site: Site) -> None:
    found = loaded(site, "hint", "one", "--config", str(site.config))
    assert "artifactd.service.control" in found
    assert not found & {"artifactd.mirror.mirror", "rich", "sqlite3", "structlog", "watchdog"}


@pytest.mark.parametrize(
    ("command", "matters"),
    [
        ("run", ["SIGTERM", "20 seconds"]),
        ("sync", ["--wait", "ends with 5"]),
        ("export", ["--as", "--experiment", "running daemon"]),
        ("hint", ["listeners_", "ends with 0"]),
        ("retry", ["--all", "refused"]),
        ("list", ["--user", "--experiment", "--state", "--json", "reason"]),
        ("explain", ["--json", "rule"]),
        ("plan", ["touch nothing", "--all"]),
        ("verify", ["--sample", "10", "11", "12", "13", "14", "Nothing is deleted"]),
        ("audit", ["--after", "SHA-256"]),
        ("check", ["_artifactd/check"]),
    ],
)
def test_the_help_of_each_command_says_what_matters(site: Site, command: str, matters: list[str]) -> None:
    done = subprocess.run(
        [*site.arguments(command)[:-2], "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**site.environment, "COLUMNS": "200"},
    )
    said = " ".join(done.stdout.split())
    assert not [word for word in matters if word not in said]
