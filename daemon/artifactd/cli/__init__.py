"""The command line: one file a command, imported when it is called and not when it is listed."""

import os
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from artifactd import __version__
from artifactd.cli.exits import tell
from artifactd.cli.output import standard_streams

_SUMMARIES: Final = {
    "Set it up": {
        "check": "Check that everything is as it has to be: configuration, directories, stores,"
        " inotify, clock.",
        "plan": "Show what a sync would do, and touch nothing.",
        "install-service": "Put the files of the systemd service in place: unit, account, directories, limits"
        " of inotify.",
        "uninstall-service": "Remove the files of the systemd service. What was exported and what is on"
        " record stay.",
        "completion": "Print a script that has the shell complete commands, options and their values.",
        "manual": "Write the pages of the manual: one for artifactd, and one for each command.",
        "demo": "Show the daemon at work: it exports an experiment while that is written, in a"
        " temporary directory.",
    },
    "Export": {
        "run": "Watch the data directory and export what is complete, until SIGTERM or SIGINT.",
        "sync": "Export everything that is there, once. It ends with 0 only if all that the policy"
        " wants is proven.",
        "export": "Export one artifact by hand, or all of an experiment, through the same ledger as the"
        " daemon.",
        "hint": "Tell the daemon that an experiment's artifacts are done, so that it need not wait to see.",
        "reload": "Have the running daemon take its configuration anew, credentials included.",
    },
    "See how it is, and mend it": {
        "status": "Show how the running daemon is: what it waits for, its stores, its watcher, its last"
        " scan.",
        "list": "List the exported artifacts, and those that wait or were refused, with the reason: the"
        " newest first.",
        "explain": "Say what is known of one file: layout, rule, evidence that is missing, state, tries,"
        " last error.",
        "retry": "Try again what was refused, given up or found lost. The running daemon takes it up"
        " within a second.",
    },
    "Prove it": {
        "verify": "Prove afterwards: the record hangs together, and the stores hold what it says.",
        "audit": "Print the record of events: one line of JSON each, exactly as it was hashed.",
    },
}
"""What a person wants to do → command → the first paragraph of its help, in the order of the list."""

_PLACES: Final = {
    "list": "list:list_copies",
    "show": "config_show:config_show",
    "uninstall-service": "install_service:uninstall_service",
}
"""Where the function of a command is, other than at "command:command" in this package."""


class LazyCommand(TyperCommand):
    """A command whose function is imported when it is called, and not when it is listed with its summary."""

    def __init__(self, name: str, summary: str, panel: str | None = None) -> None:
        super().__init__(name, help=summary, rich_help_panel=panel)
        self.place = f"{__name__}.{_PLACES.get(name, f'{name}:{name}'.replace('-', '_'))}"
        """as pkgutil.resolve_name has it"""

    def make_context(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - typer keeps these types to itself
        """A call of the real command."""
        return self.real().make_context(*args, **extra)

    def real(self) -> TyperCommand:
        """The command itself, with what every command takes, and what its help ends with."""
        from artifactd.cli.help.texts import epilog  # noqa: PLC0415 - for who lists commands it is for nothing
        from artifactd.cli.options import loudness  # noqa: PLC0415 - as above

        command = _command(resolve_name(self.place), self.name, epilog(str(self.name)))
        command.params += _command(loudness.options).params
        paragraphs = (command.help or "").split("\n\n")  # where their lines end is the source's business
        command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
        return command


def _command(
    function: Callable[..., Any], name: str | None = None, epilog: str | None = None
) -> TyperCommand:
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name, epilog=epilog)(function)
    found = typer.main.get_command(app)
    assert isinstance(found, TyperCommand), "typer makes one of a single command"  # noqa: S101 - as it says
    return found


_SHOW: Final = "Print every effective value and where it came from. Secrets show as set or not set."

COMMANDS: Final = (
    *(
        LazyCommand(name, summary, panel)
        for panel, summaries in _SUMMARIES.items()
        for name, summary in summaries.items()
    ),
    TyperGroup(
        name="config",
        help="The configuration.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        rich_help_panel="Set it up",
        commands=[LazyCommand("show", _SHOW)],
    ),
)


ABOUT: Final = (
    "Exports Driverless AI's finished artifacts to a store you control: each byte proven by checksum,"
    " nothing twice, nothing lost, every decision on record."
)

COMPLETE: Final = "_ARTIFACTD_COMPLETE"
"""The variable by which a shell asks for what may come next."""


def commands() -> dict[str, LazyCommand]:
    """How a command is called, as `config show` → the command."""
    found: dict[str, LazyCommand] = {}
    for one in COMMANDS:
        if isinstance(one, LazyCommand):
            found[str(one.name)] = one
        elif isinstance(one, TyperGroup):
            inside = (sub for sub in one.commands.values() if isinstance(sub, LazyCommand))
            found |= {f"{one.name} {sub.name}": sub for sub in inside}
    return found


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        typer.echo(f"artifactd {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[  # noqa: FBT002 - typer's way to a flag
        bool,
        typer.Option(
            "--version", "-V", help="Show the version.", is_eager=True, callback=_version, expose_value=False
        ),
    ] = False,
) -> None:
    """What artifactd takes without a command."""


def root() -> TyperGroup:
    """The command line."""
    return TyperGroup(
        name="artifactd",
        help=ABOUT,
        commands=COMMANDS,
        params=_command(_root).params,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Begin with: artifactd check --config config.toml\n\nExamples and exit codes:"
        " artifactd COMMAND --help",
    )


def learn_shells() -> None:
    """Have typer know how shells complete: it learns that as it makes a command line of its own."""
    typer.main.get_command(typer.Typer(add_completion=True, callback=lambda: None))


def main() -> None:
    """The entry point."""
    if COMPLETE in os.environ:
        learn_shells()
    try:
        with standard_streams():
            root()()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            tell(ended.code)
        raise
