"""`artifactd audit`: the record of events."""

import csv
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, assert_never

import typer

from artifactd.cli.configuration import configuration
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.options.known import one_of
from artifactd.cli.options.moments import Since, Until
from artifactd.cli.output import heard
from artifactd.cli.state import reading
from artifactd.inspection import extract, ocsf
from artifactd.inspection.extract import Criteria
from artifactd.ledger.record import ACTIONS, Entry


class Form(StrEnum):
    """What `audit --format` takes."""

    JSONL = "jsonl"
    CSV = "csv"
    OCSF = "ocsf"


def audit(  # noqa: PLR0917 - options are given by name
    config: ConfigPath = None,
    after: Annotated[int, typer.Option(min=0, help="Only entries after this number.")] = 0,
    user: Annotated[str | None, typer.Option(help="Only of this user's artifacts.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only of this experiment's.")] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="Only this action, as artifact.exported; may be repeated.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help='Only what this rule of the policy decided, or "by hand".')
    ] = None,
    principal: Annotated[str | None, typer.Option(help="Only what this account asked for.")] = None,
    since: Since = None,
    until: Until = None,
    form: Annotated[
        Form,
        typer.Option("--format", help="jsonl: as it was hashed; csv: for a spreadsheet; ocsf: for a SIEM."),
    ] = Form.JSONL,
) -> None:
    """Print the record of events: one line of JSON each, exactly as it was hashed.

    The field "previous" of each line is the SHA-256 of the line before it, so an export of the whole record
    proves itself. A part of it, or another format, does not: `artifactd verify` proves the record it is from.
    """
    one_of(action or (), ACTIONS, "--action")
    criteria = Criteria(user, experiment, tuple(action or ()), rule, principal, since, until)
    if form is not Form.JSONL or criteria != Criteria():
        typer.echo("this extract proves nothing by itself: `artifactd verify` proves the record", err=True)
    with reading(configuration(config, touching=False)) as ledger:
        print_each = _printer(form)
        for entry in criteria.of(ledger.entries(after)):
            print_each(entry)
            if not heard():
                break


def _printer(form: Form) -> Callable[[Entry], object]:
    """What prints an entry; the head of a table is printed here."""
    match form:
        case Form.JSONL:
            return lambda entry: typer.echo(entry.line)
        case Form.CSV:
            write: Callable[[Iterable[str]], object] = csv.writer(sys.stdout).writerow
            write(extract.COLUMNS)
            return _readable(lambda entry: write(extract.cells(entry.fields)))
        case Form.OCSF:
            return _readable(lambda entry: typer.echo(ocsf.line(entry)))
        case _:
            assert_never(form)


def _readable(print_it: Callable[[Entry], object]) -> Callable[[Entry], None]:
    """The same, for entries that can be read; of any other its number is told."""

    def printed(entry: Entry) -> None:
        try:
            print_it(entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            typer.echo(f"entry {entry.seq} was altered and is left out: artifactd verify", err=True)

    return printed
