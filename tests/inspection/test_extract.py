"""Which entries of the record an extract has, and what a spreadsheet gets of them: tables."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import pytest

from artifactd.inspection.extract import COLUMNS, Criteria, cells
from artifactd.ledger.record import Entry, Head, Value, append

HOUR = 3600.0

SAID: list[dict[str, Value]] = [
    {"action": "ledger.created", "reason": '"user":"alice","action":"artifact.exported"'},
    {"action": "artifact.exported", "user": "alice", "experiment_id": "one", "rule": "all"},
    {"action": "artifact.exported", "user": "ali", "experiment_id": "two", "rule": "all"},
    {
        "action": "artifact.failed",
        "user": "alice",
        "experiment_id": "two",
        "rule": "by hand",
        "principal": "bob",
    },
    {"action": "artifact.refused", "user": "zoë\t=1", "experiment_id": "one", "rule": 'a "rule"'},
]


def a_record() -> list[Entry]:
    """One entry an hour, from the epoch on."""
    entries: list[Entry] = []
    head = Head()
    for number, fields in enumerate(SAID):
        entry = append(head, number * HOUR, {"outcome": "success", **fields})
        entries.append(Entry(entry.seq, entry.line, entry.hash))
        head = Head(entry.seq, entry.hash)
    return entries


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        (Criteria(), [1, 2, 3, 4, 5]),
        (Criteria(user="alice"), [2, 4]),
        (Criteria(user="zoë\t=1"), [5]),
        (Criteria(user="nobody"), []),
        (Criteria(experiment="two"), [3, 4]),
        (Criteria(experiment="h2oai_experiment_two"), [3, 4]),
        (Criteria(actions=("artifact.exported",)), [2, 3]),
        (Criteria(actions=("artifact.failed", "ledger.created")), [1, 4]),
        (Criteria(actions=("artifact",)), []),
        (Criteria(rule="by hand"), [4]),
        (Criteria(rule='a "rule"'), [5]),
        (Criteria(principal="bob"), [4]),
        (Criteria(since=2 * HOUR), [3, 4, 5]),
        (Criteria(until=2 * HOUR), [1, 2]),
        (Criteria(since=HOUR, until=3 * HOUR), [2, 3]),
        (Criteria(user="alice", since=2 * HOUR, actions=("artifact.failed",)), [4]),
    ],
)
def test_an_extract_has_the_entries_for_which_everything_holds(criteria: Criteria, found: list[int]) -> None:
    assert [entry.seq for entry in criteria.of(a_record())] == found


def test_a_line_that_was_lost_is_in_no_extract_and_ends_none() -> None:
    entries = [Entry(1, "", "0"), *a_record()[1:]]
    assert [entry.seq for entry in Criteria(until=9 * HOUR).of(entries)] == [2, 3, 4, 5]


def test_no_more_is_read_of_a_record_than_is_asked_for() -> None:
    read: list[int] = []

    def entries() -> Iterator[Entry]:
        for entry in a_record():
            read.append(entry.seq)
            yield entry

    assert [one.seq for one in islice(Criteria(user="alice").of(entries()), 1)] == [2]
    assert read == [1, 2]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("", ""),
        (None, ""),
        (7, "7"),
    ],
)
def test_no_cell_is_a_formula(value: Value, cell: str) -> None:
    assert cells({"seq": 1, "key": value})[COLUMNS.index("key")] == cell


def test_a_row_has_all_that_an_entry_says() -> None:
    fields: dict[str, Value] = {"seq": 3, "user": 'a,"b"\n', "written": True, "as": "=x", "reason": None}
    written = io.StringIO()
    csv.writer(written).writerow(cells(fields))
    (row,) = csv.reader(io.StringIO(written.getvalue(), newline=""))
    found = dict(zip(COLUMNS, row, strict=True))
    assert (found["seq"], found["user"], found["reason"]) == ("3", 'a,"b"\n', "")
    assert json.loads(found["other"]) == {"written": True, "as": "=x"}
