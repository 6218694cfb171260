"""What to tell of a key that does not exist: a misspelling must not pass in silence. Pure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from artifactd.config.document import FIELDS, FLAT, TABLES
from artifactd.config.problem import nearest
from artifactd.config.secrets import FILE_KEYS

KNOWN = frozenset({*FIELDS, *FILE_KEYS, "policy"})
"""Every key that `config.toml` may hold."""

_PREFIX = "ARTIFACTD_"

VARIABLES = {_PREFIX + key.upper().replace(".", "__"): key for key in FIELDS if "." in key}
"""Every variable of ours, with the key it sets."""

_THEIR_PREFIX = "DRIVERLESS_AI_"

THEIR_VARIABLES = {_THEIR_PREFIX + key.upper(): key for key in (*FLAT, *FILE_KEYS)}
"""Every variable of Driverless AI that we read, with the key it sets. `…_FILE` beside a secret is ours."""

_FILE = "ARTIFACTD_CONFIG"

_OF_A_SERVICE = re.compile(
    _PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_[A-Z]+(_PROTO|_PORT|_ADDR)?)?)"
)
"""What Kubernetes makes of a Service whose name begins with "artifactd" (its page "Service")."""

_NEARLY = 0.9
"""difflib's ratio from which a variable is taken for one that we read; Driverless AI has hundreds more."""

_STRANGERS = 3
"""keys that are none of ours, in a file with no table of ours, which make it Driverless AI's own"""

THEIR_FILE = (
    "this looks like Driverless AI's own configuration; name it in a file of artifactd's own instead, "
    '[artifactd] driverless_ai_config = "…", and give that one with --config'
)


def is_theirs(content: Mapping[str, object]) -> bool:
    """Whether a file that was given as ours is Driverless AI's own: nobody misspells that many keys."""
    flat = [key for key, value in content.items() if not isinstance(value, dict)]
    strangers = [key for key in flat if nearest(key, KNOWN) is None and _home(key) is None]
    return len(strangers) >= _STRANGERS and TABLES.keys().isdisjoint(content)


def is_ours(variable: str) -> bool:
    """Whether a variable claims to set a key of ours."""
    return variable.startswith(_PREFIX) and variable != _FILE and _OF_A_SERVICE.fullmatch(variable) is None


def variable_mend(variable: str) -> str:
    """What to do about a variable that `is_ours` but sets no key."""
    name = variable.upper().removeprefix(_PREFIX)
    if (theirs := _THEIR_PREFIX + name) in THEIR_VARIABLES:
        return f"unknown variable; it is {theirs}"
    names = {ours.removeprefix(_PREFIX).replace("__", "_"): ours for ours in VARIABLES}
    close = nearest(name.replace("__", "_"), names)
    known = (
        f"did you mean {names[close]}?"
        if close
        else f"a key's would be {_PREFIX}<TABLE>__<KEY>, the file's is {_FILE}"
    )
    return f"unknown variable; {known}"


def near_theirs(variable: str) -> str | None:
    """The variable of Driverless AI's that we read and that this one, which we do not, nearly names."""
    if not variable.startswith(_THEIR_PREFIX) or variable in THEIR_VARIABLES:
        return None
    names = [known.removeprefix(_THEIR_PREFIX) for known in THEIR_VARIABLES]
    close = get_close_matches(variable.removeprefix(_THEIR_PREFIX).upper(), names, n=1, cutoff=_NEARLY)
    return f"{_THEIR_PREFIX}{close[0]}" if close else None


def mend(key: str, value: object) -> str:
    """What to do about `key` with `value` in `config.toml`, which is not `KNOWN`."""
    table, _, leaf = key.partition(".")
    if leaf and table in TABLES:
        return _in_table(table, leaf)
    if key in TABLES:
        return f"allowed: a table, starting with a line [{key}]"
    return _table(key) if isinstance(value, dict) else _flat(key)


def _in_table(table: str, leaf: str) -> str:
    keys = TABLES[table].names()
    if leaf in {*FLAT, *FILE_KEYS}:
        return "it belongs at the top of the file, before the first [table]"
    if top := _top(table, leaf):
        return f"unknown key; Driverless AI's name for it is {top}, at the top of the file"
    if close := nearest(leaf, keys):
        return f"unknown key; did you mean {close}?"
    if home := _home(leaf):
        return f"unknown key; {leaf} belongs into [{home}]"
    return f"unknown key; [{table}] has {', '.join(keys)}"


def _top(table: str, leaf: str) -> str | None:
    """The one key of Driverless AI that `leaf` is the end of, or the one that is about `table`."""
    longer = [key for key in FLAT if key.endswith(f"_{leaf}")]
    return next((key for key in longer if table in key or len(longer) == 1), None)


def _table(name: str) -> str:
    names = (*TABLES, "policy")
    close = nearest(name, names)
    return f"unknown table; {f'did you mean [{close}]?' if close else 'there are ' + ', '.join(names)}"


def _flat(key: str) -> str:
    if close := nearest(key, (*FLAT, *FILE_KEYS)):
        return f"unknown key; did you mean {close}?"
    if home := _home(key):
        return f"unknown key; {key} belongs into [{home}]"
    return "unknown key; Driverless AI's other keys stay in its file ([artifactd] driverless_ai_config)"


def _home(leaf: str) -> str | None:
    return next((name for name, table in TABLES.items() if leaf in table.names()), None)
