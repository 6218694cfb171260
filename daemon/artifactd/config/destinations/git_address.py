"""Where a git repository lies, and how it is reached. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urlsplit

_SCP: Final = re.compile(
    r"(?:(?P<user>[\w.+][\w.+-]*)@)?(?P<host>[\w.][\w.-]*):(?P<path>(?!//)[^-:].*)", re.ASCII
)
"""git's short form of ssh, `user@host:path` (git-push(1), "GIT URLS")."""

_HOST: Final = re.compile(r"[\w.:][\w.:-]*", re.ASCII)
_ALLOWED: Final = "an address that starts with https:// or ssh://, user@host:path, or the path of a directory"


class Protocol(StrEnum):
    """How git speaks to the server, in the words of GIT_ALLOW_PROTOCOL. Nothing else is ever spoken."""

    HTTPS = "https"
    SSH = "ssh"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Address:
    """A repository's address, known to hold no secret."""

    protocol: Protocol
    url: str
    """as git takes it"""
    host: str = ""
    """with its port where one is given; empty for a directory"""
    user: str = ""
    """who logs in, where the address says so"""
    path: str = ""
    """on the server"""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that a person wrote.

        Raises:
            ValueError: it is none, or one of a protocol that is not spoken. The message says what is allowed.
        """
        if any(not character.isprintable() for character in text):
            raise ValueError(_ALLOWED)
        if text.startswith("/"):
            return cls(Protocol.FILE, f"file://{quote(text)}", path=text)
        if "://" not in text:
            return _scp(text)
        return _url(text)


def _scp(text: str) -> Address:
    found = _SCP.fullmatch(text)
    if found is None:
        raise ValueError(_ALLOWED)
    return Address(Protocol.SSH, text, found["host"], found["user"] or "", found["path"])


def _url(text: str) -> Address:
    parts = urlsplit(text)
    if parts.scheme == "http":
        raise ValueError(f"{_ALLOWED}. Over http:// everybody on the way could read the password")
    if parts.scheme not in set(Protocol) or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(_ALLOWED)
    protocol = Protocol(parts.scheme)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username or ""
    if protocol is Protocol.FILE and (host or not parts.path.startswith("/")):
        raise ValueError(_ALLOWED)
    if protocol is not Protocol.FILE and (not _HOST.fullmatch(host) or user.startswith("-")):
        raise ValueError(_ALLOWED)
    return Address(protocol, text, host, user, parts.path)
