"""What servers of every kind say in an answer: how long to wait, and an error's words in XML. Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from artifactd.artifact import printable

PAUSE_SECONDS: Final = 0.5
"""The first pause where a busy server does not say how long."""


def pause(retry_after: str, least: float = PAUSE_SECONDS) -> float:
    """Seconds that a server asks for (RFC 9110, 10.2.3); one that gives a date, or nothing, gets `least`."""
    wish = retry_after.strip()
    return max(least, float(wish)) if re.fullmatch(r"[0-9]{1,6}", wish) else least


def element(name: str, body: bytes) -> str:
    """The text of this XML element as it stands at the start of a body; empty where there is none."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", body[:4096].decode("utf-8", "replace"))
    return found.group(1) if found else ""


def words(said: str, most: int) -> str:
    """A server's words for a person: the first `most` characters, whatever they are."""
    return printable(said[:most].encode("utf-8", "replace"))


PAST_IT: Final = "where that is none of its addresses, a proxy in between answers: let this host past it"
"""What may be meant by a redirect, beside that the server is elsewhere."""

_LONGEST_HOST: Final = 300


def elsewhere(headers: Mapping[str, str]) -> str:
    """Where a redirect leads to, behind a blank: a host, and nothing that may be secret. Empty: not known."""
    try:
        there = urlsplit(headers.get("location", ""))
    except ValueError:
        return ""
    host = there.netloc.rpartition("@")[2]
    scheme = f"{there.scheme}:" if there.scheme else ""
    return f" to {words(f'{scheme}//{host}', _LONGEST_HOST)}" if host else ""


def too_large(size_of_parts: str) -> str:
    """What to do where no request of such a size is taken; the key says how large parts are."""
    return (
        f"the server, or a proxy before it, takes no request of this size: let it take {size_of_parts} "
        f"or more (nginx: client_max_body_size), or lower {size_of_parts}"
    )
