"""`artifactd explain`: all that is known of one file."""

from typing import Annotated

import typer

from artifactd.cli import paths
from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.exits import Exit
from artifactd.cli.state import reading
from artifactd.cli.terminal import AsJson, fail, lines
from artifactd.clock import SYSTEM
from artifactd.inspection.explain import explanation


def explain(
    path: Annotated[str, typer.Argument(help=f"A file. {paths.HELP}")],
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Say what is known of one file: layout, rule, evidence that is missing, state, tries, last error."""
    settings = configuration(config, touching=False)
    with reading(settings) as ledger:
        root = settings.data_directory
        inside = paths.located(root, path, lambda one: bool(ledger.of_sources([one])))
        if inside is None:
            fail(Exit.FAILED, paths.outside(root, path))
        said = explanation(settings, ledger, inside, SYSTEM.now())
    if as_json:
        lines([said])
        return
    width = max(len(key) for key in said)
    for key, value in said.items():
        for number, line in enumerate(value if isinstance(value, list) else [value]):
            typer.echo(f"{key if number == 0 else '':<{width}}  {line}")
