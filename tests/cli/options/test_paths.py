"""A file as a person names it, wherever he stands."""

import os
from pathlib import Path

import pytest

from artifactd.artifact import printable
from artifactd.cli.options.paths import located, outside

FILE = "alice/h2oai_experiment_one/train_preds.csv"
GONE = "alice/h2oai_experiment_one/gone.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = Path(os.path.realpath(tmp_path)) / "data"
    (data / FILE).parent.mkdir(parents=True)
    (data / FILE).touch()
    return data


@pytest.mark.parametrize(
    ("standing", "given", "expected"),
    [
        ("/", FILE, FILE),
        ("/", f"./{FILE}", FILE),
        ("/", "{data}/" + FILE, FILE),
        ("..", f"data/{FILE}", FILE),
        (".", FILE, FILE),
        ("alice", "h2oai_experiment_one/train_preds.csv", FILE),
        ("alice/h2oai_experiment_one", "train_preds.csv", FILE),
        ("alice/h2oai_experiment_one", "../../" + FILE, FILE),
        ("alice/h2oai_experiment_one", FILE, FILE),
        ("/", GONE, GONE),
        ("alice", GONE, GONE),
        ("alice/h2oai_experiment_one", "gone.csv", GONE),
        ("alice", "unheard/of.csv", "alice/unheard/of.csv"),
        ("/", "unheard/of.csv", "unheard/of.csv"),
        ("..", f"data/{GONE}", GONE),
        ("/", "/etc/passwd", None),
        ("/", "../outside", None),
        ("/", "", None),
        ("alice", "", None),
    ],
)
def test_a_file_is_found_absolute_below_the_data_directory_and_below_the_working_directory(
    data: Path, monkeypatch: pytest.MonkeyPatch, standing: str, given: str, expected: str | None
) -> None:
    monkeypatch.chdir(data / standing)
    found = located(data, given.format(data=data), lambda path: path == GONE.encode())
    assert found == (None if expected is None else expected.encode())


def test_of_two_files_that_a_path_may_mean_the_data_directorys_goes_first(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = data / "alice/h2oai_experiment_one" / FILE
    inner.parent.mkdir(parents=True)
    inner.touch()
    monkeypatch.chdir(inner.parents[2])
    assert located(data, FILE) == FILE.encode()


@pytest.mark.parametrize("name", [b"a\nb.csv", b"\xff.csv", "caf\u200b\u00e9.csv".encode(), rb"a\x0ab.csv"])
def test_a_file_with_a_name_that_nobody_can_type_is_found_by_how_it_is_printed(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    path = b"alice/h2oai_experiment_one/" + name
    Path(os.fsdecode(os.fsencode(data) + b"/" + path)).touch()
    monkeypatch.chdir("/")
    assert located(data, printable(path)) == path
    monkeypatch.chdir(data / "alice/h2oai_experiment_one")
    assert located(data, printable(name)) == path


def test_a_path_that_lies_elsewhere_does_nothing_to_a_terminal() -> None:
    assert "\x1b" not in outside(Path("/data"), "\x1b[31mred")
