"""`artifactd hint`: what Driverless AI's hooks call. It imports little, so that no hook waits for it."""

from typing import Annotated

import typer

from artifactd.artifact import printable
from artifactd.cli.options.config import ConfigPath, state_of
from artifactd.cli.options.loudness import remark
from artifactd.service import control
from artifactd.service.control import NoDaemon


def hint(
    experiment: Annotated[str, typer.Argument(help="The experiment's id, as Driverless AI's hooks get it.")],
    config: ConfigPath = None,
) -> None:
    """Tell the daemon that an experiment's artifacts are done, so that it need not wait to see.

    Made for Driverless AI's listeners_*_done hooks, with the experiment's id as its argument.
    It ends with 0 even where no daemon runs, where nobody knows the experiment, and where this account hints
    too often: nothing depends on a hint.
    """
    try:
        answer = next(control.ask(state_of(config), "hint", experiment=experiment))
    except TimeoutError:
        remark("the daemon is busy, and looks at it when it can")
        return
    except NoDaemon as error:
        remark(f"{error}. A scan will find the artifacts.")
        return
    if reason := answer.get("reason"):
        remark(f"{reason}. A scan will find the artifacts.")
    elif answer.get("artifacts") is None:
        remark(f"unknown experiment {printable(experiment)}: nothing to do")
    else:
        typer.echo(f"{answer['artifacts']} artifacts are looked at now")
