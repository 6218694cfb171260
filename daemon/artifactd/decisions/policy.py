"""Which artifacts are wanted, under which key, and the reason why another is left alone. Pure."""

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Self

from artifactd.artifact import Artifact, Digest, InvalidKey, Key, Kind

MENU = (
    Kind.PYTHON_PIPELINE,
    Kind.MOJO_PIPELINE,
    Kind.TRAIN_PREDICTIONS,
    Kind.VALID_PREDICTIONS,
    Kind.TEST_PREDICTIONS,
    Kind.PREDICTIONS,
    Kind.SUMMARY,
    Kind.LOGS,
)
"""What the page "Exporting Artifacts" of Driverless AI's guide offers. Not AutoDoc, not datasets."""


class Action(StrEnum):
    """What a rule does with an artifact it matches."""

    EXPORT = "export"
    IGNORE = "ignore"


class OnChange(StrEnum):
    """What happens when an artifact that was exported gets other bytes."""

    REPLACE = "replace"
    KEEP_BOTH = "keep_both"
    REFUSE = "refuse"


class InvalidTemplate(ValueError):
    """A rule's `as` that cannot be filled in. The message says what may stand in it."""


FIELDS = ("name", "stem", "suffix", "path", "kind", "user", "experiment_id")
"""What may stand in braces in a rule's `as`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A rule's `as`: the copy's name below `<user>/<experiment_id>/`, with `{name}` and the like filled in.

    Raises:
        InvalidTemplate: `text` names an unknown field or its braces do not match.
    """

    text: str = "{name}"

    def __post_init__(self) -> None:
        try:
            used = [
                (field, spec, conversion)
                for _, field, spec, conversion in string.Formatter().parse(self.text)
                if field is not None
            ]
        except ValueError as error:
            raise InvalidTemplate(f"{self.text!r}: {error}") from None
        for field, spec, conversion in used:
            if field not in FIELDS or spec or conversion:
                allowed = ", ".join("{%s}" % name for name in FIELDS)  # noqa: UP031 - literal braces
                raise InvalidTemplate(f"{self.text!r}: {{{field}}} is not one of {allowed}")

    def fill(self, artifact: Artifact) -> str:
        """The name for `artifact`, parts joined by "/". It need not be a valid key."""
        name = _text(artifact.name)
        stem, dot, suffix = name.rpartition(".")
        return self.text.format(
            name=name,
            stem=stem if dot else name,
            suffix=dot + suffix if dot else "",
            path=_text(artifact.inside),
            kind=artifact.kind.value,
            user=artifact.user,
            experiment_id=artifact.experiment_id,
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[policy]]` rule. It matches where all its conditions hold; an empty condition always holds."""

    name: str
    action: Action = Action.EXPORT
    match: tuple[str, ...] = ()
    """globs on the path inside the experiment's folder; one without "/" looks at the file's name only"""
    kinds: tuple[Kind, ...] = ()
    users: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    min_size: int | None = None
    """bytes, inclusive"""
    max_size: int | None = None
    """bytes, inclusive"""
    template: Template = Template()

    def matches(self, artifact: Artifact, size: int) -> bool:
        """Whether this rule decides about `artifact` of `size` bytes."""
        return (
            (self.min_size is None or size >= self.min_size)
            and (self.max_size is None or size <= self.max_size)
            and (not self.kinds or artifact.kind in self.kinds)
            and (not self.users or _names(self.users)(_nfc(artifact.user)))
            and (not self.experiments or _names(self.experiments)(_nfc(artifact.experiment_id)))
            and (not self.match or _paths(self.match)(_nfc(_text(artifact.inside))))
        )


# Compiled once: matching a million artifacts again on every scan is then a second or two.
@cache
def _names(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    from wcmatch import fnmatch  # noqa: PLC0415 - a policy without patterns starts sooner

    flags = fnmatch.BRACE | fnmatch.DOTMATCH | fnmatch.FORCEUNIX | fnmatch.CASE
    return fnmatch.compile([_nfc(pattern) for pattern in patterns], flags=flags).match


@cache
def _paths(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    from wcmatch import glob  # noqa: PLC0415 - as above

    flags = glob.GLOBSTAR | glob.MATCHBASE | glob.BRACE | glob.DOTGLOB | glob.FORCEUNIX | glob.CASE
    return glob.compile([_nfc(pattern) for pattern in patterns], flags=flags).match


def _nfc(text: str) -> str:
    """One spelling for what looks the same, or a rule that leaves "josé" out would miss his other one."""
    return unicodedata.normalize("NFC", text)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


BY_HAND = "by hand"
"""In place of a rule's name, where a person asked for the copy."""

BUILT_IN = (Rule(name="built-in: export menu", kinds=MENU),)
"""The policy where `config.toml` has no rule."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The artifact is to be exported to `key`."""

    key: Key
    rule: str


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """The artifact is not to be exported."""

    reason: str
    rule: str | None
    """the rule that says so; None where no rule names the artifact"""

    @property
    def on_record(self) -> bool:
        """Whether the skip goes on record: a person's rule said so.

        What no rule names is the folder's own clutter.
        """
        return self.rule is not None


@dataclass(frozen=True, slots=True)
class Unnameable:
    """The artifact is wanted, but no key can be made for it: a person has to rename it or the rule."""

    reason: str
    rule: str
    key: Key | None = None
    """the one that a copy of it keeps which had it before such keys were refused"""


Decision = Wanted | LeftAlone | Unnameable


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules; the first that matches decides."""

    rules: tuple[Rule, ...] = BUILT_IN

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Self:
        """The policy of these rules; the built-in one where there are none."""
        return cls(tuple(rules) or BUILT_IN)

    def decide(self, artifact: Artifact, size: int) -> Decision:
        """What is to be done with `artifact` of `size` bytes, by the first rule that matches."""
        for rule in self.rules:
            if rule.matches(artifact, size):
                if rule.action is Action.IGNORE:
                    return LeftAlone(f"rule {rule.name!r} ignores it", rule.name)
                return _wanted(artifact, rule.template.fill(artifact), rule.name)
        return LeftAlone("no rule names it", None)

    def by_hand(self, artifact: Artifact, size: int, name: str | None) -> Decision:
        """What is to be done when a person asks for `artifact`: exported, unless a rule ignores it.

        `name` is the name the person gave the copy; None for the file's own.
        """
        decided = self.decide(artifact, size)
        if isinstance(decided, LeftAlone) and decided.rule is not None:
            return decided
        if name is None and isinstance(decided, Wanted):
            return decided
        return _wanted(artifact, Template().fill(artifact) if name is None else name, BY_HAND)


RESERVED = "_artifactd"
"""The first part of keys under which artifactd keeps records of its own in every store."""


def _wanted(artifact: Artifact, name: str, rule: str) -> Wanted | Unnameable:
    if artifact.user == RESERVED:
        return Unnameable(f"keys below {RESERVED}/ are artifactd's own", rule)
    try:
        key = Key.of(artifact.user, artifact.experiment_id, *name.split("/"))
    except InvalidKey as error:
        return Unnameable(f"no key can be made: {error}", rule)
    if (deception := key.deception) is not None:
        return Unnameable(f"no key can be made: {deception}", rule, key)
    return Wanted(key, rule)


_SUFFIX_DIGITS = 12
"""48 bits of the digest: two versions of one artifact will not meet."""


def beside(key: Key, digest: Digest) -> Key:
    """The key for another version of the artifact at `key`, told apart by its digest.

    `mojo.zip` becomes `mojo.1f2e3d4c5b6a.zip`.

    Raises:
        InvalidKey: the longer name no longer fits.
    """
    tag = digest[:_SUFFIX_DIGITS]
    return key.renamed(re.sub(r"(?<=.)(\.[A-Za-z0-9]{1,8})?\Z", rf".{tag}\1", key.name, count=1))
