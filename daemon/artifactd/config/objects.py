"""What the values of an object store may look like. Pure.

As in `values`, every parser raises ValueError with what is allowed as its message. An empty text stands for
"not set". Nothing is refused here that the services themselves would take.
"""

import re
from collections.abc import Callable, Iterable
from unicodedata import normalize
from urllib.parse import urlsplit

from artifactd.artifact import InvalidKey, Key
from artifactd.config.values import address, named, text, unquoted

_MOST_TAGS = 10
"""of an object: S3's limit and Azure's"""


def _matching(pattern: str, allowed: str) -> Callable[[object], str]:
    """The parser of texts that match, and of the empty one."""
    expression = re.compile(pattern, re.ASCII)

    def parse(value: object) -> str:
        if text(value) and not expression.fullmatch(text(value)):
            raise ValueError(allowed)
        return text(value)

    return parse


bucket = _matching(
    r"(?!.*\.\.|(\d+\.){3}\d+\Z)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "a bucket's name alone: 3 to 63 lower-case letters, digits, dots and dashes",
)
"""A name by Amazon's "General purpose bucket naming rules"."""

region = _matching(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", 'a region such as "eu-central-1"')
"""A part of a host's name: it becomes one."""

word = _matching(r"[!-~]+", "a word of letters, digits and signs, in ASCII and without spaces")
"""A value that travels in a header of HTTP."""

bucket_owner = _matching(r"\d{12}", "the 12 digits of an AWS account in quotes")

container = _matching(
    r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "a container's name alone: 3 to 63 lower-case letters, digits and single dashes",
)
"""A name by Azure's "Naming and referencing containers, blobs, and metadata"."""

account = _matching(
    r"[a-z0-9]{3,24}", "a storage account's name alone: 3 to 24 lower-case letters and digits"
)
"""A name by Azure's "Storage account overview"."""

_suffix = _matching(
    r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 'the end of a host\'s name such as "core.windows.net"'
)


def suffix(value: object) -> str:
    """The end of the hosts' names in one of Azure's clouds."""
    return _suffix(named(value))


def prefix(value: object) -> str:
    """What stands before every key: parts as keys have them, without a slash at either end."""
    try:
        return Key(normalize("NFC", text(value))).text if text(value) else ""
    except InvalidKey as error:
        raise ValueError(f'folders such as "exports/dai", no slash at either end: {error}') from None


def endpoint(value: object) -> str:
    """The address of a service. It is shown, so it may hold no query: that may be a SAS token."""
    if text(value) and not _plain(address(value)):
        raise ValueError('an address such as "https://s3.example.org:9000", with no "?" or "#" in it')
    return text(value)


def _plain(written: str) -> bool:
    try:
        url = urlsplit(written)
        whole = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # a port that is no number
        return False
    return bool(whole) and re.search(r"[\s?#]", written) is None


def _tags(words: str, allowed: str, start: str = "") -> Callable[[object], dict[str, str]]:
    """The parser of tags, a table or "team=risk, retention=7y" in a text, from the characters `words`."""
    name, content = re.compile(f"{start}[{words}]{{1,128}}"), re.compile(f"[{words}]{{0,256}}")
    rule = f'at most {_MOST_TAGS} tags such as {{ team = "risk" }}; names up to 128 and values up to 256 of '

    def parse(value: object) -> dict[str, str]:
        pairs = list(_pairs(value))
        right = all(
            isinstance(word, str)
            and isinstance(said, str)
            and name.fullmatch(word)
            and content.fullmatch(said)
            for word, said in pairs
        )
        found = dict(pairs) if right else {}
        if len(found) != len(pairs) or len(found) > _MOST_TAGS:
            raise ValueError(rule + allowed)
        return {str(word): str(said) for word, said in sorted(found.items())}

    return parse


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, dict):
        return value.items()
    inner = text(value).strip().removeprefix("{").removesuffix("}").strip()
    pairs = (part.partition("=") for part in inner.split(",") if inner)
    return ((_word(name), _word(said) if equals else None) for name, equals, said in pairs)


def _word(written: str) -> object:
    return unquoted(written.strip())


s3_tags = _tags(
    r"\w +\-=.:/@",
    'letters, digits, spaces and + - = . _ : / @; no name starts with "aws:"',
    start="(?!aws:)",
)
"""Tags by Amazon's "Object tagging"."""

azure_tags = _tags(r"A-Za-z0-9 +\-=.:/_", "plain letters, digits, spaces and + - = . _ : /")
"""Tags by Azure's "Set Blob Tags"."""
