"""From merged settings to the configuration, or to everything that is wrong with them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from artifactd.config import location, secrets
from artifactd.config.chosen import chosen
from artifactd.config.destinations.file_system import within
from artifactd.config.destinations.kinds import Settings as StoreSettings
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.document import DISCREET, FIELDS, Document
from artifactd.config.effective import Config, fingerprint, rows
from artifactd.config.layer import Layer, Origin, Setting
from artifactd.config.listen import Unix, exposed
from artifactd.config.problem import ConfigError, Problem
from artifactd.config.rules import parsed as parsed_rules
from artifactd.config.rules import used_twice
from artifactd.config.sources import gather
from artifactd.config.values import Hidden, excerpt, unquoted
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import Policy, Rule

Settings = Mapping[str, Setting]


def load(path: Path | None, environ: Mapping[str, str], *, touching: bool = True) -> Config:
    """The configuration in the file at `path`; None: $ARTIFACTD_CONFIG, else /etc/artifactd/config.toml.

    Reads files and writes none. Unless `touching`, no destination is looked at, since its mount may hang: for
    who uses none. What is wrong with its place then stays unknown.

    Raises:
        ConfigError: something is wrong, a missing file included. It holds every problem and no secret.
    """
    return assemble(gather(location.chosen(path, environ), environ), touching=touching)


def load_beside(path: Path | None, environ: Mapping[str, str], *, touching: bool = True) -> Config:
    """`load` for a command: of the service's own configuration, with the secrets that the service gets."""
    if location.chosen(path, environ) == location.DEFAULT_PATH:
        environ = secrets.beside_the_service(environ)
    return load(path, environ, touching=touching)


def assemble(found: Layer, *, touching: bool = True) -> Config:
    """The configuration that `found` describes. `touching`: see `load`.

    Raises:
        ConfigError: it has problems, those met while reading among them.
    """
    parsed = _parse(found.settings)
    document = _resolved(parsed.document)
    stores = {kind: chosen(kind, document) for kind in document.artifacts_store}
    looked_at = {kind: store for kind, store in stores.items() if touching or not store.touches}
    conflicts = _conflicts(document, found.settings, parsed.faulty, looked_at)
    if problems := (*found.problems, *parsed.problems, *conflicts):
        raise ConfigError(problems)
    policy = Policy.of(document.policy)
    effective = rows(document, policy, found.settings)
    return Config(
        enabled=document.enable_artifacts_upload,
        data_directory=document.data_directory,
        named=parsed.document.data_directory,
        destinations=tuple(store.destination() for store in stores.values()),
        state_directory=document.artifactd.state_directory,
        on_change=document.artifactd.on_change,
        ignore_case=document.artifactd.ignore_case,
        watch=document.watch,
        user=document.layout.user,
        policy=policy,
        limits=document.limits,
        retry=Backoff(**asdict(document.retry)),
        log=document.log,
        health=document.health,
        warnings=(*found.warnings, *_quoted(found.settings), *_doubts(document, looked_at.values())),
        digest=fingerprint(effective),
        rows=effective,
        hidden=tuple(secret for store in stores.values() for secret in store.secrets()),
    )


@dataclass(frozen=True, slots=True)
class _Parsed:
    document: Document
    problems: tuple[Problem, ...] = ()
    faulty: frozenset[str] = frozenset()
    """keys that `document` has at their default because what was set is wrong"""


def _parse(settings: Settings) -> _Parsed:
    """The document of `settings`, without the faulty ones, so that what is left can be checked as well."""
    found: dict[str, object] = {}
    problems: dict[str, Sequence[Problem]] = {}
    for key in filter(settings.__contains__, FIELDS):
        setting = settings[key]
        try:
            found[key] = FIELDS[key].parse(setting.value)
        except ValueError as error:
            shown = None if key in DISCREET else excerpt(setting.value)
            problems[key] = (setting.problem(f"allowed: {error}", shown),)
    policy: tuple[Rule, ...] = ()
    if (asked := settings.get("policy")) is not None:
        rules = list(parsed_rules(asked.value, asked.origin.name))
        policy = tuple(one for one in rules if isinstance(one, Rule))
        if wrong := [one for one in rules if isinstance(one, Problem)]:
            problems["policy"] = wrong
    return _Parsed(
        Document.of(found, policy), tuple(chain.from_iterable(problems.values())), frozenset(problems)
    )


def _resolved(document: Document) -> Document:
    """`document` with the links of its data directory resolved: to move one changes nothing by itself."""
    return replace(document, data_directory=Path(os.path.realpath(document.data_directory)))


def _conflicts(
    document: Document,
    settings: Settings,
    faulty: frozenset[str],
    stores: Mapping[StoreKind, StoreSettings],
) -> Iterator[Problem]:
    """What is wrong between values that are right each by itself. A `faulty` key is not called missing."""
    state = document.artifactd.state_directory
    if within(state, document.data_directory):
        mend = f"{state} lies in the data directory, where nothing may be added; choose another directory"
        yield _blame("artifactd.state_directory", settings).problem(mend)
    asked = document.health.listen
    if isinstance(asked, Unix) and within(asked.path, document.data_directory):
        mend = f"{asked.path} lies in the data directory, where nothing may be added; choose another place"
        yield _blame("health.listen", settings).problem(mend)
    first, cap = document.retry.first_seconds, document.retry.cap_seconds
    if first > cap:
        mend = f"{first:g} s are more than retry.cap_seconds, {cap:g} s: no wait is longer than that"
        yield _blame("retry.first_seconds", settings).problem(mend)
    for kind, store in stores.items():
        yield from _store_problems(kind, store, settings, faulty)
    for name in used_twice(_blame("policy", settings).value):
        yield _blame("policy", settings).problem(
            f"two rules are named {name!r}; each needs a name of its own"
        )


def _store_problems(
    kind: StoreKind, said: StoreSettings, settings: Settings, faulty: frozenset[str]
) -> Iterator[Problem]:
    store = _blame("artifacts_store", settings)
    for keys, needed in said.missing():
        if faulty.isdisjoint(keys):
            mend = f"missing; artifacts_store names {kind}, which needs {needed}"
            yield Problem(store.origin.name, keys[0], mend)
    for keys, mend in said.clashes():
        if faulty.isdisjoint(keys):
            yield _blame(keys[0], settings).problem(mend)


def _blame(key: str, settings: Settings) -> Setting:
    return settings.get(key) or Setting(key, None, Origin("default", Path()), key)


def _quoted(settings: Settings) -> Iterator[str]:
    """Secrets between quotes that are a part of them: of files only, an environment's were taken off."""
    for setting in settings.values():
        secret = setting.value.text if isinstance(setting.value, Hidden) else ""
        if unquoted(secret) != secret:
            yield (
                f"{setting.origin.name}: {setting.name}: the secret begins and ends with quotes, which are "
                "taken for a part of it; mend: take them away, unless they are"
            )


def _doubts(document: Document, stores: Iterable[StoreSettings]) -> Iterator[str]:
    """What is allowed but seldom meant."""
    if exposed(document.health.listen):
        yield (
            f"health.listen: other machines can reach {document.health.listen}, without a password and "
            "unencrypted; mend: 127.0.0.1, [::1] or a unix socket, unless your network keeps others away"
        )
    if document.enable_artifacts_upload:
        for store in stores:
            yield from store.doubts()
