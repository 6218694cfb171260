"""What one source says, and how a higher one goes over a lower one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from artifactd.config.document import PLACES, SECRETS
from artifactd.config.problem import Problem
from artifactd.config.values import Hidden


@dataclass(frozen=True, slots=True)
class Origin:
    """A source of settings."""

    name: str
    """the file as it was named, "environment", "default", …"""
    directory: Path
    """what a relative path means here; absolute"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key's value as a source gives it, unchecked. A secret is wrapped before anything could show it."""

    key: str
    value: object
    origin: Origin
    name: str
    """the key as it is spelled there"""

    @classmethod
    def of(cls, key: str, value: object, origin: Origin, name: str | None = None) -> "Setting":
        """The setting, with a secret wrapped and a relative path made absolute."""
        if isinstance(value, str) and key in SECRETS:
            value = Hidden(value)
        elif isinstance(value, str) and key in PLACES and value:
            value = str(origin.directory / value)
        return cls(key, value, origin, name or key)

    @property
    def where(self) -> str:
        """The source for a person: with the spelling where it is another one."""
        return self.origin.name if self.name == self.key else f"{self.origin.name} {self.name}"

    def problem(self, mend: str, found: str | None = None) -> Problem:
        """A problem with this setting."""
        return Problem(self.origin.name, self.name, mend, found)


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source or of several merged, with what was met while reading them."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    def under(self, higher: "Layer") -> "Layer":
        """Both, where `higher` decides about the keys that both set."""
        return Layer(
            {**self.settings, **higher.settings},
            self.problems + higher.problems,
            self.warnings + higher.warnings,
        )
