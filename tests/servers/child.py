"""A server as a child process: started, waited for, and gone at the end, whatever happens to the tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.servers.ports import NeverAnsweredError, wait_for_answer

_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")
"""The kernel kills the child when we die, of kill -9 too (prctl(2), PR_SET_PDEATHSIG)."""


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    port: int,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from its first answer at `port` on. It lives in `folder`; its output goes to a file there.

    Raises:
        NeverAnsweredError: it did not come up within `patience` seconds; the error shows what it printed.
    """
    said = folder / "output"
    with said.open("wb") as output:
        server = subprocess.Popen(
            [*_DIES_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder), **(environment or {})},
            start_new_session=True,  # Ctrl-C is for the tests, which then stop their servers
        )
    try:
        wait_for_answer(port, server, patience)
        yield server
    except NeverAnsweredError as error:
        raise NeverAnsweredError(f"{command[0]}: {error}. It said:\n{said.read_text()}") from None
    finally:
        server.kill()
        server.wait()


def installed(name: str) -> Path:
    """The program `name` of the virtual environment that runs the tests."""
    program = Path(sys.executable).with_name(name)
    assert program.exists(), (
        f"{program} is missing: run `make test`, or install the dev group (make .venv/installed)"
    )
    return program
