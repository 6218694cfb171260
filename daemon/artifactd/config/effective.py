"""The configuration as the rest of the daemon uses it, and what it shows of itself. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from artifactd.config.chosen import Destination
from artifactd.config.document import FIELDS, SECRETS, Document, Health, Limits, Log, Watch
from artifactd.config.layer import Setting
from artifactd.config.rules import as_written
from artifactd.config.values import shown
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import OnChange, Policy


class Row(NamedTuple):
    """One effective value."""

    key: str
    value: str
    """as TOML writes it; of a secret only "set" or "not set" """
    source: str


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration, complete and checked. Its `repr` holds no secret."""

    enabled: bool
    """whether anything is exported at all"""
    data_directory: Path
    """absolute, links resolved once"""
    named: Path
    """the data directory by the name that it was given: absolute, and perhaps a link"""
    destinations: tuple[Destination, ...]
    state_directory: Path
    """absolute"""
    on_change: OnChange
    ignore_case: bool
    """whether two keys of an experiment that differ only in case are one at the destination"""
    watch: Watch
    user: str | None
    """whose an experiment is where the layout has no user level; None: the owner of its folder"""
    policy: Policy
    limits: Limits
    retry: Backoff
    log: Log
    health: Health
    warnings: tuple[str, ...]
    """sentences for a person; nothing stops for them"""
    digest: str
    """SHA-256, 64 hex digits, of the effective values, whatever their source; secrets are left out"""
    rows: tuple[Row, ...] = field(repr=False)
    hidden: tuple[str, ...] = field(repr=False)
    """see `secrets`"""

    def secrets(self) -> Iterator[str]:
        """Every secret of the destinations, for whoever has to keep it out of what is shown.

        What Azure puts together comes whole and in parts: a signature can show without its token.
        """
        yield from self.hidden

    def effective(self) -> tuple[Row, ...]:
        """Every key with its value as shown and where it came from."""
        return self.rows

    def canonical(self) -> str:
        """The text whose SHA-256 is `digest`: every effective value but the secrets, as one JSON object."""
        return canonical(self.rows)


def named(config: Config) -> Iterator[tuple[str, Destination]]:
    """The configured destinations with their stores' names."""
    return ((destination.kind.value, destination) for destination in config.destinations)


def rows(document: Document, policy: Policy, settings: Mapping[str, Setting]) -> tuple[Row, ...]:
    """The rows of `config show`: each key in the order of the document, then the rules in theirs."""
    fields = (Row(key, _shown(key, document), _source(key, settings)) for key in FIELDS)
    source = _source("policy", settings)
    rules = (
        Row(f"policy.{number}", shown(as_written(rule)), source)
        for number, rule in enumerate(policy.rules, start=1)
    )
    return (*fields, *rules)


def canonical(effective: Iterable[Row]) -> str:
    """These rows' values as one JSON object in ASCII, without their sources and without secrets."""
    values = {row.key: row.value for row in effective if row.key not in SECRETS}
    return json.dumps(values, sort_keys=True)


def fingerprint(effective: Iterable[Row]) -> str:
    """SHA-256 of `canonical`."""
    return hashlib.sha256(canonical(effective).encode("ascii")).hexdigest()


def _source(key: str, settings: Mapping[str, Setting]) -> str:
    return settings[key].where if key in settings else "default"


def _shown(key: str, document: Document) -> str:
    table, _, leaf = key.rpartition(".")
    value: object = getattr(getattr(document, table) if table else document, leaf)
    if key in SECRETS:
        return "not set" if value is None else "set"
    return shown(value)
