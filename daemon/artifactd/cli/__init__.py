"""The command line: commands that export, that show, that prove, and that serve."""

import typer

from artifactd.cli import exporting, proving, serving, showing, status

app = typer.Typer(
    name="artifactd",
    help=(
        "Exports Driverless AI's finished artifacts to a store you control: each byte proven by checksum,"
        " nothing twice, nothing lost, every decision on record."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and those can hold secrets
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes and everything else: README.md. Start with: artifactd check --config config.toml",
)
exporting.register(app)
showing.register(app)
status.register(app)
proving.register(app)
serving.register(app)


def main() -> None:
    """The entry point."""
    app()
