"""The log of a process that exports, in the form that its configuration and its output ask for."""

import os
import socket
import sys
from typing import assert_never

from artifactd import __version__
from artifactd.clock import SYSTEM
from artifactd.config.document import Format
from artifactd.config.effective import Config
from artifactd.log import journald
from artifactd.log.flood import Repeats
from artifactd.log.lines import Log
from artifactd.log.log import Form, configure


def log_of(config: Config, *, quiet: bool = False, level: str | None = None) -> Log:
    """The log of this process. `quiet`: nothing, because a person sees progress instead.

    `level`: another than the configured one.
    """
    form = _form(config.log.format)
    common = {"version": __version__, "host": socket.gethostname(), "pid": os.getpid()}
    level = "critical" if quiet else level or config.log.level.value
    repeats = Repeats(SYSTEM.monotonic)
    log = configure(level, form, common=common, secrets=config.secrets(), repeats=repeats)
    if form is Form.CONSOLE:  # a person sees one process, and knows which
        log = log.try_unbind("schema", *common)
    for warning in config.warnings:
        log.warning("config.warning", reason=warning)
    return log


def _form(chosen: Format) -> Form:
    match chosen:
        case Format.JSON:
            return Form.JSON
        case Format.CONSOLE:
            return Form.CONSOLE
        case Format.AUTO if sys.stdout.isatty():
            return Form.CONSOLE
        case Format.AUTO:
            return Form.JOURNAL if journald.listens(os.environ, sys.stdout) else Form.JSON
        case _:
            assert_never(chosen)
