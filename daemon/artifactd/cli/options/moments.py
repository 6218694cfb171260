"""Times as a person gives them to a command."""

from typing import Annotated

import typer

from artifactd.clock import SYSTEM, moment


def parsed(text: str) -> float:
    """Seconds since the epoch."""
    try:
        return moment(text, SYSTEM.now())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Since = Annotated[
    float | None,
    typer.Option(
        parser=parsed,
        metavar="TIME",
        help="Only from this time on, UTC: 2026-11-24, 2026-11-24T18:30:00Z, or so long ago: 90min, 2h.",
    ),
]
Until = Annotated[float | None, typer.Option(parser=parsed, metavar="TIME", help="Only before this time.")]
