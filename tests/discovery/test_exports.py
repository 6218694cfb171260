from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.effective import Config
from artifactd.discovery import exports


def exporting_to(directory: Path, base: Path) -> Config:
    (base / "data").mkdir(exist_ok=True)
    path = base / "config.toml"
    path.write_text(
        f"""
        enable_artifacts_upload = true
        data_directory = "{base / "data"}"
        artifacts_file_system_directory = "{directory}"
        [artifactd]
        state_directory = "{base}-state"
        """
    )
    return load(path, {})


@pytest.mark.parametrize(
    ("directory", "inside", "around"),
    [
        ("data/exports", {b"exports"}, set()),
        ("data/deep/exports", {b"deep/exports"}, set()),
        ("data/..exports", {b"..exports"}, set()),
        ("exports", set(), set()),
        ("data-of-others", set(), set()),
        ("link", {b"exports"}, set()),
        (".", set(), {"file_system"}),
        ("data", set(), {"file_system"}),
    ],
)
def test_a_destination_lies_inside_the_data_directory_beside_it_or_around_it(
    tmp_path: Path, directory: str, inside: set[bytes], around: set[str]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data/exports")
    config = exporting_to(tmp_path / directory, tmp_path)
    assert exports.inside(config) == inside
    assert exports.around(config) == around


def test_a_directory_is_known_by_its_identity_once_it_is_there(tmp_path: Path) -> None:
    config = exporting_to(tmp_path / "exports", tmp_path)
    assert exports.identities(config) == frozenset()
    (tmp_path / "exports").mkdir()
    status = (tmp_path / "exports").stat()
    assert exports.identities(config) == {(status.st_dev, status.st_ino)}
