"""One `[[policy]]` table → one rule of the policy, or what is wrong with it. Pure."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Annotated

from pydantic import Field, PlainValidator, ValidationInfo, field_validator

from artifactd.artifact import Artifact, InvalidKey, Key, Kind
from artifactd.config.values import Table, named, names_of, one_of, optional, size
from artifactd.decisions.policy import FIELDS, Action, InvalidTemplate, Rule, Template

_PROBE = Artifact(
    path=b"h2oai_experiment_x/x.csv", user="x", experiment_id="x", inside=b"x.csv", kind=Kind.OTHER
)

Patterns = tuple[str, ...]


def _patterns(value: object) -> Patterns:
    """One pattern or an array of them. A comma does not part them: it has a meaning inside braces."""
    patterns = tuple(value) if isinstance(value, list) else (value,)
    if not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ValueError("a pattern in quotes or an array of them, none empty")
    return patterns


def _tried(rule: Callable[[Patterns], Rule], value: object) -> Patterns:
    """The patterns of `value`, after `rule` of them has met an artifact once."""
    patterns = _patterns(value)
    try:
        rule(patterns).matches(_PROBE, 0)
    except Exception as error:  # noqa: BLE001 - wcmatch's limit on braces has no public name
        raise ValueError(f"patterns that can be matched with ({error})") from None
    return patterns


def _globs(value: object) -> Patterns:
    patterns = _tried(lambda patterns: Rule("probe", match=patterns), value)
    if any(pattern.startswith("/") for pattern in patterns):
        raise ValueError("patterns on the path inside the experiment's folder: none starts with /")
    return patterns


_users = partial(_tried, lambda patterns: Rule("probe", users=patterns))
_experiments = partial(_tried, lambda patterns: Rule("probe", experiments=patterns))


def _template(value: object) -> Template:
    try:
        template = Template(named(value))
        key = Key.of("x", "x", *template.fill(_PROBE).split("/"))
    except InvalidTemplate:
        fields = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise ValueError(f"a name in which braces hold nothing but {fields}") from None
    except InvalidKey as error:
        raise ValueError(f"a name that a copy can have, for x.csv too ({error})") from None
    if key.deception is not None:
        raise ValueError(f"a name that a copy can have, for x.csv too ({key.deception})")
    return template


class RuleTable(Table):
    """The keys of one `[[policy]]` table."""

    name: Annotated[str, PlainValidator(named)]
    action: Annotated[Action, PlainValidator(one_of(Action))] = Action.EXPORT
    match: Annotated[Patterns, PlainValidator(_globs)] = ()
    kinds: Annotated[tuple[Kind, ...], PlainValidator(names_of(Kind))] = ()
    users: Annotated[Patterns, PlainValidator(_users)] = ()
    experiments: Annotated[Patterns, PlainValidator(_experiments)] = ()
    min_size: Annotated[int | None, PlainValidator(optional(size))] = None
    max_size: Annotated[int | None, PlainValidator(optional(size))] = None
    template: Annotated[Template, PlainValidator(_template)] = Field(Template(), alias="as")

    @field_validator("max_size")
    @classmethod
    def _matches_some_size(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("min_size")
        if value is not None and least is not None and value < least:
            raise ValueError(f"at least min_size, which is {least}; this rule would match nothing")
        return value

    @property
    def rule(self) -> Rule:
        """The rule of these keys."""
        return Rule(**{name: getattr(self, name) for name in type(self).model_fields})


RULE_KEYS = tuple(field.alias or name for name, field in RuleTable.model_fields.items())
"""The keys of a `[[policy]]` table, as they are written."""


def tables(value: object) -> list[object]:
    """An array of tables."""
    if not isinstance(value, list):
        raise ValueError("rules, each starting with a line [[policy]]")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def used_twice(rules: object) -> list[str]:
    """The names that several of `rules`, as TOML gave them, have: the record would not tell them apart."""
    given = rules if isinstance(rules, list) else []
    counts = Counter(
        rule["name"] for rule in given if isinstance(rule, dict) and isinstance(rule.get("name"), str)
    )
    return [name for name, count in counts.items() if count > 1]


def as_written(rule: Rule) -> dict[str, object]:
    """The keys that make `rule`, without those that say nothing."""
    keys: dict[str, object] = {
        "name": rule.name,
        "action": rule.action,
        "match": rule.match,
        "kinds": rule.kinds,
        "users": rule.users,
        "experiments": rule.experiments,
        "min_size": rule.min_size,
        "max_size": rule.max_size,
        "as": rule.template.text,
    }
    return {key: value for key, value in keys.items() if value not in ((), None, Template().text)}
