"""The state directory: the ledger to read, and the ways in which it can refuse to be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from artifactd.cli.exits import Exit
from artifactd.cli.terminal import fail
from artifactd.config import Config
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import InUse
from artifactd.ledger.schema import LedgerError


@contextmanager
def ends_well() -> Iterator[None]:
    """The ways in which the state can refuse to be used, as messages and exit codes."""
    try:
        yield
    except InUse as error:
        fail(Exit.IN_USE, f"artifactd: {error}")
    except LedgerError as error:
        fail(Exit.STATE, f"artifactd: {error}")
    except BrokenPipeError:  # of the log: what a command prints to nobody is dropped
        fail(Exit.FAILED, "artifactd: nobody reads the log any more")


@contextmanager
def reading(config: Config) -> Iterator[Ledger]:
    """The ledger, to read."""
    with ends_well():
        ledger = Ledger.look(config.state_directory)
        try:
            yield ledger
        finally:
            ledger.close()
