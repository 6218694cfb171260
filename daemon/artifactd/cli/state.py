"""The state directory: the ledger to read, and the ways in which it can refuse to be used."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from artifactd.cli.exits import Exit
from artifactd.cli.terminal import fail
from artifactd.config.effective import Config
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import InUse
from artifactd.ledger.schema import Damaged, LedgerError, Missing


@contextmanager
def ends_well() -> Iterator[None]:
    """The ways in which the state can refuse to be used, as messages and exit codes."""
    try:
        yield
    except InUse as error:
        fail(Exit.IN_USE, f"artifactd: {error}")
    except Damaged as error:
        mend = "The next `artifactd run` or `sync` that meets it sets this ledger aside and fills a new one"
        fail(Exit.STATE, f"artifactd: {error}. {mend}")
    except LedgerError as error:
        fail(Exit.STATE, f"artifactd: {error}")
    except BrokenPipeError:  # of the log: what a command prints to nobody is dropped
        fail(Exit.FAILED, "artifactd: nobody reads the log any more")


_STEP: Final = 1.0
"""Seconds; what is less is how a clock is kept right, or two that were read one after the other."""


def stepped(answer: Mapping[str, Any]) -> float:
    """Seconds to add to times of next tries, as the daemon's answer about what waits tells them.

    They are by a clock that goes on as it was when the daemon started; the system's may have been set since.
    """
    seconds = float(answer.get("stepped_seconds", 0.0))
    return seconds if abs(seconds) >= _STEP else 0.0


@contextmanager
def reading(config: Config, *, missing: Callable[[], Ledger] | None = None) -> Iterator[Ledger]:
    """The ledger, to read. Where there is none: what `missing` gives, or the command ends and says so."""
    with ends_well():
        try:
            ledger = Ledger.look(config.state_directory)
        except Missing:
            if missing is None:
                raise
            ledger = missing()
        try:
            yield ledger
        finally:
            ledger.close()
