"""What to tell of a key that does not exist: a misspelling must not pass in silence. Pure."""

from artifactd.config.document import FIELDS, FLAT, TABLES
from artifactd.config.problem import nearest
from artifactd.config.secrets import FILE_KEYS

KNOWN = frozenset({*FIELDS, *FILE_KEYS, "policy"})
"""Every key that `config.toml` may hold."""

_PREFIX = "ARTIFACTD_"

VARIABLES = {_PREFIX + key.upper().replace(".", "__"): key for key in FIELDS if "." in key}
"""Every variable of ours, with the key it sets."""

THEIR_VARIABLES = {f"DRIVERLESS_AI_{key.upper()}": key for key in (*FLAT, *FILE_KEYS)}
"""Every variable of Driverless AI that we read, with the key it sets. `…_FILE` beside a secret is ours."""


def is_ours(variable: str) -> bool:
    """Whether a variable claims to set a key of ours. Kubernetes' ARTIFACTD_SERVICE_HOST does not."""
    return variable.startswith(_PREFIX) and "__" in variable


def variable_mend(variable: str) -> str:
    """What to do about a variable that `is_ours` but sets no key."""
    close = nearest(
        variable.upper().removeprefix(_PREFIX), (name.removeprefix(_PREFIX) for name in VARIABLES)
    )
    known = f"did you mean {_PREFIX}{close}?" if close else f"it would be {_PREFIX}<TABLE>__<KEY>"
    return f"unknown variable; {known}"


def mend(key: str, value: object) -> str:
    """What to do about `key` with `value` in `config.toml`, which is not `KNOWN`."""
    table, _, leaf = key.partition(".")
    if leaf and table in TABLES:
        return _in_table(table, leaf)
    if key in TABLES:
        return f"allowed: a table, starting with a line [{key}]"
    return _table(key) if isinstance(value, dict) else _flat(key)


def _in_table(table: str, leaf: str) -> str:
    keys = tuple(TABLES[table].model_fields)
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
    return next((name for name, table in TABLES.items() if leaf in table.model_fields), None)
