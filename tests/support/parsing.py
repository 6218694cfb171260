"""What the configuration makes of a value, and of a file."""

from collections.abc import Callable
from pathlib import Path

from artifactd.config.assemble import load
from artifactd.config.problem import ConfigError


def taken(parse: Callable[[object], object], value: object) -> bool:
    """Whether `parse` takes the value; one that it refuses it says what is allowed instead."""
    try:
        parse(value)
    except ValueError as error:
        return not str(error)
    return True


def loaded(text: str, tmp_path: Path, *, enabled: bool = True) -> tuple[str, ...]:
    """The problems' lines, or the warnings where there is no problem."""
    path = tmp_path / "config.toml"
    path.write_text(f"enable_artifacts_upload = {str(enabled).lower()}\n{text}")
    path.chmod(0o600)
    try:
        return load(path, {}).warnings
    except ConfigError as error:
        return tuple(str(problem).removeprefix(f"{path}: ") for problem in error.problems)
