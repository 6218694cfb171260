import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Artifact, Identity, Kind
from artifactd.decisions.lifecycle import (
    STEPS,
    Event,
    Failed,
    Lost,
    Postponed,
    Proven,
    Refused,
    Replayed,
    Row,
    Skipped,
    step,
)
from artifactd.ledger.record import (
    ACTIONS,
    START,
    TERMS,
    Entry,
    Head,
    Template,
    Value,
    account,
    append,
    breaks,
    hash_of,
)
from tests.decisions.test_lifecycle import EVENTS, SAMPLE
from tests.support.rows import D1, D2, D3, a_proven_row, a_row, identity, proven, started

AT = 1_763_900_000.25


def a_record(length: int = 6) -> list[Entry]:
    head, entries = Head(), list[Entry]()
    for number in range(length):
        entries.append(
            append(head, AT + number, {"action": "test", "number": number, "name": 'é"\n\U0001f600'})
        )
        head = Head(entries[-1].seq, entries[-1].hash)
    return entries


# --- entries ---


def test_a_line_is_canonical_json() -> None:
    entry = append(Head(7, "ab"), AT, {"z": 1, "a": "é\n", "n": None, "b": False})
    assert entry.line == (
        r'{"a":"\u00e9\n","b":false,"n":null,"previous":"ab","schema":1,"seq":8,'
        r'"time":"2025-11-23T12:13:20.250Z","z":1}'
    )
    assert entry.fields["a"] == "é\n"


def test_the_fields_cannot_speak_for_the_chain() -> None:
    entry = append(Head(), AT, {"seq": 99, "previous": "forged", "schema": 99, "time": "never"})
    assert (entry.fields["seq"], entry.fields["previous"], entry.fields["schema"]) == (1, START, 1)


def test_a_number_that_json_does_not_know_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        append(Head(), AT, {"seconds": float("nan")})


def test_an_exported_record_proves_itself_with_sha256_alone() -> None:
    exported = [entry.line.encode() for entry in a_record()]
    named = [json.loads(line)["previous"] for line in exported]
    assert named == ["0" * 64, *(hashlib.sha256(line).hexdigest() for line in exported[:-1])]


names = st.text(
    st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
)
moments = st.floats(0, 4e9)
rows = st.builds(
    Row,
    artifact=st.builds(Artifact, user=names, experiment_id=names),
    identity=st.none() | st.builds(Identity),
    digest=st.none() | st.sampled_from([D1, D2]),
    ours=st.lists(st.sampled_from([D1, D2, D3])).map(tuple),
    failures=st.integers(0),
    reason=names,
    evidence=st.text(),
)
events = st.sampled_from(EVENTS).flatmap(
    lambda kind: st.builds(
        kind,
        **{
            one.name: moments if one.type is float else names
            for one in fields(kind)
            if one.type in {float, str}
        },
    )
)


def values(texts: Mapping[str, str]) -> dict[str, Value]:
    return {name: json.loads(text) for name, text in texts.items()}


@given(
    st.dictionaries(st.sampled_from(["host", "version", "50%", "é", "source"]), st.text()),
    rows,
    rows,
    events,
    st.text(),
)
def test_an_entry_of_a_copy_is_the_one_that_the_encoder_writes(
    context: dict[str, str], before: Row, after: Row, event: Event, by: str
) -> None:
    texts, head, template = account(before, after, event, by), Head(7, D3), Template(context)
    expected = append(head, AT, {**context, **values(texts)})
    assert [template.append(head, AT, texts), template.append(head, AT, texts)] == [expected, expected]


# --- breaks ---


def test_a_record_that_was_left_alone_has_no_break() -> None:
    record = a_record()
    assert list(breaks(record)) == []
    assert list(breaks(record[2:], Head(2, record[1].hash))) == []
    assert list(breaks([])) == []


def forged(entry: Entry, **fields: object) -> Entry:
    """The entry with other fields, and a hash to fit."""
    line = json.dumps(entry.fields | fields, sort_keys=True, separators=(",", ":"))
    return Entry(entry.seq, line, hash_of(line))


Edit = Callable[[list[Entry]], Sequence[Entry]]


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda r: [*r[:2], replace(r[2], line=r[2].line.replace("test", "text")), *r[3:]], [3]),
        (lambda r: [*r[:2], forged(r[2], action="text"), *r[3:]], [4]),
        (lambda r: [*r[:2], forged(r[2], seq=4), *r[3:]], [3, 4]),
        (lambda r: [*r[:2], replace(r[2], hash="0" * 64), *r[3:]], [3, 4]),
        (lambda r: [*r[:2], Entry(3, "[]", hash_of("[]")), *r[3:]], [3, 4]),
        (lambda r: [*r[:2], Entry(3, "{", hash_of("{")), *r[3:]], [3, 4]),
        (lambda r: [*r[:2], *r[3:]], [4]),
        (lambda r: r[1:], [2]),
        (lambda r: [r[0], r[2], r[1], *r[3:]], [3, 2, 4]),
        (lambda r: [r[0], replace(r[2], seq=2), replace(r[1], seq=3), *r[3:]], [2, 3, 4]),
        (lambda r: [*r[:3], r[2], *r[3:]], [3]),
        (lambda r: [*r[:2], append(Head(1, r[0].hash), AT, {}), *r[2:]], [2, 3]),
        (lambda r: [*r[:5], replace(r[5], line=r[5].line[:-9])], [6]),
        (lambda r: [*r[:5], replace(r[5], line="")], [6]),
    ],
    ids=[
        "edited",
        "edited and hashed anew",
        "renumbered",
        "other hash",
        "no entry",
        "no JSON",
        "deleted",
        "beheaded",
        "swapped",
        "swapped and renumbered",
        "doubled",
        "inserted",
        "torn tail",
        "empty tail",
    ],
)
def test_an_alteration_shows_at_its_place(edit: Edit, found: list[int]) -> None:
    assert [one.seq for one in breaks(edit(a_record()))] == found


