"""A destination that folds case: no copy takes the place of another whose name differs only in case."""

from collections.abc import Callable
from pathlib import Path

import pytest

from artifactd.artifact import Key
from artifactd.stores.base import Conflict
from artifactd.stores.filesystem.spelling import other_spelling
from artifactd.stores.filesystem.store import FileSystemStore
from tests.support.harness import a_put, only, outcome, receipt


@pytest.fixture
def root(tmp_path: Path, folding: Callable[[Path], Path]) -> Path:
    folding(tmp_path / "root")
    return tmp_path / "root"


def copies(root: Path) -> dict[str, bytes]:
    """What lies there, under the names that are listed."""
    found = (path for path in root.rglob("*") if ".artifactd" not in path.parts and path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("content", [b"same", b"other"])
def test_of_two_names_that_differ_only_in_case_the_second_is_a_conflict_that_names_the_first(
    root: Path, content: bytes, *, at_once: bool
) -> None:
    store = FileSystemStore(root, owner="me")
    puts = [a_put("u/e/preds.csv", b"same"), a_put("u/e/Preds.csv", content, b"same")]
    first, second = store.put(puts) if at_once else (only(store.put([put])) for put in puts)
    assert outcome(first) == "written"
    assert isinstance(second, Conflict)
    assert "u/e/Preds.csv: this destination takes the name for preds.csv, which is there" in str(second)
    assert "artifactd.ignore_case = true" in str(second)
    assert copies(root) == {"u/e/preds.csv": b"same"}


@pytest.mark.parametrize(
    ("key", "other"), [("Alice/e/k", "alice"), ("Alice/new/k", "alice"), ("alice/E/new", "e")]
)
def test_a_folder_whose_name_differs_only_in_case_is_somebody_elses(root: Path, key: str, other: str) -> None:
    store = FileSystemStore(root, owner="me")
    receipt(store.put([a_put("alice/e/k", b"same")]))
    result, beside = store.put([a_put(key, b"same"), a_put("alice/e/l", b"beside")])
    assert isinstance(result, Conflict)
    assert f"takes the name for {other}, which is there" in str(result)
    assert outcome(beside) == "written"
    assert copies(root) == {"alice/e/k": b"same", "alice/e/l": b"beside"}
    assert not (root / "alice/new").exists()


def test_what_is_spelled_as_its_key_is_found_and_replaced_as_anywhere(root: Path) -> None:
    store = FileSystemStore(root, owner="me")
    puts = [("written", b"old", b""), ("there", b"old", b""), ("written", b"new", b"old")]
    for expected, content, ours in puts:
        assert outcome(only(store.put([a_put("Ü/e/Preds.csv", content, ours)]))) == expected
    assert copies(root) == {"Ü/e/Preds.csv": b"new"}
    assert store.stat(Key("Ü/e/Preds.csv")) is not None


@pytest.mark.parametrize("ignore_case", [False, True])
def test_that_case_is_folded_is_a_doubt_unless_that_is_known(root: Path, *, ignore_case: bool) -> None:
    store = FileSystemStore(root, owner="me", ignore_case=ignore_case)
    assert not store.doubts()
    receipt(store.put([a_put("k", b"new")]))
    assert ["artifactd.ignore_case is off" in doubt for doubt in store.doubts()] == [True][ignore_case:]


def test_where_case_tells_apart_both_are_written_and_nothing_is_in_doubt(tmp_path: Path) -> None:
    (tmp_path / ".ARTIFACTD").mkdir()
    store = FileSystemStore(tmp_path, owner="me")
    results = store.put([a_put("u/k", b"same"), a_put("u/K", b"same"), a_put("U/k", b"same")])
    assert [outcome(result) for result in results] == ["written"] * 3
    assert not store.doubts()


@pytest.mark.parametrize(
    ("name", "listed", "other"),
    [
        ("preds.csv", ["preds.csv"], None),
        ("preds.csv", ["Preds.csv", "preds.csv"], None),
        ("preds.csv", ["x", "Preds.csv"], "Preds.csv"),
        ("STRASSE", ["straße"], "straße"),
        ("\u00e9", ["e\u0301"], None),  # composed, and as macOS keeps it
        ("\u00c9", ["e\u0301"], "e\u0301"),
        ("PREDS~1.CSV", ["predictions.csv"], "another name"),  # the short names of vfat
    ],
)
def test_how_a_name_that_was_found_is_listed(name: str, listed: list[str], other: str | None) -> None:
    assert other_spelling(name, listed) == other
