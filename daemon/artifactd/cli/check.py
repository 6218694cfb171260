"""`artifactd check`: whether everything is as it has to be."""

import typer

from artifactd.cli.apart import apart
from artifactd.cli.configuration import PATIENCE, Timeout, configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.terminal import AsJson, fail, lines, style
from artifactd.clock import SYSTEM
from artifactd.inspection.check import checkup


def check(
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
    timeout: Timeout = PATIENCE,
) -> None:
    """Check that everything is as it has to be: configuration, directories, stores, inotify, clock.

    A warning tells what is allowed and seldom meant; no check fails for it.

    The probe of a store puts one small file at _artifactd/check, reads it back, and tries to overwrite it.
    The file may stay.
    """
    apart()
    settings = configuration(config, seconds=timeout, patient=True)
    results = list(checkup(settings, SYSTEM, timeout))
    if as_json:
        lines(
            {
                "check": one.name,
                "ok": one.ok,
                "found": one.found,
                "mend": one.mend,
                "warnings": list(one.warnings),
            }
            for one in results
        )
    else:
        for one in results:
            mark = style("ok  ", fg="green") if one.ok else style("FAIL", fg="red", bold=True)
            typer.echo(f"{mark} {one.name}: {one.found}")
            if one.mend and not one.ok:
                typer.echo(f"     → {one.mend}")
            for warning in one.warnings:
                typer.echo(f"{typer.style('warn', fg='yellow')} {one.name}: {warning}")
    if failed := sum(not one.ok for one in results):
        fail(Exit.CHECK, f"{failed} of {len(results)} checks failed")
