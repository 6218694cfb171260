"""One suite for every store: what `artifactd.stores.base` promises, tried on a real destination.

A kind of store joins with a `Harness` and a subclass of `StoreConformance` that has `new_destination`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifactd.artifact import Key
from artifactd.stores.base import CHUNK, Conflict, Corrupt, Put, Receipt, Source, Store
from tests.support.harness import (
    Harness,
    NewDestination,
    a_put,
    at_once,
    digest,
    may_pass,
    only,
    outcome,
    pattern,
    put_file,
    receipt,
)

OLD, NEW, FOREIGN = b"old", b"new", b"foreign"

KEYS = {
    "one part": "mojo.zip",
    "many parts": "a/" * 100 + "a",
    "spaces": "user name/an experiment/ report  1 .docx",
    "unicode": "josé@例え.jp/наука/😀.csv",
    "punctuation": "a+b%20c&d=e;f#g?h!'(i)[j]{k}~$@,^`|/*.csv",
    "the longest part": "u/" + "é" * 127 + "x/e",
    "the longest key": "/".join(["x" * 255] * 3 + ["x" * 254, "x"]),
}

HUGE = 17 << 20
"""Bytes that stores of objects send in parts."""


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _closed(directory: Path) -> Iterator[int]:
    with _opened(directory, os.O_RDONLY) as fd:
        pass
    yield fd


@contextmanager
def _pipe(_: Path) -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


SOURCES: dict[str, Callable[[Path], AbstractContextManager[int]]] = {
    "closed": _closed,
    "never open": lambda _: nullcontext(-1),
    "a directory": lambda directory: _opened(directory, os.O_RDONLY),
    "only a name": lambda directory: _opened(directory, os.O_PATH),
    "a pipe": _pipe,
    "a device without an end": lambda _: _opened(Path("/dev/zero"), os.O_RDONLY),
}
"""Descriptors that nothing to put can be read from."""

by_server = pytest.mark.by_server
"""On what servers of one protocol differ in. The rest is this side's work, and the same whoever serves."""

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1)

_CONTENTS = (b"", b"a", b"b", b"c")
_PUTS = st.builds(
    lambda key, content, ours: a_put(key, content, *ours),
    st.sampled_from(["k", "f/k", "f/g"]),
    st.sampled_from(_CONTENTS),
    st.lists(st.sampled_from(_CONTENTS), max_size=2),
)


def _on_model(model: dict[str, bytes], put: Put) -> str:
    content = put.source.content
    assert content is not None
    there = model.get(put.key.text)
    if there == content:
        return "there"
    if there is not None and digest(there) not in put.ours:
        return "Conflict"
    model[put.key.text] = content
    return "written"


def any_sequence(examples: int) -> Callable[..., None]:
    """The test that puts behave as in a dictionary; a server is asked for fewer examples than a directory."""

    @settings(
        max_examples=examples,
        deadline=None,  # a destination may be a server
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,  # each example makes a destination of its own
            HealthCheck.differing_executors,  # each kind of store runs the same sentence
        ],
    )
    @given(data=st.data())
    def test(self: object, new_destination: NewDestination, data: st.DataObject) -> None:  # noqa: ARG001 - a method
        harness, model = new_destination(), dict[str, bytes]()
        store = harness.store()
        for batch in data.draw(st.lists(st.lists(_PUTS, max_size=6), max_size=5)):
            expected = [_on_model(model, put) for put in batch]
            assert [outcome(result) for result in store.put(batch)] == expected
            assert harness.contents() == model

    return test


