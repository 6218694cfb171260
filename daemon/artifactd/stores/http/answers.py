"""What servers of every kind say in an answer: how long to wait, and an error's words in XML. Pure."""

import re
from typing import Final

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
