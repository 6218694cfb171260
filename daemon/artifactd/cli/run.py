"""`artifactd run`: the daemon."""

import os
from functools import partial

from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit, leave
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.options.loudness import log_level
from artifactd.cli.state import ends_well
from artifactd.cli.terminal import fail
from artifactd.clock import SYSTEM
from artifactd.config.assemble import load_beside
from artifactd.health.http import Unbound
from artifactd.service.process_log import log_of
from artifactd.service.service import Service, Sources
from artifactd.service.systemd_notify import ServiceManager


def run(config: ConfigPath = None) -> None:
    """Watch the data directory and export what is complete, until SIGTERM or SIGINT.

    What is in flight then is finished if that takes no longer than 20 seconds. The next run repeats the rest.
    SIGHUP takes a changed configuration, as `artifactd reload` does.
    """
    settings = configuration(config)
    sources = Sources(lambda: load_beside(config, os.environ), partial(log_of, level=log_level()))
    with ends_well():  # a log that nobody reads included: who started us starts us again, with one that is
        try:
            ended = Service(settings, sources, ServiceManager(os.environ, os.getpid(), SYSTEM), SYSTEM).run()
        except Unbound as error:
            fail(Exit.CONFIGURATION, f"artifactd: health.listen: {error}")
    if ended.in_flight:
        leave(Exit.OK)