class StoreConformance:
    """The sentences that are true of every store."""

    races = 40
    """keys that two create at once"""

    @pytest.fixture
    def harness(self, new_destination: NewDestination) -> Harness:
        return new_destination()

    @pytest.fixture
    def store(self, harness: Harness) -> Store:
        return harness.store()

    # --- one put ---

    @by_server
    def test_a_put_creates_the_copy_and_says_how_it_was_proven(self, harness: Harness, store: Store) -> None:
        got = receipt(store.put([a_put("u/e/mojo.zip", NEW)]))
        assert (got.digest, got.size, got.proof, got.written) == (digest(NEW), len(NEW), harness.proof, True)
        assert harness.contents() == {"u/e/mojo.zip": NEW}

    @pytest.mark.parametrize("again", ["the same store", "another store"])
    def test_the_same_bytes_again_are_a_success_without_writing(self, harness: Harness, again: str) -> None:
        store = harness.store()
        store.put([a_put("u/e/mojo.zip", NEW)])
        before = harness.marks()
        got = receipt(
            (store if again == "the same store" else harness.store()).put([a_put("u/e/mojo.zip", NEW)])
        )
        assert (got.digest, got.size, got.written) == (digest(NEW), len(NEW), False)
        assert harness.marks() == before

    def test_the_same_bytes_from_somebody_else_are_a_success_without_writing(
        self, harness: Harness, store: Store
    ) -> None:
        harness.plant("u/e/mojo.zip", NEW)
        before = harness.marks()
        assert receipt(store.put([a_put("u/e/mojo.zip", NEW)])).written is False
        assert harness.marks() == before

    @by_server
    @pytest.mark.parametrize("ours", [(), (OLD,), (OLD, NEW)])
    def test_bytes_of_somebody_else_are_a_conflict_and_stay(
        self, harness: Harness, store: Store, ours: tuple[bytes, ...]
    ) -> None:
        harness.plant("u/e/mojo.zip", FOREIGN)
        before = harness.marks()
        result = only(store.put([a_put("u/e/mojo.zip", NEW, *ours)]))
        assert isinstance(result, Conflict)
        assert "u/e/mojo.zip" in str(result)
        assert harness.contents() == {"u/e/mojo.zip": FOREIGN}
        assert harness.marks() == before

    @by_server
    def test_bytes_of_ours_are_replaced(self, harness: Harness, store: Store) -> None:
        store.put([a_put("u/e/mojo.zip", OLD)])
        got = receipt(harness.store().put([a_put("u/e/mojo.zip", NEW, b"older", OLD)]))
        assert (got.digest, got.written) == (digest(NEW), True)
        assert harness.contents() == {"u/e/mojo.zip": NEW}

    def test_an_earlier_version_of_ours_that_came_back_is_replaced(
        self, harness: Harness, store: Store
    ) -> None:
        store.put([a_put("u/e/mojo.zip", OLD)])
        put = replace(a_put("u/e/mojo.zip", NEW, b"newer than that"), earlier=(digest(OLD),))
        assert receipt(store.put([put])).written
        assert harness.contents() == {"u/e/mojo.zip": NEW}

    def test_what_replaces_itself_is_not_written_again(self, harness: Harness, store: Store) -> None:
        store.put([a_put("u/e/mojo.zip", NEW)])
        before = harness.marks()
        assert receipt(store.put([a_put("u/e/mojo.zip", NEW, OLD, NEW)])).written is False
        assert harness.marks() == before

    def test_ours_that_are_gone_are_created(self, harness: Harness, store: Store) -> None:
        assert receipt(store.put([a_put("u/e/mojo.zip", NEW, OLD)])).written
        assert harness.contents() == {"u/e/mojo.zip": NEW}

    @by_server
    @pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
    def test_every_valid_key_is_kept_as_it_is(self, harness: Harness, store: Store, key: str) -> None:
        key = key[-harness.key_bytes :]
        receipt(store.put([a_put(key, NEW)]))
        assert harness.contents() == {key: NEW}
        assert store.digest(Key(key)) == digest(NEW)
        assert list(store.keys()) == [Key(key)]

    # --- sources ---

    @pytest.mark.parametrize("size", SIZES)
    def test_content_of_any_size_arrives(self, harness: Harness, store: Store, size: int) -> None:
        content = pattern(size)
        assert receipt(store.put([a_put("k", content)])).size == size
        assert harness.contents() == {"k": content}

    @by_server
    @pytest.mark.parametrize("size", SIZES)
    def test_an_open_file_of_any_size_arrives_and_keeps_its_position(
        self, harness: Harness, store: Store, tmp_path: Path, size: int
    ) -> None:
        content = pattern(size)
        with (tmp_path / "source").open("w+b") as file:
            put = put_file("k", tmp_path / "source", content, file.fileno())
            assert receipt(store.put([put])).size == size
            assert file.tell() == 0
        assert harness.contents() == {"k": content}

    @pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
    def test_a_source_that_was_cut_is_not_published(
        self, harness: Harness, store: Store, tmp_path: Path, size: int
    ) -> None:
        with (tmp_path / "source").open("w+b") as file:
            put = put_file("k", tmp_path / "source", pattern(CHUNK + 2), file.fileno())
            file.truncate(size)
            assert may_pass(only(store.put([put])))
        assert harness.contents() == {}

    def test_what_a_source_has_grown_by_is_left_out(
        self, harness: Harness, store: Store, tmp_path: Path
    ) -> None:
        with (tmp_path / "source").open("w+b") as file:
            put = put_file("k", tmp_path / "source", NEW, file.fileno())
            (tmp_path / "source").write_bytes(NEW + b"more")
            assert receipt(store.put([put])).size == len(NEW)
        assert harness.contents() == {"k": NEW}

    def test_a_source_that_cannot_be_readmay_pass(
        self, harness: Harness, store: Store, tmp_path: Path
    ) -> None:
        with (tmp_path / "source").open("wb") as file:
            put = put_file("k", tmp_path / "source", NEW, file.fileno())
            assert may_pass(only(store.put([put])))
        assert harness.contents() == {}

    @pytest.mark.parametrize("size", [len(NEW), HUGE], ids=["small", "in parts"])
    @pytest.mark.parametrize("kind", SOURCES)
    def test_a_hostile_source_is_an_error_of_its_put_and_of_no_other(
        self, harness: Harness, store: Store, tmp_path: Path, kind: str, size: int
    ) -> None:
        with SOURCES[kind](tmp_path) as fd:
            hostile = Put(Key("hostile"), Source(size, fd=fd), digest(NEW))
            before, result, after = store.put([a_put("before", NEW), hostile, a_put("after", NEW)])
        assert may_pass(result), result
        assert [outcome(before), outcome(after)] == ["written", "written"]
        assert harness.contents() == {"before": NEW, "after": NEW}

    @by_server
    @pytest.mark.parametrize("kind", ["content", "file"])
    @pytest.mark.parametrize("before", [{}, {"k": OLD}], ids=["creating", "replacing"])
    def test_bytes_other_than_announced_are_not_published(
        self, harness: Harness, store: Store, tmp_path: Path, kind: str, before: dict[str, bytes]
    ) -> None:
        for key, content in before.items():
            harness.plant(key, content)
        with (tmp_path / "source").open("w+b") as file:
            source = Source(len(NEW), NEW) if kind == "content" else Source(len(NEW), fd=file.fileno())
            (tmp_path / "source").write_bytes(NEW)
            result = only(store.put([Put(Key("k"), source, digest(b"announced"), (digest(OLD),))]))
        assert isinstance(result, Corrupt)
        assert harness.contents() == before

    # --- batches ---

    def test_an_empty_batch_is_no_work(self, harness: Harness, store: Store) -> None:
        assert store.put([]) == []
        assert harness.contents() == {}

    @pytest.mark.parametrize("count", [3, 40])
    def test_a_bad_put_delays_no_other_and_results_keep_the_order(
        self, harness: Harness, store: Store, count: int
    ) -> None:
        harness.plant("k1", FOREIGN)
        puts = [a_put(f"k{n}", pattern(n + 1)) for n in range(count)]
        puts[2] = Put(Key("k2"), Source(3, b"bad"), digest(b"announced"))
        results = store.put(puts)
        assert [type(result) for result in results] == [Receipt, Conflict, Corrupt] + [Receipt] * (count - 3)
        good = [n for n in range(count) if n not in (1, 2)]
        assert [r.size for r in results if isinstance(r, Receipt)] == [n + 1 for n in good]
        assert harness.contents() == {"k1": FOREIGN} | {f"k{n}": pattern(n + 1) for n in good}

    def test_puts_of_one_key_in_one_batch_happen_one_after_the_other(
        self, harness: Harness, store: Store
    ) -> None:
        batch = [
            a_put("k", OLD),
            a_put("k", OLD),
            a_put("k", FOREIGN),
            a_put("k", NEW, OLD),
            a_put("k", NEW, OLD),
            a_put("k", FOREIGN, OLD),
        ]
        results = store.put(batch)
        assert [outcome(result) for result in results] == [
            "written", "there", "Conflict", "written", "there", "Conflict",
        ]  # fmt: skip
        assert harness.contents() == {"k": NEW}

    # --- reads ---

    @by_server
    def test_what_was_put_can_be_asked_for(self, harness: Harness, store: Store) -> None:
        store.put([a_put("u/e/mojo.zip", NEW)])
        key, told = Key("u/e/mojo.zip"), list[int]()
        found = harness.store().stat(key)
        assert found is not None
        assert found.size in (None, len(NEW))
        assert store.digest(key, told.append) == digest(NEW)
        assert sum(told) == len(NEW)
        assert "mojo.zip" in store.uri(key)

    @by_server
    def test_a_digest_is_of_the_bytes_that_are_there_now(self, harness: Harness, store: Store) -> None:
        store.put([a_put("k", NEW)])
        harness.plant("k", b"rotten")
        assert store.digest(Key("k")) == digest(b"rotten")

    @by_server
    @pytest.mark.parametrize("key", ["unknown", "u/unknown", "u", "u/e/mojo.zip/below"])
    def test_an_unknown_key_is_none(self, store: Store, key: str) -> None:
        store.put([a_put("u/e/mojo.zip", NEW)])
        assert store.stat(Key(key)) is None
        assert store.digest(Key(key)) is None

    def test_many_keys_are_asked_for_as_each_is_by_itself(self, harness: Harness, store: Store) -> None:
        keys = [Key(f"u/e/{name}") for name in ("a", "b", "not there", "same as a", "a")]
        store.put([a_put("u/e/a", NEW), a_put("u/e/b", OLD), a_put("u/e/same as a", NEW)])
        told, other = list[int](), harness.store()
        assert list(other.stats(keys)) == [store.stat(key) for key in keys]
        assert list(other.digests(keys, told.append)) == [
            digest(NEW), digest(OLD), None, digest(NEW), digest(NEW),
        ]  # fmt: skip
        assert sum(told) >= len(NEW) + len(OLD)
        assert (list(store.stats([])), list(store.digests([]))) == ([], [])

    @pytest.mark.parametrize("size", [len(NEW), CHUNK + 1])
    def test_a_store_s_version_is_the_same_while_the_bytes_are(self, store: Store, size: int) -> None:
        version = receipt(store.put([a_put("u/e/k", pattern(size))])).version
        store.put([a_put("u/e/other", OLD), a_put("v/e/k", FOREIGN)])
        found = store.stat(Key("u/e/k"))
        assert found is not None
        assert found.version == version
        assert receipt(store.put([a_put("u/e/k", pattern(size))])).version == version
        changed = receipt(store.put([a_put("u/e/k", b"newer", pattern(size))])).version
        assert not version or changed != version

    @by_server
    def test_keys_are_listed_by_prefix(self, store: Store) -> None:
        store.put([a_put(key, NEW) for key in ("a", "b/a", "b/ab", "b/b/c", "ba/d")])
        expected = {
            "": ["a", "b/a", "b/ab", "b/b/c", "ba/d"],
            "b": ["b/a", "b/ab", "b/b/c", "ba/d"],
            "b/": ["b/a", "b/ab", "b/b/c"],
            "b/a": ["b/a", "b/ab"],
            "b/b/c": ["b/b/c"],
            "a/": [],
            "unknown/folder/": [],
        }
        assert {prefix: sorted(key.text for key in store.keys(prefix)) for prefix in expected} == expected

    def test_a_new_destination_has_no_keys(self, store: Store) -> None:
        assert list(store.keys()) == []

    # --- two at once ---

    @by_server
    @pytest.mark.parametrize("stores", ["one store", "two stores"])
    def test_of_two_that_create_a_key_at_once_one_wins(self, harness: Harness, stores: str) -> None:
        first = harness.store()
        second = first if stores == "one store" else harness.store()
        keys = [f"u/e{n}/k" for n in range(self.races)]
        results = at_once([first, second], keys, [NEW, FOREIGN])
        assert [sorted(map(outcome, pair)) for pair in results] == [["Conflict", "written"]] * len(keys)
        winners = [NEW if outcome(pair[0]) == "written" else FOREIGN for pair in results]
        assert harness.contents() == dict(zip(keys, winners, strict=True))

    @by_server
    def test_of_two_that_create_the_same_copy_at_once_both_succeed(self, harness: Harness) -> None:
        keys = [f"u/e{n}/k" for n in range(self.races)]
        results = at_once([harness.store(), harness.store()], keys, [NEW, NEW])
        assert [sorted(map(outcome, pair)) for pair in results] == [["there", "written"]] * len(keys)
        assert harness.contents() == dict.fromkeys(keys, NEW)

    # --- any sequence ---

    test_any_sequence_of_batches_ends_as_in_a_dictionary = any_sequence(60)
