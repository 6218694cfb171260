"""A directory as a destination: where it may lie."""

from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.destinations.file_system import FileSystem


@pytest.mark.parametrize("destination", ["data", "data/exports", "data/not-there-yet", "elsewhere"])
def test_the_destination_may_be_any_directory_without_experiments_of_its_own(
    destination: str, tmp_path: Path
) -> None:
    (tmp_path / "data/exports/alice/one").mkdir(parents=True)
    (tmp_path / "data/h2oai_experiment_two").mkdir()
    text = f'data_directory = "data"\nartifacts_file_system_directory = "{destination}"'
    (tmp_path / "config.toml").write_text(text)
    (found,) = load(tmp_path / "config.toml", {}).destinations
    assert isinstance(found, FileSystem)
    assert found.directory == tmp_path / destination
