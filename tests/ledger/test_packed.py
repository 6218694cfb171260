"""Lines come back byte for byte, and whatever becomes of a block, reading it never fails."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.ledger.packed import LINES, packed, unpacked
from artifactd.ledger.record import START, Entry, Head, append, breaks, hash_of
from artifactd.ledger.rows import Altered

texts = st.text(max_size=30)
fields = st.dictionaries(st.sampled_from(["action", "key", "source", "reason", "sha256"]), texts)


def chained(bodies: list[dict[str, str]]) -> list[Entry]:
    head, entries = Head(), []
    for number, body in enumerate(bodies):
        entries.append(append(head, float(number), body))
        head = Head(entries[-1].seq, entries[-1].hash)
    return entries


def whole(entries: list[Entry], previous: str = START) -> list[Entry]:
    """What comes back."""
    found: list[Entry] = []
    for block in packed(entries, previous):
        found += unpacked(block, found[-1].hash if found else previous)
    return found


@given(st.lists(fields, max_size=150))
def test_entries_come_back_as_they_were_hashed(bodies: list[dict[str, str]]) -> None:
    entries = chained(bodies)
    assert whole(entries) == entries
    assert list(breaks(whole(entries))) == []


lines = st.text(st.characters(exclude_characters="\0\n"), max_size=200)


@given(st.lists(lines, min_size=1, max_size=70), st.integers(1, 2**40))
def test_lines_that_are_none_of_ours_come_back_too(texts: list[str], first: int) -> None:
    try:
        hashes = [hash_of(text) for text in texts]
    except UnicodeEncodeError:
        return  # surrogates that stand for no byte: no line of a file
    entries = [Entry(first + n, text, hashes[n]) for n, text in enumerate(texts)]
    assert whole(entries, "a" * 64) == entries


def test_bytes_that_are_no_text_come_back() -> None:
    entry = Entry(7, '{"key":"\udcff"}', hash_of("another"))
    assert whole([entry]) == [entry]


@pytest.mark.parametrize("line", ["a\nb", "a\0b"])
def test_a_line_that_can_be_none_is_refused(line: str) -> None:
    with pytest.raises(Altered, match="entry 7"):
        list(packed([Entry(7, line, hash_of(line))], START))


def test_blocks_are_small_and_follow_each_other() -> None:
    entries = chained([{"key": str(number)} for number in range(3 * LINES + 1)])
    blocks = list(packed(entries, START))
    assert [first for first, _, _ in blocks] == [1, 1 + LINES, 1 + 2 * LINES, 1 + 3 * LINES]
    assert all(len(hashes) <= LINES * 32 for _, _, hashes in blocks)


@given(st.data())
def test_whatever_became_of_a_block_its_entries_are_no_longer_what_was_hashed(data: st.DataObject) -> None:
    entries = chained([{"key": f"alice/{number}", "reason": ""} for number in range(10)])
    ((first, content, hashes),) = packed(entries, START)
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    found = list(unpacked((first, bytes(flipped), hashes), START))
    assert [entry.seq for entry in found] == list(range(1, 11))
    assert found == entries or list(breaks(found)), "the last bits of a block may mean nothing"


def test_a_hash_that_was_altered_breaks_the_chain() -> None:
    entries = chained([{"key": f"alice/{number}"} for number in range(3)])
    ((first, content, hashes),) = packed(entries, START)
    found = list(unpacked((first, content, bytes([hashes[0] ^ 1]) + hashes[1:]), START))
    assert [one.seq for one in breaks(found)]
    assert all(before.seq + 1 == after.seq for before, after in pairwise(found))
