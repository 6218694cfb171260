"""`artifactd reload`: the configuration, taken by the running daemon."""

from typing import Annotated, Final

import typer

from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options.config import ConfigPath, state_of
from artifactd.cli.options.loudness import remark
from artifactd.cli.terminal import fail
from artifactd.service import control
from artifactd.service.control import NoDaemon, Silent


def reload(
    config: ConfigPath = None,
    wait: Annotated[
        float, typer.Option(min=1.0, help="Seconds to wait for what is in flight with the old configuration.")
    ] = 300.0,
) -> None:
    """Have the running daemon take its configuration anew, credentials included.

    The daemon examines all of it first. A bad one changes nothing: every problem is listed, the command ends
    with 3, and the daemon goes on with the old one. A good one is taken once what is in flight is finished.
    The state directory cannot change without a restart.
    """
    directory = state_of(config)
    said = "nothing"
    try:
        for answer in control.ask(directory, "reload", timeout=wait):
            if answer.get("problems"):
                fail(Exit.CONFIGURATION, _refusal(answer["problems"]))
            if answer["final"] and not answer["ok"]:
                fail(Exit.FAILED, f"not taken: {answer['reason']}")
            if answer["final"]:
                typer.echo(f"taken: configuration {answer['config_digest'][:12]}")
            else:
                said = answer["reason"]
                remark(f"the configuration is good; {said}")
    except Silent:
        fail(Exit.FAILED, f"not taken yet after {wait:g} s: {said}. The daemon's log says when it is")
    except NoDaemon as error:
        configuration(config, touching=False, besides=f"{error}. {_NOT_ASKED}")
        moved = "Where artifactd.state_directory was changed, the daemon is on the old one: restart it"
        fail(Exit.FAILED, f"artifactd: {error}. {moved}")


_NOT_ASKED: Final = (
    "One that runs elsewhere was not asked and goes on with its old configuration: once this is mended,"
    " `systemctl reload` or SIGHUP reaches it"
)


def _refusal(problems: list[str]) -> str:
    count = len(problems)
    title = f"not taken, the old configuration is kept: {count} problem{'' if count == 1 else 's'}"
    return "\n".join((title, *(f"  {problem}" for problem in problems)))
