"""Who only looks for the daemon finds the state directory where the whole configuration has it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from artifactd.config.location import DEFAULT_STATE, state_directories
from artifactd.config.sources import gather

VARIABLE = "ARTIFACTD_ARTIFACTD__STATE_DIRECTORY"
SET = "[artifactd]\nstate_directory = "


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("", {}),
        (f"{SET}'/absolute'", {}),
        (f"{SET}'relative/to the file'", {}),
        (f"{SET}'../up'", {"STATE_DIRECTORY": "/of/systemd"}),
        ("artifactd.state_directory = '/dotted'", {}),
        ("[watch]\nstate_directory = '/of another table'", {}),
        (f"{SET}'/file'", {VARIABLE: "/variable"}),
        ("", {VARIABLE: "relative"}),
        ("", {VARIABLE: "'/in quotes'"}),
    ],
)
def test_it_lies_where_the_whole_configuration_says(
    text: str, environ: Mapping[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    whole = gather(file, environ).settings["artifactd.state_directory"].value
    likely = filter(None, [str(whole), environ.get("STATE_DIRECTORY"), str(DEFAULT_STATE)])
    assert state_directories(file, environ) == tuple(dict.fromkeys(map(Path, likely)))


@pytest.mark.parametrize("text", [f"{SET}''", f"{SET}3", "artifactd = 3", 'x = "a\\u0000"', "\0"])
def test_what_cannot_be_used_leaves_the_other_places(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    environ = {"STATE_DIRECTORY": "/of/systemd"}
    assert state_directories(tmp_path / "config.toml", environ) == (Path("/of/systemd"), DEFAULT_STATE)
    assert state_directories(tmp_path / "missing.toml", {}) == (DEFAULT_STATE,)
