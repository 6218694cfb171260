"""What a value may look like, with Driverless AI's quirks. Pure.

Every parser takes what TOML or a variable of the environment gave, and raises ValueError with what is allowed
as its message. An empty text stands for "not set" wherever a key may be left out, so that `KEY=` in an
environment file does what it seems to do.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from artifactd.artifact import printable
from artifactd.config.problem import nearest


@dataclass(frozen=True)
class Table:
    """A table of the configuration: a field for each key, annotated with the parser of its values."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of its keys."""
        return tuple(one.name for one in fields(cls))


@dataclass(frozen=True, slots=True)
class Hidden:
    """A text that nobody shows by accident: its repr is empty."""

    text: str = field(repr=False)


class Mode(int):
    """Permission bits; written and shown as octal digits."""

    def __repr__(self) -> str:
        return f'"{self:04o}"'


_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""a key of TOML that needs no quotes"""

_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) *(?:(?:([KMGTP])(I?))?B)?", re.IGNORECASE)
_LARGEST = 2**63 - 1
"""bytes; no file of Linux is larger (off_t)"""


def boolean(value: object) -> bool:
    """True, "true", 1, "1" in any case; and likewise false."""
    match str(value).strip().casefold():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise ValueError("true or false")


def text(value: object) -> str:
    """Any text, the empty one too."""
    if not isinstance(value, str):
        raise ValueError("a text in quotes")  # noqa: TRY004 - as the head says
    return value


def named(value: object) -> str:
    """A text that says something."""
    if not text(value).strip():
        raise ValueError("a text that is not empty")
    return text(value)


def place(value: object) -> Path:
    """A path of the file system."""
    written = str(value) if isinstance(value, Path) else text(value)
    if not written or "\0" in written:
        raise ValueError("the path of a file or directory")
    return Path(written)


def address(value: object) -> str:
    """A URL, or git's `user@host:path`. It is shown in logs, so it may not hold a password."""
    try:
        url = urlsplit(text(value))
        secret = url.password is not None or (url.scheme in {"http", "https"} and url.username is not None)
    except ValueError:
        raise ValueError("an address") from None
    if secret:
        raise ValueError("an address without a user or password in it; they have keys of their own")
    return text(value)


def secret(value: object) -> Hidden | None:
    """A text that is never shown; None for an empty one."""
    if isinstance(value, Hidden):
        return value if value.text else None
    raise ValueError("a text in quotes")


def plain(secret: Hidden | None) -> str:
    """What is in it; None is empty."""
    return "" if secret is None else secret.text


def whole(least: int, most: int) -> Callable[[object], int]:
    """The parser of whole numbers from `least` to `most`."""

    def parse(value: object) -> int:
        number = _integer(value)
        if number is None or not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return parse


def seconds(most: int) -> Callable[[object], float]:
    """The parser of durations in seconds, more than 0 and at most `most`."""

    def parse(value: object) -> float:
        number = _real(value)
        if number is None or not 0 < number <= most:
            raise ValueError(f"seconds, more than 0 and at most {most}")
        return number

    return parse


def size(value: object) -> int:
    """Bytes: a whole number, or a text with a unit of 1000 (kB, MB, …) or 1024 (KiB, MiB, …)."""
    count = _bytes(value) if isinstance(value, str) else _integer(value)
    if count is None or not 0 <= count <= _LARGEST:
        raise ValueError('bytes as a whole number, or a text such as "20 MiB" or "1.5 GB"')
    return count


def size_within(least: str, most: str) -> Callable[[object], int]:
    """The parser of sizes between two that are written in the same way."""
    smallest, largest = size(least), size(most)

    def parse(value: object) -> int:
        if not smallest <= size(value) <= largest:
            raise ValueError(f"from {least} to {most}")
        return size(value)

    return parse


def _bytes(written: str) -> int | None:
    found = _SIZE.fullmatch(written.strip())
    if found is None:
        return None
    number, letter, binary = found.groups()
    power = " KMGTP".index(letter.upper()) if letter else 0
    whole, _, part = number.partition(".")
    count, rest = divmod(int(whole + part) * (1024 if binary else 1000) ** power, 10 ** len(part))
    return None if rest else count


def _integer(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def mode(needed: int) -> Callable[[object], Mode]:
    """The parser of permission bits that hold at least `needed`, such as "0444".

    A number is refused: TOML's 444 is decimal, and nobody means that.
    """

    def parse(value: object) -> Mode:
        digits = value if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value) else "0"
        bits = int(digits, 8)
        if bits & needed != needed:
            raise ValueError(f'octal digits in quotes such as "0755", with {needed:04o} among them')
        return Mode(bits)

    return parse


_Name = TypeVar("_Name", bound=StrEnum)
_Value = TypeVar("_Value")


def one_of(names: type[_Name]) -> Callable[[object], _Name]:
    """The parser of one of these names, in any case: the guide writes `S3`, the configuration `s3`."""
    known = {name.value.casefold(): name for name in names}

    def parse(value: object) -> _Name:
        word = str(value).strip().casefold()
        if word in known:
            return known[word]
        close = nearest(word, known)
        raise ValueError(", ".join(names) + (f"; did you mean {known[close]}?" if close else ""))

    return parse


def names_of(names: type[_Name]) -> Callable[[object], tuple[_Name, ...]]:
    """The parser of a list of these names, each kept once: an array, "a, b", or "['a', 'b']" in a text."""
    parse_one = one_of(names)

    def parse(value: object) -> tuple[_Name, ...]:
        parts = (
            value.strip().removeprefix("[").removesuffix("]").split(",") if isinstance(value, str) else value
        )
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError("one or several of " + ", ".join(names))
        return tuple(dict.fromkeys(parse_one(unquoted(part)) for part in parts))

    return parse


def optional(parse: Callable[[object], _Value]) -> Callable[[object], _Value | None]:
    """`parse`, with None for an empty text."""
    return lambda value: None if value is None or value == "" else parse(value)


def unquoted(value: object) -> object:
    """A text without one balanced pair of quotes around it: docker keeps them, systemd and shells do not."""
    if not isinstance(value, str):
        return value
    bare = value.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        return bare[1:-1]
    return value


def shown(value: object) -> str:
    """`value` as TOML writes it; what is not set is "not set"."""
    match value:
        case None:
            return "not set"
        case bool():
            return str(value).lower()
        case dict():
            pairs = (
                f"{key if _BARE.fullmatch(key) else shown(key)} = {shown(value)}"
                for key, value in value.items()
            )
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
        case tuple() | list():
            return "[" + ", ".join(map(shown, value)) + "]"
        case str() | Path():
            return printable(json.dumps(str(value), ensure_ascii=False))
        case _:
            return repr(value)


_EXCERPT = 80
"""characters of a wrong value that are shown"""


def excerpt(value: object) -> str:
    """As `shown`, cut where it is long: for who has written it, and knows it by its beginning."""
    text = shown(value)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"


Switch = Annotated[bool, boolean]
Text = Annotated[str, text]
Place = Annotated[Path, place]
MaybePlace = Annotated[Path | None, optional(place)]
Address = Annotated[str, address]
Secret = Annotated[Hidden | None, secret]
