"""What people do beside artifactd, and what they see of it on a terminal."""

import os
import pty
import re
import subprocess
from pathlib import Path

from tests.support.process import Site

CONFLICT = b"somebody else's bytes"


def planted(site: Site, key: str, content: bytes = CONFLICT) -> Path:
    """A file at the destination that artifactd did not write."""
    path = site.exports / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def changed(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def on_a_terminal(site: Site, *arguments: str, columns: int = 100) -> str:
    """What a person sees on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        site.arguments(*arguments),
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env={**site.environment, "COLUMNS": str(columns), "TERM": "xterm"},
        cwd=site.base,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while some := os.read(ours, 65536):
                said += some
        except OSError:
            pass  # EIO: the other end is closed
        finally:
            os.close(ours)
        process.wait()
    return said.decode()


def plain(said: str) -> list[str]:
    """The lines of a terminal without their colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "").split("\n")
