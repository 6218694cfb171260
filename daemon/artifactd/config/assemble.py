"""From merged settings to the configuration, or to everything that is wrong with them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from artifactd.backoff import Backoff
from artifactd.config import repository
from artifactd.config.destination import S3, SUPPORTED, Azure, Destination, FileSystem, StoreKind
from artifactd.config.document import DISCREET, TABLES, Document
from artifactd.config.effective import Config, fingerprint, rows
from artifactd.config.layer import Layer, Origin, Setting
from artifactd.config.problem import ConfigError, Problem, nearest
from artifactd.config.rules import RULE_KEYS, used_twice
from artifactd.config.values import shown
from artifactd.layout import is_experiment
from artifactd.policy import Policy

Settings = Mapping[str, Setting]


def assemble(found: Layer) -> Config:
    """The configuration that `found` describes.

    Raises:
        ConfigError: it has problems, those met while reading among them.
    """
    parsed = _parse(found.settings)
    document = _resolved(parsed.document)
    problems = (*found.problems, *parsed.problems, *_conflicts(document, found.settings, parsed.faulty))
    if problems:
        raise ConfigError(problems)
    policy = Policy.of([table.rule for table in document.policy])
    effective = rows(document, policy, found.settings)
    return Config(
        enabled=document.enable_artifacts_upload,
        data_directory=document.data_directory,
        destinations=tuple(_destination(kind, document) for kind in document.artifacts_store),
        state_directory=document.artifactd.state_directory,
        on_change=document.artifactd.on_change,
        watch=document.watch,
        user=document.layout.user,
        policy=policy,
        limits=document.limits,
        retry=Backoff(**document.retry.model_dump()),
        log=document.log,
        warnings=(*found.warnings, *_doubts(document)),
        digest=fingerprint(effective),
        rows=effective,
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
    """`document` with the links of its data directory resolved: a link moved later changes nothing."""
    return document.model_copy(update={"data_directory": Path(os.path.realpath(document.data_directory))})


def _conflicts(document: Document, settings: Settings, faulty: frozenset[str]) -> Iterator[Problem]:
    """What is wrong between values that are right each by itself. A `faulty` key is not called missing."""
    state = document.artifactd.state_directory
    if _within(state, document.data_directory):
        mend = f"{state} lies in the data directory, where nothing may be added; choose another directory"
        yield _blame("artifactd.state_directory", settings).problem(mend)
    if StoreKind.FILE_SYSTEM in document.artifacts_store and _holds_experiments(document):
        mend = "it is a folder of the data directory with experiments in it; choose a directory of its own"
        yield _blame("artifacts_file_system_directory", settings).problem(mend)
    if StoreKind.BITBUCKET in document.artifacts_store:
        yield from (_blame(key, settings).problem(mend) for key, mend in repository.problems(document))
    store = _blame("artifacts_store", settings)
    for kind in document.artifacts_store:
        if kind not in SUPPORTED:
            yield store.problem(
                f"'{kind}' is not supported by this version; supported: {', '.join(SUPPORTED)}"
            )
        for key, needed in _missing(kind, document):
            if key not in faulty:
                yield Problem(
                    store.origin.name, key, f"missing; artifacts_store names {kind}, which needs {needed}"
                )
    for name in used_twice(_blame("policy", settings).value):
        yield _blame("policy", settings).problem(
            f"two rules are named {name!r}; each needs a name of its own"
        )


def _holds_experiments(document: Document) -> bool:
    """Whether the destination is a user's folder: what lies there is passed over, artifacts too."""
    directory = document.artifacts_file_system_directory
    if not _within(directory, document.data_directory) or os.path.realpath(directory) == str(
        document.data_directory
    ):
        return False
    try:
        return any(is_experiment(os.fsencode(entry.name)) for entry in directory.iterdir())
    except OSError:
        return False  # not there yet, or not readable: `check` tells of that


def _blame(key: str, settings: Settings) -> Setting:
    return settings.get(key) or Setting(key, None, Origin("default", Path()), key)


def _missing(kind: StoreKind, document: Document) -> Iterator[tuple[str, str]]:
    """Keys that a destination of this kind cannot do without, each with what is needed."""
    match kind:
        case StoreKind.FILE_SYSTEM:
            return
        case StoreKind.S3:
            if not document.artifacts_s3_bucket:
                yield "artifacts_s3_bucket", "a bucket"
        case StoreKind.BITBUCKET:
            if not document.artifacts_git_repo:
                yield "artifacts_git_repo", "a repository"
        case StoreKind.AZURE:
            shared = document.artifacts_azure_blob_account_key or document.artifacts_azure_sas_token
            account = document.artifacts_azure_blob_account_name and shared
            if not account and not document.artifacts_azure_connection_string:
                yield (
                    "artifacts_azure_connection_string",
                    "it, or an account name with an account key or a SAS token",
                )
        case _:
            assert_never(kind)


def _destination(kind: StoreKind, document: Document) -> Destination:
    match kind:
        case StoreKind.FILE_SYSTEM:
            return FileSystem(
                directory=document.artifacts_file_system_directory,
                file_mode=document.file_system.file_mode,
                directory_mode=document.file_system.directory_mode,
            )
        case StoreKind.S3:
            return S3(
                bucket=document.artifacts_s3_bucket,
                region=document.aws_default_region,
                endpoint_url=document.aws_s3_endpoint_url,
                access_key_id=document.aws_access_key_id,
                secret_access_key=document.aws_secret_access_key,
                role_arn=document.aws_role_arn,
                use_ec2_role_credentials=document.aws_use_ec2_role_credentials,
                skip_cert_verification=document.s3_skip_cert_verification,
                cert_location=document.s3_connector_cert_location,
            )
        case StoreKind.BITBUCKET:
            return repository.destination(document)
        case StoreKind.AZURE:
            return Azure(
                account_name=document.artifacts_azure_blob_account_name,
                account_key=document.artifacts_azure_blob_account_key,
                connection_string=document.artifacts_azure_connection_string,
                sas_token=document.artifacts_azure_sas_token,
            )
        case _:
            assert_never(kind)


def _doubts(document: Document) -> Iterator[str]:
    """What is allowed but seldom meant."""
    if document.enable_artifacts_upload and StoreKind.BITBUCKET in document.artifacts_store:
        yield from repository.doubts(document)
    directory = document.artifacts_file_system_directory
    used = document.enable_artifacts_upload and StoreKind.FILE_SYSTEM in document.artifacts_store
    if used and _within(directory, document.data_directory):
        yield (
            f"artifacts_file_system_directory: {directory} lies in the data directory; exports are never "
            "exported again, but Driverless AI's support advises to add nothing there"
        )


def _within(path: Path, directory: Path) -> bool:
    """Whether `path`, its links resolved, is `directory` or lies below it."""
    return Path(os.path.realpath(path)).is_relative_to(directory)
