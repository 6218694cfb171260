"""artifactd run on a terminal; tests/process/ has what it does."""

import os
import pty
import subprocess

from tests.support.process import Site


def test_on_a_terminal_the_daemon_logs_for_people(site: Site) -> None:
    site.configure(enabled=False)
    ours, theirs = pty.openpty()
    with subprocess.Popen(site.arguments("run"), stdout=theirs, env=site.environment) as process:
        os.close(theirs)
        line = os.read(ours, 65536).decode()
        process.terminate()
        os.close(ours)
    assert "daemon.disabled" in line
    assert not line.startswith("{")
    assert "schema" not in line
