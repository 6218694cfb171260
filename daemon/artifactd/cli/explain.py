"""`artifactd explain`: all that is known of one file."""

from typing import Annotated

import typer

from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.exits import Exit
from artifactd.cli.state import reading
from artifactd.cli.terminal import AsJson, fail, lines
from artifactd.clock import SYSTEM
from artifactd.inspection.explain import explanation
from artifactd.mirror.by_hand import relative


def explain(
    path: Annotated[str, typer.Argument(help="A file below the data directory.")],
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Say what is known of one file: layout, rule, evidence that is missing, state, tries, last error."""
    settings = configuration(config, touching=False)
    inside = relative(settings.data_directory, path)
    if inside is None:
        fail(Exit.FAILED, f"{path} does not lie below the data directory {settings.data_directory}")
    with reading(settings) as ledger:
        said = explanation(settings, ledger, inside, SYSTEM.now())
    if as_json:
        lines([said])
        return
    width = max(len(key) for key in said)
    for key, value in said.items():
        for number, line in enumerate(value if isinstance(value, list) else [value]):
            typer.echo(f"{key if number == 0 else '':<{width}}  {line}")
