"""The command line: one file a command, imported when it is called and not when it is listed."""

from pkgutil import resolve_name
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from artifactd.cli.output import standard_streams

_SUMMARIES: Final = {
    "Exporting": {
        "run": "Watch the data directory and export what is complete, until SIGTERM or SIGINT.",
        "sync": "Export everything that is there, once. It ends with 0 only if all that the policy"
        " wants is proven.",
        "export": "Export one artifact by hand, or all of an experiment, through the same ledger as the"
        " daemon.",
        "hint": "Tell the daemon that an experiment's artifacts are done, so that it need not wait to see.",
        "retry": "Try again what was refused, given up or found lost. The running daemon takes it up"
        " within a second.",
    },
    "Showing": {
        "list": "List each experiment's exported artifacts, and those that wait or were refused, with"
        " the reason.",
        "explain": "Say what is known of one file: layout, rule, evidence that is missing, state, tries,"
        " last error.",
        "plan": "Show what a sync would do, and touch nothing.",
        "demo": "Show the daemon at work: it exports an experiment while that is written, in a"
        " temporary directory.",
        "status": "Show how the running daemon is: what it waits for, its stores, its watcher, its last"
        " scan.",
    },
    "Proving": {
        "verify": "Prove afterwards: the record hangs together, and the stores hold what it says.",
        "audit": "Print the record of events: one line of JSON each, exactly as it was hashed.",
        "check": "Check that everything is as it has to be: configuration, directories, stores,"
        " inotify, clock.",
    },
    "Serving": {
        "reload": "Have the running daemon take its configuration anew, credentials included.",
        "install-service": "Put the files of the systemd service in place: unit, account, directories, limits"
        " of inotify.",
        "uninstall-service": "Remove the files of the systemd service. What was exported and what is on"
        " record stay.",
    },
}
"""Panel → command → the first paragraph of its help, in the order of the list."""

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
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(self.name)(resolve_name(self.place))
        return typer.main.get_command(app).make_context(*args, **extra)


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
        rich_help_panel="Showing",
        commands=[LazyCommand("show", _SHOW)],
    ),
)


def main() -> None:
    """The entry point."""
    app = TyperGroup(
        name="artifactd",
        help=(
            "Exports Driverless AI's finished artifacts to a store you control: each byte proven by checksum,"
            " nothing twice, nothing lost, every decision on record."
        ),
        commands=COMMANDS,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes and everything else: README.md. Start with: artifactd check --config config.toml",
    )
    with standard_streams():
        app()
