"""What is wrong with a file that is no TOML, in words for who has to mend it. Pure.

Of what stands in the file nothing is shown but the names of keys that we know: it may hold secrets.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import tomli

from artifactd.config.document import TABLES
from artifactd.config.unknown import KNOWN

BOM: Final = "\ufeff"
"""What some editors of Windows put before a text in UTF-8."""

_HEADER: Final = re.compile(r"\s*\[\s*(\w+)\s*\]")
_KEY: Final = re.compile(r"""\s*["']?([\w.-]+)["']?\s*=""")
_BOOLEAN: Final = re.compile(r"(true|false|yes|no|on|off)\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"=\s*[0-9.]+\s*(,|[a-zA-Z]+)")
_TYPOGRAPHIC: Final = "“”„‟‘’‚‛«»"  # noqa: RUF001 - these are what is looked for


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a text is no TOML, and why."""

    key: str | None
    """the key whose line it is, as far as it is one of ours"""
    reason: str


def broken(text: str, error: tomli.TOMLDecodeError) -> Broken:
    """What `error`, met in `text`, means."""
    if text.startswith(BOM):
        return Broken(None, "begins with a byte order mark: save it as UTF-8 without BOM")
    place, message = f"line {error.lineno}, column {error.colno}", str(error.msg)
    lines = text.splitlines()
    before, line = lines[: error.lineno - 1], "".join(lines[error.lineno - 1 : error.lineno])
    cause = _cause(message, before, line, line[error.colno - 1 :])
    return Broken(_key(before, line), f"{place}: {message}" + (f"; {cause}" if cause else ""))


def rescued(text: str, key: str) -> str | None:
    """The text that `key` is set to, as `table.name`, in a line of its own that is TOML; None: there is none.

    Of a file that is none as a whole.
    """
    table, name = key.split(".")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        found = _KEY.match(line)
        if found is None or found[1] != name or _table(lines[:number]) != table:
            continue
        with suppress(tomli.TOMLDecodeError):
            value = tomli.loads(line)[name]
            return value if isinstance(value, str) else None
    return None


def _key(before: list[str], line: str) -> str | None:
    """The key of `line`, which stands below the lines `before`."""
    found = _KEY.match(line)
    if found is None:
        return None
    table = _table(before)
    key = f"{table}.{found[1]}" if table in TABLES else found[1]
    return key if key in KNOWN else None


def _table(lines: list[str]) -> str:
    """The table that these lines end in; empty: the top of the file."""
    return next((found[1] for line in reversed(lines) if (found := _HEADER.match(line))), "")


def _cause(message: str, before: list[str], line: str, rest: str) -> str:
    """The usual cause, with its mend; empty where there is none. `rest`: of the line, from the error on."""
    if "overwrite" in message or "twice" in message:
        return _twice(before, line)
    if any(quote in line for quote in _TYPOGRAPHIC):
        return "a text stands between plain quotes, not typographic ones"
    if message == "Invalid value":
        return _of_a_value(rest)
    if "Expected newline" in message and (number := _NUMBER.search(line)):
        return "a number has a point, and no comma" if number[1] == "," else "a number stands without a unit"
    return next((cause for words, cause in _CAUSES.items() if words in message), "")


def _of_a_value(rest: str) -> str:
    if _BOOLEAN.match(rest):
        return "TOML writes true and false, in small letters and without quotes"
    if not rest.strip() or rest.startswith("#"):
        return "the value is missing; to leave the key out, remove the line"
    return "a text or a path stands between quotes"


def _twice(before: list[str], line: str) -> str:
    """Where the same key or table stands already."""
    header, key = _HEADER.match(line), _KEY.match(line)
    table = _table(before)
    for number, other in enumerate(before, start=1):
        same = _KEY.match(other)
        if key and same and same[1] == key[1] and _table(before[: number - 1]) == table:
            return f"the same key stands in line {number}: keep one of the two"
        there = _HEADER.match(other)
        if header and there and there[1] == header[1]:
            return f"the same table begins in line {number}: put their keys together"
    return "something of this name stands above: keep one of the two"


_CAUSES: Final[Mapping[str, str]] = {
    "Expected '='": "a setting is written key = value",
    "Expected newline": "nothing but a comment (#) may stand after a value; a text that holds a quote stands"
    " between quotes of the other kind",
    "Illegal character '\\n'": "the quote at the end is missing",
    """Expected "'\"""": "the quote at the end of the line above is missing",
    "Invalid hex value": "between double quotes a backslash has a meaning of its own: take single quotes",
    "Unescaped '\\'": "between double quotes a backslash has a meaning of its own: take single quotes",
    "Invalid statement": "a setting is written key = value, and a comment begins with #",
    "Expected ']'": "the ] at the end is missing",
    "Unclosed array": "the ] at the end is missing",
}
"""A part of the parser's message → the usual cause."""
