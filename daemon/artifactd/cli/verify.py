"""`artifactd verify`: the record and the stores, proven afterwards."""

from functools import partial
from typing import Annotated

import typer

from artifactd.artifact import count_of, printable
from artifactd.cli.apart import apart
from artifactd.cli.configuration import PATIENCE, Timeout, configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.state import reading
from artifactd.cli.terminal import AsJson, lines
from artifactd.cli.terminal.live import byte_progress
from artifactd.clock import SYSTEM
from artifactd.inspection.findings import PROBLEMS
from artifactd.inspection.patience import patient
from artifactd.inspection.verify import ask, note, read_back, verification
from artifactd.ledger.schema import LedgerError
from artifactd.mirror.engine import open_stores
from artifactd.stores.objects.unfinished import InMemory


def verify(
    config: ConfigPath = None,
    *,
    sample: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Read back only this share of the copies, in percent.")
    ] = 100.0,
    read: Annotated[
        bool, typer.Option("--read", help="Read every byte back, even where the store's own checksum tells.")
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECORD", help="Another record that is known to be in a store; may be repeated."
        ),
    ] = None,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Prove afterwards: the record hangs together, and the stores hold what it says.

    A copy whose bytes a store has verified by checksum when it took them is asked for without reading it: the
    store says that it still has that very version. Every other copy is read back byte by byte, and with
    --read those are, too.

    Of 10, 15, 11, 12, 13 and 14 it ends with the first that is true. Another record (15) is another host's or
    an earlier ledger's, else this one was written anew: --expect names those that are known.

    Copies that are missing or different are marked as lost, for `artifactd retry`. Nothing is deleted.
    A store that does not answer in time is told as one that cannot be read; the others are verified.
    Unknown keys are not looked for in a destination that holds the data directory itself.
    """
    apart()
    settings = configuration(config, seconds=timeout, patient=True)
    began = SYSTEM.monotonic()
    with reading(settings) as ledger:
        found = verification(
            settings,
            ledger,
            patient(settings, open_stores(settings, ledger, InMemory(), SYSTEM), timeout, SYSTEM),
            look=read_back if read else ask,
            chosen=lambda: SYSTEM.chance() * 100 < sample,
            progress=partial(byte_progress, "verifying"),
            expected=expect or (),
        )
    try:
        note(settings, found, SYSTEM.now())
    except LedgerError as error:
        typer.echo(f"this verification is not on record: {error}", err=True)
    counts, seconds = found.counts(), SYSTEM.monotonic() - began
    if as_json:
        lines(found.problems)
        lines(
            [
                {
                    "verified": len(found.findings),
                    "problems": dict(counts),
                    "other_records": found.other_records,
                    "entries": found.entries,
                    "anchored": found.anchored,
                    "seconds": round(seconds, 3),
                }
            ]
        )
    else:
        for problem in found.problems:
            shown = "  ".join(value for value in problem.values() if value)
            typer.echo(printable(shown), err=True)
        kinds = (f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items()))
        wrong = ", ".join(kinds) or "nothing wrong"
        typer.echo(
            f"{count_of(len(found.findings), 'copy')} and the record verified in {seconds:.1f} s: {wrong}"
        )
        if found.tail:
            typer.echo(found.tail)
    raise typer.Exit(next((Exit[kind.upper()] for kind in PROBLEMS if counts[kind]), Exit.OK))
