"""Commands that prove: verify, audit, check."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Final

import typer

from artifactd.artifact import printable
from artifactd.cli.exits import Exit
from artifactd.cli.terminal import (
    AsJson,
    ConfigPath,
    byte_progress,
    configuration,
    fail,
    lines,
    reading,
)
from artifactd.clock import Clock
from artifactd.config import Config
from artifactd.decisions.lifecycle import Change, Confirmed, Lost, Row, State
from artifactd.discovery import exports
from artifactd.inspection import verify as auditing
from artifactd.inspection.verify import Condition, Finding
from artifactd.ledger import anchors
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import FILE, LedgerError
from artifactd.mirror.engine import context, open_stores
from artifactd.stores.base import Store, StoreError
from artifactd.stores.objects.unfinished import Loose

PROVING = "Proving"

Problem = Mapping[str, str]

_CLOCK: Final = Clock(time.monotonic, time.time, random.random)

CODES: Final = {
    "record": Exit.RECORD,
    "different": Exit.DIFFERENT,
    "missing": Exit.MISSING,
    "unreadable": Exit.UNREADABLE,
    "unknown": Exit.UNKNOWN,
}
"""What verify finds, the worst first."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (verify, audit, check):
        app.command(rich_help_panel=PROVING)(command)


def verify(
    config: ConfigPath = None,
    sample: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Read back only this share of the copies, in percent.")
    ] = 100.0,
    read: Annotated[  # noqa: FBT002 - typer's way to a flag
        bool, typer.Option("--read", help="Read every byte back, even where the store's own checksum tells.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
) -> None:
    """Prove afterwards: the record hangs together, and the stores hold what it says.

    A copy whose bytes a store has verified by checksum when it took them is asked for without reading it: the
    store says that it still has that very version. Every other copy is read back byte by byte, and with
    --read those are, too.

    It ends with the first of these that is true, or with 0:
    10 the record was altered
    11 a copy holds other bytes than are on record
    12 a copy is missing
    13 a copy or a store cannot be read
    14 a store holds keys that the ledger does not know

    Copies that are missing or different are marked as lost, for `artifactd retry`. Nothing is deleted.
    Unknown keys are not looked for in a destination that holds the data directory itself.
    """
    settings = configuration(config)
    began = time.monotonic()
    with reading(settings) as ledger:
        stores = open_stores(settings, ledger, Loose(), _CLOCK)
        problems = list(_record_problems(ledger, stores))
        findings = list(_findings(ledger, stores, sample, auditing.read_back if read else auditing.ask))
        problems += [_problem(one) for one in findings if one.condition is not Condition.WHOLE]
        problems += _unknown(settings, ledger, stores)
        others = _other_records(ledger, stores)
    _note(settings, findings, problems)
    counts = Counter(problem["problem"] for problem in problems)
    if as_json:
        lines(problems)
        lines(
            [
                {
                    "verified": len(findings),
                    "problems": dict(counts),
                    "other_records": others,
                    "seconds": round(time.monotonic() - began, 3),
                }
            ]
        )
    else:
        for problem in problems:
            shown = "  ".join(value for value in problem.values() if value)
            typer.echo(printable(shown.encode("utf-8", "surrogateescape")), err=True)
        for store, names in others.items():
            typer.echo(
                f"{store} also has anchors of other records ({', '.join(names)}): of other hosts or of"
                " earlier ledgers. If there are none, this record was written anew.",
                err=True,
            )
        found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing wrong"
        typer.echo(
            f"{len(findings)} copies and the record verified in {time.monotonic() - began:.1f} s: {found}"
        )
    code = next((code for name, code in CODES.items() if counts[name]), Exit.OK)
    raise typer.Exit(code)


def _record_problems(ledger: Ledger, stores: Mapping[str, Store]) -> Iterator[Problem]:
    """Where the record was altered: within itself, or against its anchors in the stores."""
    breaks = list(auditing.breaks(ledger))
    for store in stores.values():
        try:
            breaks += anchors.contradictions(ledger, store)
        except StoreError as error:
            yield {
                "problem": "unreadable",
                "store": store.name,
                "key": anchors.FOLDER,
                "reason": str(error),
            }
    for one in breaks:
        yield {"problem": "record", "store": "", "key": f"entry {one.seq}", "reason": one.reason}


def _other_records(ledger: Ledger, stores: Mapping[str, Store]) -> dict[str, list[str]]:
    """Store → other records that are anchored there. A store that cannot be listed was told of already."""
    others: dict[str, list[str]] = {}
    for store in stores.values():
        with suppress(StoreError):
            if names := anchors.other_records(ledger, store):
                others[store.name] = names
    return others


def _findings(
    ledger: Ledger, stores: Mapping[str, Store], sample: float, look: auditing.Look
) -> Iterator[Finding]:
    """Every copy that was ever proven, or a sample of them, looked at."""
    rows = [
        row
        for store in stores
        for row in ledger.rows(store=store)
        if row.proof and row.state is not State.UPLOADING and random.random() * 100 < sample  # noqa: S311 - a sample, no secret
    ]
    with byte_progress("verifying", sum(row.size for row in rows)) as progress:
        for row in rows:
            yield look(row, ledger, stores[row.store], progress)


def _problem(finding: Finding) -> Problem:
    row = finding.row
    return {
        "problem": finding.condition.value,
        "store": row.store,
        "key": row.key,
        "source": printable(row.artifact.path),
        "reason": finding.reason,
    }


def _unknown(settings: Config, ledger: Ledger, stores: Mapping[str, Store]) -> Iterator[Problem]:
    shared = exports.around(settings)
    for store in stores.values():
        if store.name in shared:
            continue
        try:
            for key in auditing.unknown(store, ledger):
                reason = "the ledger does not know this key"
                yield {"problem": "unknown", "store": store.name, "key": key.text, "reason": reason}
        except StoreError as error:
            yield {"problem": "unreadable", "store": store.name, "key": "", "reason": str(error)}


def _note(settings: Config, findings: list[Finding], problems: list[Problem]) -> None:
    """Have on record what was found. Where that cannot be, it is said, and nothing else changes."""
    if not (settings.state_directory / FILE).exists():
        return  # nothing was ever exported from here: no place to begin a record
    counts = Counter(problem["problem"] for problem in problems)
    said = {name: counts[name] for name in CODES}
    outcome = "failure" if problems else "success"
    now = time.time()
    try:
        ledger = Ledger.open(settings.state_directory, context(settings))
        ledger.record([change for one in findings if (change := _change(one)) is not None], now)
        ledger.note(now, {"action": "copies.verified", "outcome": outcome, "copies": len(findings), **said})
        ledger.close()
    except LedgerError as error:
        typer.echo(f"this verification is not on record: {error}", err=True)


def _change(finding: Finding) -> Change | None:
    row: Row = finding.row
    match finding.condition:
        case Condition.MISSING | Condition.DIFFERENT if row.state in (State.PROVEN, State.LOST):
            return Change(row, Lost(finding.reason))
        case Condition.WHOLE if row.state is State.LOST:
            return Change(row, Confirmed())
        case _:
            return None


def audit(
    config: ConfigPath = None,
    after: Annotated[int, typer.Option(min=0, help="Only entries after this number.")] = 0,
) -> None:
    """Print the record of events: one line of JSON each, exactly as it was hashed.

    The field "previous" of each line is the SHA-256 of the line before it, so an export proves itself.
    """
    with reading(configuration(config)) as ledger:
        for entry in ledger.entries(after):
            typer.echo(entry.line)


def check(config: ConfigPath = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - as above
    """Check that everything is as it has to be: configuration, directories, stores, inotify, clock.

    The probe of a store puts one small file at _artifactd/check, reads it back, and tries to overwrite it.
    The file may stay.
    """
    from artifactd.inspection.check import checkup  # noqa: PLC0415 - the watcher's library, for this command only

    settings = configuration(config)
    results = list(checkup(settings, _CLOCK))
    if as_json:
        lines({"check": one.name, "ok": one.ok, "found": one.found, "mend": one.mend} for one in results)
    else:
        for one in results:
            mark = typer.style("ok  ", fg="green") if one.ok else typer.style("FAIL", fg="red", bold=True)
            typer.echo(f"{mark} {one.name}: {one.found}")
            if not one.ok:
                typer.echo(f"     → {one.mend}")
    if failed := sum(not one.ok for one in results):
        fail(Exit.CHECK, f"{failed} of {len(results)} checks failed")
