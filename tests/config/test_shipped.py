"""The `config.toml` in the project's root: reference and quick start at once."""

import re
from pathlib import Path

import tomli

from artifactd.artifact import Kind
from artifactd.config.assemble import load
from artifactd.config.document import FIELDS, TABLES
from artifactd.config.effective import Config
from artifactd.config.rules import RULE_KEYS
from artifactd.config.secrets import FILE_KEYS
from artifactd.decisions.policy import BUILT_IN
from artifactd.decisions.policy import FIELDS as NAME_FIELDS

SHIPPED = Path(__file__).parents[2] / "config.toml"
QUICK_START = {
    "enable_artifacts_upload": True,
    "data_directory": "demo/data",
    "artifacts_file_system_directory": "demo/exports",
    "artifactd.state_directory": "demo/state",
}


def uncommented(without: str = "") -> str:
    """The file with every setting in effect, and without the lines that `without` matches."""
    text = re.sub(r'^#(?=[a-z_"\]\[])', "", SHIPPED.read_text(), flags=re.MULTILINE)
    return re.sub(without, "", text, flags=re.MULTILINE) if without else text


def flattened(text: str) -> dict[str, object]:
    content = tomli.loads(text)
    tables = {f"{name}.{key}": value for name in TABLES for key, value in content.get(name, {}).items()}
    return {key: value for key, value in content.items() if key not in {*TABLES, "policy"}} | tables


def values(config: Config) -> dict[str, str]:
    return {row.key: row.value for row in config.effective() if not row.key.startswith("policy")}


def test_as_shipped_it_is_the_quick_start() -> None:
    assert flattened(SHIPPED.read_text()) == QUICK_START
    config = load(SHIPPED, {})
    assert config.enabled
    assert config.data_directory == SHIPPED.parent.resolve() / "demo/data"
    assert config.state_directory == SHIPPED.parent / "demo/state"
    assert config.warnings == ()
    assert config.policy.rules == BUILT_IN


def test_it_names_every_key_and_no_other() -> None:
    assert flattened(uncommented()).keys() == {*FIELDS, *FILE_KEYS}


def test_every_default_it_shows_is_the_default_in_the_code(tmp_path: Path) -> None:
    quick_start = "^({}) = .*$".format("|".join(key.rpartition(".")[2] for key in QUICK_START))
    (tmp_path / "shown.toml").write_text(uncommented(without=quick_start))
    (tmp_path / "empty.toml").write_text("")
    shown, empty = (load(tmp_path / name, {}) for name in ("shown.toml", "empty.toml"))
    assert values(shown) == values(empty)


def test_it_loads_with_every_setting_in_effect(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(uncommented())
    example, built_in = load(tmp_path / "config.toml", {}).policy.rules
    assert (built_in,) == BUILT_IN
    assert example.name == "no large logs of contractors"


def test_it_explains_the_policy_with_every_key_kind_and_field() -> None:
    text = SHIPPED.read_text()
    example = tomli.loads(uncommented())["policy"][0]
    assert example.keys() == set(RULE_KEYS)
    assert [word for word in (*Kind, *(f"{{{field}}}" for field in NAME_FIELDS)) if word not in text] == []
