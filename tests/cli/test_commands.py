"""The list of commands, the help of each, and what is loaded for them."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from artifactd import __version__
from artifactd.cli import LazyCommand, commands
from artifactd.cli.exits import Exit
from artifactd.cli.help.texts import CODES, EXAMPLES, ends
from tests.support.process import Site


@pytest.mark.parametrize("command", commands().values(), ids=commands())
def test_a_command_is_listed_with_the_first_paragraph_of_its_own_help(command: LazyCommand) -> None:
    help_ = inspect.getdoc(resolve_name(command.place))
    assert help_ is not None
    assert command.help == help_.partition("\n\n")[0]


CALLED = """
import os, sys
from artifactd.cli import main
from contextlib import suppress
from functools import partial

def end(leave, code):
    print("loaded:", *sys.modules, file=sys.stderr)
    leave(code)

os._exit = partial(end, os._exit)
with suppress(SystemExit):
    main()
os._exit(0)
"""


def loaded(site: Site, *arguments: str) -> set[str]:
    """The modules that this command line imports, in each of its processes, however it ends."""
    done = subprocess.run(
        [sys.executable, "-c", CALLED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=site.environment,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("loaded:")]
    assert lines
    return {name for line in lines for name in line.split()}


def test_whoever_lists_the_commands_loads_none_of_them(site: Site) -> None:
    ours = {name for name in loaded(site, "--help") if name.startswith("artifactd")}
    assert ours == {"artifactd", "artifactd.cli", "artifactd.cli.exits", "artifactd.cli.output"}


HEAVY = {
    "azure",
    "boto3",
    "concurrent.futures",
    "git",
    "pydantic",
    "rich",
    "sqlite3",
    "ssl",
    "structlog",
    "urllib.request",
    "watchdog",
    "wcmatch",
}
"""What takes longer to load than most commands take for all the rest."""


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("--version", set()),
        ("hint one", set()),
        ("status", {"concurrent.futures", "sqlite3"}),
        ("list", {"concurrent.futures", "sqlite3"}),
        ("explain a/h2oai_experiment_b/c.csv", {"concurrent.futures", "sqlite3"}),
        ("audit", {"concurrent.futures", "sqlite3"}),
        ("config show", {"concurrent.futures"}),
        ("plan", {"concurrent.futures", "sqlite3"}),
        ("retry --all", {"concurrent.futures", "sqlite3"}),
        ("sync", {"concurrent.futures", "sqlite3", "ssl", "structlog"}),
    ],
)
def test_a_command_loads_of_what_is_heavy_only_what_it_needs(
    exported: Site, command: str, heavy: set[str]
) -> None:
    arguments = () if command.startswith("-") else ("--config", str(exported.config))
    assert loaded(exported, *command.split(), *arguments) & HEAVY == heavy


def test_a_hint_loads_no_more_of_the_configuration_than_where_the_daemon_is(site: Site) -> None:
    found = loaded(site, "hint", "one", "--config", str(site.config))
    assert "artifactd.service.control" in found
    assert "artifactd.config.document" not in found


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


@pytest.mark.parametrize(("path", "command"), commands().items(), ids=commands())
def test_the_help_of_each_command_has_examples_that_it_takes_and_its_exit_codes(
    path: str, command: LazyCommand
) -> None:
    real, name = command.real(), path.rpartition(" ")[2]
    assert EXAMPLES[name]
    for example in EXAMPLES[name]:
        words = shlex.split(example, comments=True)
        assert words[:1] + words[1 : 1 + len(path.split())] == ["artifactd", *path.split()]
        arguments = words[1 + len(path.split()) :]
        with real.make_context(name, arguments[: arguments.index(">")] if ">" in arguments else arguments):
            pass
        assert example in str(real.epilog)
    assert {Exit.OK, Exit.USAGE} <= ends(name).keys()
    assert all(f"{code:>2}  {meaning}" in str(real.epilog) for code, meaning in ends(name).items())


def test_nothing_is_said_of_commands_that_there_are_not() -> None:
    names = {path.rpartition(" ")[2] for path in commands()}
    assert EXAMPLES.keys() == CODES.keys() == names


def test_readme_lists_every_command_and_exit_code() -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    assert not [path for path in commands() if f"artifactd {path}" not in readme]
    table = readme[readme.index("| exit code | meaning |") :].partition("\n\n")[0]
    assert set(map(int, re.findall(r"(?<![\w.])\d+(?= [|·])", table))) == set(map(int, Exit))


@pytest.mark.parametrize("arguments", [["--version"], ["-V"]])
def test_the_version_is_told(site: Site, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "artifactd", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=site.environment,
    )
    assert done.stdout == f"artifactd {__version__}\n"


def test_a_quiet_command_has_no_remarks_and_a_verbose_one_says_what_it_works_with(site: Site) -> None:
    normal, quiet, verbose = (site.command("hint", "one", *more) for more in ((), ("-q",), ("-v",)))
    assert normal.stderr.endswith("A scan will find the artifacts.\n")
    assert quiet.stderr == ""
    assert f"configuration: {site.config}" in verbose.stderr
    assert f"state: {site.state}" in verbose.stderr


def test_the_log_of_a_quiet_sync_has_only_warnings(site: Site) -> None:
    site.write("train_preds.csv")
    assert site.ok("sync", "--quiet") == ""
    assert site.exported()
