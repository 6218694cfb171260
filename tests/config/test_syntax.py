"""A file that is no TOML is told with its place, key and usual cause; nothing of its values is shown."""

from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.problem import ConfigError

CANARY = "correct-horse"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "\nenable_artifacts_upload = True",
            "enable_artifacts_upload: line 2, column 27: Invalid value; TOML writes true and false",
        ),
        (
            "[watch]\n quiet_seconds = yes",
            "watch.quiet_seconds: line 2, column 18: Invalid value; TOML writes",
        ),
        ("\ufeffdata_directory = 'x'", "begins with a byte order mark: save it as UTF-8 without BOM"),
        ("data_directory = 'x'\n\ndata_directory = 'y'", "data_directory: line 3, column "),
        (
            "[log]\nlevel = 'info'\n[watch]\nquiet_seconds = 1\n\nquiet_seconds = 2",
            "watch.quiet_seconds: line 6, column 18: Cannot overwrite a value; the same key stands in line 4",
        ),
        (
            "[log]\n[s3]\n[log]",
            "line 3, column 5: Cannot declare ('log',) twice; the same table begins in line 1",
        ),
        (
            "log.level = 1\n[log]\n",
            "line 2, column 5: Cannot declare ('log',) twice; something of this name st",
        ),
        (
            "data_directory = /opt/x",
            "data_directory: line 1, column 18: Invalid value; a text or a path stands",
        ),
        (
            "artifacts_store = S3",
            "artifacts_store: line 1, column 19: Invalid value; a text or a path stands be",
        ),
        (
            "data_directory = “x”",
            "data_directory: line 1, column 18: Invalid value; a text stands between plain",
        ),
        ("data_directory =", "data_directory: line 1, column 17: Invalid value; the value is missing"),
        ("data_directory = # x", "data_directory: line 1, column 18: Invalid value; the value is missing"),
        (
            "data_directory: 'x'",
            "line 1, column 15: Expected '=' after a key in a key/value pair; a setting is ",
        ),
        (
            'data_directory = "x\n',
            "data_directory: line 1, column 20: Illegal character '\\n'; the quote at the",
        ),
        (
            "data_directory = 'x\n",
            'line 2, column 1: Expected "\'"; the quote at the end of the line above is',
        ),
        (
            'data_directory = "C:\\Users"',
            "data_directory: line 1, column 23: Invalid hex value; between double q",
        ),
        (
            "data_directory = 'it's'",
            "data_directory: line 1, column 22: Expected newline or end of document af",
        ),
        (
            'data_directory = "C:\\opt"',
            "data_directory: line 1, column 23: Unescaped '\\' in a string; between double quotes",
        ),
        ("// a note", "line 1, column 1: Invalid statement; a setting is written key = value, and a comment"),
        ("[watch\n", "line 1, column 7: Expected ']' at the end of a table declaration; the ] at the end is"),
        (
            "[watch]\nquiet_seconds = 2,0",
            (
                "watch.quiet_seconds: line 2, column 18: Expected newline or end of document after a"
                " statement; a number has a point, and no comma"
            ),
        ),
        (
            "[watch]\nquiet_seconds = 2s",
            (
                "watch.quiet_seconds: line 2, column 18: Expected newline or end of document after a"
                " statement; a number stands without a unit"
            ),
        ),
        ("kinds = [", "line 1, column 10: Invalid value; the value is missing"),
        ("secret-as-a-key = x", "line 1, column 19: Invalid value; a text or a path stands between quotes"),
        (
            f"aws_secret_access_key = {CANARY}",
            "aws_secret_access_key: line 1, column 25: Invalid value; a text or a path stands between quotes",
        ),
    ],
)
def test_what_is_no_toml_is_told_with_its_key_and_the_usual_cause(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", {})
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/config.toml: {told}")
    assert CANARY not in str(problem)