def test_what_is_missing_is_told() -> None:
    record = a_record()
    (one,) = breaks([record[0], record[4]])
    assert one.reason == "entries 2 to 4 are missing"


@given(st.integers(0, 5), st.integers(0, 10_000), st.integers(1, 255))
def test_any_byte_that_is_changed_is_found(number: int, place: int, flip: int) -> None:
    record = a_record()
    line = bytearray(record[number].line.encode())
    line[place % len(line)] ^= flip
    record[number] = replace(record[number], line=line.decode("utf-8", "surrogateescape"))
    assert [one.seq for one in breaks(record)] == [number + 1]


# --- what an event says ---

AUDITORS = {
    "action",
    "outcome",
    "reason",
    "rule",
    "user",
    "experiment_id",
    "kind",
    "source",
    "size",
    "mtime_ns",
}
AUDITORS |= {"sha256", "store", "key", "attempt"}
OF_PROOFS = {"uri", "store_version", "seconds", "proof", "evidence", "written"}


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_says_what_auditors_look_for(event: type[Event]) -> None:
    state = next(state for state, one in STEPS if one is event)
    before = replace(a_proven_row(), state=state)
    fields = said(before, SAMPLE[event])
    assert fields.keys() >= AUDITORS
    assert (fields["action"], fields["outcome"]) == (TERMS[event].action, TERMS[event].outcome)
    assert TERMS[event].level in logging.getLevelNamesMapping()
    assert fields.keys() >= OF_PROOFS or event is not Proven
    assert append(Head(), AT, fields).line.isascii()


def said(before: Row, event: Event) -> dict[str, Value]:
    return values(account(before, step(before, event), event))


def test_a_proof_says_everything() -> None:
    assert said(step(a_row(), started()), proven(1.23456)) == {
        "action": "artifact.exported",
        "outcome": "success",
        "store": "file_system",
        "key": "alice/e0/mojo.zip",
        "rule": "all",
        "user": "alice",
        "experiment_id": "e0",
        "kind": "mojo_pipeline",
        "source": "alice/h2oai_experiment_e0/mojo_pipeline/mojo.zip",
        "size": 101,
        "mtime_ns": 10**18 + 1,
        "sha256": D1,
        "attempt": 1,
        "reason": "",
        "evidence": "closed+no_writer",
        "proof": "read_back",
        "store_version": "v1",
        "written": True,
        "seconds": 1.235,
        "uri": "file:///exports/mojo.zip",
    }


def test_tries_are_counted_from_one() -> None:
    row = step(a_row(), started())
    assert said(row, Failed("disk", AT))["attempt"] == 1
    row = step(step(row, Failed("disk", AT)), started())
    assert said(row, Failed("disk", AT))["attempt"] == 2
    assert said(row, Postponed("out", AT))["attempt"] == 2
    assert said(row, proven())["attempt"] == 2


def test_a_failure_says_when_the_next_try_comes_and_a_replay_who_asked() -> None:
    row = step(a_row(), started())
    assert said(row, Failed("disk", AT))["retry_at"] == "2025-11-23T12:13:20.250Z"
    assert said(step(row, Refused("no", None)), Replayed(AT, "bob"))["principal"] == "bob"


def test_a_replacement_names_every_digest_that_may_lie_at_the_key() -> None:
    assert "replaces" not in said(a_row(), started(D1))
    assert "replaces" not in said(a_proven_row(content=D1), started(D1, identity(2)))
    changed = a_proven_row(content=D1)
    assert said(changed, started(D2))["replaces"] == D1
    interrupted = step(changed, started(D2))
    assert said(interrupted, started(D2))["replaces"] == D1
    assert said(interrupted, started(D3))["replaces"] == f"{D1} {D2}"


def test_a_digest_is_never_told_of_a_file_that_was_not_read() -> None:
    row = a_proven_row(content=D1, seen=identity(1))
    assert said(row, Refused("it changed", identity(2)))["sha256"] is None
    assert said(row, Failed("cannot be read", AT, identity(2)))["sha256"] is None
    assert said(a_row(), Skipped("rule", identity(2)))["sha256"] is None
    assert said(row, Lost("missing"))["sha256"] == D1
    assert said(step(row, started(D2, identity(2))), Failed("disk", AT, identity(2)))["sha256"] == D2


def test_names_that_are_no_text_are_told_in_a_form_that_every_reader_takes() -> None:
    odd = Artifact(b"\xff\n/x", "\udcff", "e\udcfe", b"x", Kind.OTHER)
    fields = said(replace(a_row(), artifact=odd), Skipped("rule \udcff", identity()))
    assert fields["source"] == "\\xff\\x0a/x"
    assert (fields["user"], fields["experiment_id"], fields["reason"]) == ("\\xff", "e\\xfe", "rule \\xff")
    assert "\\ud" not in append(Head(), AT, fields).line


def test_the_documentation_says_what_every_action_means() -> None:
    told = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
    assert [action for action in ACTIONS if f"`{action}`" not in told] == []
