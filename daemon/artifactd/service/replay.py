"""Another try for copies that were refused, given up or found lost, because a person asked for it."""

from collections.abc import Collection
from typing import Final

from artifactd.config.effective import Config
from artifactd.decisions.lifecycle import Change, Replayed, Row, State
from artifactd.ledger.ledger import Ledger
from artifactd.linux.files import account
from artifactd.mirror.engine import context, take

_STATES: Final = (State.REFUSED, State.KEPT, State.RETRYING, State.LOST)


def replay(config: Config, paths: Collection[bytes | None] | None, at: float) -> list[tuple[Row, Row]]:
    """Put on record, `at` seconds since the epoch, that these files are tried again; None: all of them.

    Returns each copy as it was and as it is now. What the running daemon has moved on meanwhile is left out.

    Raises:
        Newer, Unwritable, Damaged: see `Ledger.open`.
    """
    ledger = Ledger.open(config.state_directory, context(config), as_it_is=True)
    take(ledger, config, at)
    rows = [
        row
        for row in ledger.rows(states=_STATES)
        if row.key and (paths is None or row.artifact.path in paths)
    ]
    recorded = ledger.record([Change(row, Replayed(at, account())) for row in rows], at)
    ledger.close()
    was = {row.name: row for row in rows}
    return [(was[item.row.name], item.row) for item in recorded]
