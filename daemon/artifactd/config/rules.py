"""`[[policy]]` tables → the rules of the policy, or what is wrong with them. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from artifactd.artifact import Artifact, InvalidKey, Key, Kind
from artifactd.config.problem import Problem, nearest
from artifactd.config.values import excerpt, named, names_of, one_of, optional, size
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


_PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "name": named,
    "action": one_of(Action),
    "match": _globs,
    "kinds": names_of(Kind),
    "users": _users,
    "experiments": _experiments,
    "min_size": optional(size),
    "max_size": optional(size),
    "as": _template,
}

RULE_KEYS: Final = tuple(_PARSERS)
"""The keys of a `[[policy]]` table, as they are written."""


_BEGIN: Final = "starting with a line [[policy]]"


def parsed(value: object, source: str) -> Iterator[Rule | Problem]:
    """The rules in the array of tables that `source` sets; in place of one, all that is wrong with it."""
    if not isinstance(value, list):
        yield Problem(source, "policy", f"allowed: rules, each {_BEGIN}", excerpt(value))
        return
    for number, table in enumerate(value, start=1):
        place = f"policy.{number}"
        if isinstance(table, dict):
            yield from _rule(table, source, place)
        else:
            yield Problem(source, place, f"allowed: a table, {_BEGIN}", excerpt(table))


def _rule(table: Mapping[str, object], source: str, place: str) -> Sequence[Rule | Problem]:
    name = table.get("name")
    label = f"{place} ({name})" if isinstance(name, str) and name else place
    found: dict[str, Any] = {}
    problems: list[Problem] = []

    def problem(key: str, mend: str, shown: str | None = None) -> None:
        problems.append(Problem(source, f"{label}.{key}", mend, shown))

    if "name" not in table:
        problem("name", "missing; the record names the rule that decided")
    for key in filter(table.__contains__, _PARSERS):
        try:
            found[key] = _PARSERS[key](table[key])
        except ValueError as error:
            problem(key, f"allowed: {error}", excerpt(table[key]))
    least, most = found.get("min_size"), found.get("max_size")
    if least is not None and most is not None and most < least:
        mend = f"allowed: at least min_size, which is {least}; this rule would match nothing"
        problem("max_size", mend, excerpt(table["max_size"]))
    for key in filter(lambda key: key not in _PARSERS, table):
        close = nearest(key, RULE_KEYS)
        known = f"did you mean {close}?" if close else f"a rule has {', '.join(RULE_KEYS)}"
        problem(key, f"unknown key; {known}")
    return problems or [Rule(**{"template" if key == "as" else key: found[key] for key in found})]


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
