"""From merged settings to the configuration, or to everything that is wrong with them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from artifactd.config.chosen import chosen
from artifactd.config.destinations.file_system import within
from artifactd.config.destinations.kinds import Settings as StoreSettings
from artifactd.config.destinations.kinds import StoreKind
from artifactd.config.document import DISCREET, TABLES, Document
from artifactd.config.effective import Config, fingerprint, rows
from artifactd.config.layer import Layer, Origin, Setting
from artifactd.config.listen import Unix, exposed
from artifactd.config.problem import ConfigError, Problem, nearest
from artifactd.config.rules import RULE_KEYS, used_twice
from artifactd.config.values import shown, unquoted
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.policy import Policy

Settings = Mapping[str, Setting]


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
    policy = Policy.of([table.rule for table in document.policy])
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
        retry=Backoff(**document.retry.model_dump()),
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
    try:
        return _Parsed(Document.model_validate(_nested(settings)))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
    faulty = frozenset(_key(error) for error in errors)
    rest = _parse({key: setting for key, setting in settings.items() if key not in faulty})
    return _Parsed(rest.document, tuple(_problem(error, settings) for error in errors), faulty)


def _nested(settings: Settings) -> dict[str, object]:
    tables: dict[str, dict[str, object]] = {name: {} for name in TABLES}
    flat: dict[str, object] = {}
    for key, setting in settings.items():
        table, dot, leaf = key.partition(".")
        (tables[table] if dot else flat)[leaf or table] = setting.value
    return flat | tables


def _key(error: ErrorDetails) -> str:
    first, *rest = map(str, error["loc"])
    return f"{first}.{rest[0]}" if first in TABLES else first


def _problem(error: ErrorDetails, settings: Settings) -> Problem:
    key = _key(error)
    setting = settings[key]
    allowed = f"allowed: {error['msg'].removeprefix('Value error, ')}"
    if key == "policy" and len(error["loc"]) > 1:
        return _rule_problem(error, setting, allowed)
    return setting.problem(allowed, None if key in DISCREET else _excerpt(error["input"]))


def _rule_problem(error: ErrorDetails, setting: Setting, allowed: str) -> Problem:
    _, number, *keys = error["loc"]
    where = ".".join(map(str, (_rule_label(setting.value, int(number)), *keys)))
    match error["type"]:
        case "missing":
            return Problem(setting.origin.name, where, "missing; the record names the rule that decided")
        case "extra_forbidden":
            close = nearest(str(keys[-1]), RULE_KEYS)
            known = f"did you mean {close}?" if close else f"a rule has {', '.join(RULE_KEYS)}"
            return Problem(setting.origin.name, where, f"unknown key; {known}")
        case _:
            return Problem(setting.origin.name, where, allowed, _excerpt(error["input"]))


def _rule_label(rules: object, index: int) -> str:
    rule = rules[index] if isinstance(rules, list) else None
    name = rule.get("name") if isinstance(rule, dict) else None
    return f"policy.{index + 1} ({name})" if isinstance(name, str) and name else f"policy.{index + 1}"


_EXCERPT = 80
"""characters of a wrong value that are shown"""


def _excerpt(value: object) -> str:
    text = shown(value)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"


def _resolved(document: Document) -> Document:
    """`document` with the links of its data directory resolved: to move one changes nothing by itself."""
    return document.model_copy(update={"data_directory": Path(os.path.realpath(document.data_directory))})


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
        secret = setting.value.get_secret_value() if isinstance(setting.value, SecretStr) else ""
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
