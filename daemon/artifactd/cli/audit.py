"""`artifactd audit`: the record of events."""

from typing import Annotated

import typer

from artifactd.cli.configuration import ConfigPath, configuration
from artifactd.cli.output import heard
from artifactd.cli.state import reading


def audit(
    config: ConfigPath = None,
    after: Annotated[int, typer.Option(min=0, help="Only entries after this number.")] = 0,
) -> None:
    """Print the record of events: one line of JSON each, exactly as it was hashed.

    The field "previous" of each line is the SHA-256 of the line before it, so an export proves itself.
    """
    with reading(configuration(config, touching=False)) as ledger:
        for entry in ledger.entries(after):
            typer.echo(entry.line)
            if not heard():
                break
