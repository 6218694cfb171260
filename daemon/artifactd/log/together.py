"""Lines of one event, told at once: of a commit of the record, whose entries they repeat.

A line is given as `Texts`: the same JSON that stands in its entry. So its values are encoded once, and what
structlog adds to a line is made once for all of them. They are under `EACH` until they are rendered.
"""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final

from artifactd.log.lines import LINES, Log

EACH: Final = "each"

Texts = Mapping[str, str]
"""The values of fields as JSON, by name."""

_NOTHING: Final = ("null", '""')


def tell(log: Log, level: int, event: str, each: Sequence[Texts]) -> None:
    """Say a line for each of these: the fields that `LINES` has of the event, but those that say nothing."""
    log.log(level, event, **{EACH: each})


def spread(line: MutableMapping[str, Any]) -> list[MutableMapping[str, Any]]:
    """The lines that `line` stands for: itself, where nothing was told at once."""
    each: Sequence[Texts] | None = line.pop(EACH, None)
    if each is None:
        return [line]
    return [{**line, **json.loads("{" + rest(line["event"], texts).removeprefix(", "))} for texts in each]


def rest(event: str, texts: Texts) -> str:
    """What such a line says besides what they have in common: JSON, from a comma to the closing brace."""
    said = {name: text for name in LINES[event] if (text := texts.get(name, "null")) not in _NOTHING}
    return _form(tuple(said)) % tuple(said.values())


@lru_cache(maxsize=128)
def _form(names: tuple[str, ...]) -> str:
    return "".join(f', "{name}": %s' for name in names) + "}"
