"""What git's complaints about a remote mean: may it pass, or does it need a person? Pure.

git tells causes in English sentences only (its exit codes do not differ), so they are recognised here, one
table, the first match decides. LC_ALL=C keeps them in English.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from artifactd.stores.base import Denied, StoreError, Unacceptable, Unavailable


class Declined(Denied):
    """A rule of the server refuses a push: for one file in it, or for all."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What any of these patterns, in git's words, means."""

    kind: Callable[[str], StoreError]
    advice: str
    patterns: tuple[str, ...]

    def fits(self, said: str) -> bool:
        """Whether git said any of it."""
        return any(re.search(pattern, said, re.IGNORECASE) for pattern in self.patterns)


def _pause(said: str) -> Unavailable:
    return Unavailable(said, retry_after=60.0)


_SILENT: Final = "The server does not answer"

_WHO_THE_SERVER_IS: Final = (
    _Rule(
        Denied,
        "The server's certificate is out of date: renew it, or look at this host's clock",
        ("certificate has expired", "certificate is not yet valid"),
    ),
    _Rule(
        Denied,
        "The server's certificate is of another host: mend artifacts_git_repo",
        ("no alternative certificate subject name", "does not match target host", "hostname mismatch"),
    ),
    _Rule(
        Denied,
        "The server's certificate is not trusted, or out of date: name its authority's in ca_file of [git]",
        ("self[- ]signed certificate", "unable to get local issuer", "certificate (problem|verif)", "CAfile"),
    ),
    _Rule(
        Denied,
        "The server's ssh key is not the known one: ask its owner, then mend known_hosts of [git]",
        ("HOST IDENTIFICATION HAS CHANGED", "Host key verification failed", r"No \S+ host key is known"),
    ),
    _Rule(
        Denied,
        "The server sends elsewhere, which is never followed: mend artifacts_git_repo",
        ("unable to update url base from redirection", "error: 30[12378]"),
    ),
)

_WHO_WE_ARE: Final = (
    _Rule(
        Denied,
        "The server asks for a password: set artifacts_git_user and artifacts_git_password",
        ("could not read (Username|Password)",),
    ),
    _Rule(
        Denied,
        "The server does not take the user and password: renew artifacts_git_password",
        ("Authentication failed", "error: 401", "Invalid (credentials|username or password)"),
    ),
    _Rule(
        Denied,
        "The server does not take the ssh key: look at artifacts_git_ssh_private_key_file_location",
        (r"Permission denied \([\w,-]+\)", "Load key", "UNPROTECTED PRIVATE KEY", "Too many authentication"),
    ),
    _Rule(
        Unavailable,
        _SILENT,
        (
            "Connection (refused|reset|timed out)",
            "Could not resolve",
            "Failed to connect",
            "No route to host",
            "Network is unreachable",
        ),
    ),
    _Rule(
        Denied,
        "There is no such repository, or it is not shown to this account: look at artifacts_git_repo",
        (
            "error: 404",
            "repository.*not found",
            "does not (appear to be|exist)",
            "not a git repository",
            "invalid gitfile format",
        ),
    ),
    _Rule(
        Denied,
        "The account may not write there: give it the right to push",
        (
            "error: 403",
            "access denied",
            "not permitted",
            "read[- ]only",
            "insufficient permission",
            "forbidden",
            "Permission .*denied",
            "not allowed to push",
            "service not enabled",
        ),
    ),
    _Rule(Denied, "The repository belongs to another account than the daemon's", ("dubious ownership",)),
)

_WHAT_IT_DOES_NOT_WANT: Final = (
    _Rule(
        Denied,
        "The branch is protected: let the account push to it, or choose another artifacts_git_branch",
        ("protected branch", "branch is protected", "branch permission", "pull request", "GH006"),
    ),
    _Rule(
        Denied,
        "The server has no room left: make room, or raise its limit",
        (
            "quota",
            "over its size limit",
            "size limit.*(reached|exceeded)",
            "storage limit",
            "remote: .*(No space left|disk full)",
        ),
    ),
    _Rule(
        Unacceptable,
        "The server refuses a file for its size: lower lfs_threshold or max_file_size of [git]",
        ("GH001", "exceeds? .*(file|size) limit", "larger than", "error: 413", "HTTP 413", "too large"),
    ),
    _Rule(
        Declined,
        "A rule of the server refuses the commit: its owner can say which",
        ("hook declined", r"\[remote rejected\].*declined"),
    ),
)

_WHAT_PASSES: Final = (
    _Rule(_pause, "The server asks for a pause", ("error: 429",)),
    _Rule(
        Unavailable,
        _SILENT,
        (
            r"error: 5\d\d",
            "Connection closed",
            "timed? ?out",
            "Operation too slow",
            "hung up",
            "early EOF",
            "unexpected disconnect",
            "RPC failed",
            "Empty reply",
            "SSL_",
            "gnutls",
            "TLS",
            "Broken pipe",
            "kex_exchange",
            "Could not read from remote",
        ),
    ),
)

_RULES: Final = (*_WHO_THE_SERVER_IS, *_WHO_WE_ARE, *_WHAT_IT_DOES_NOT_WANT, *_WHAT_PASSES)
"""The first that fits decides: the last words of git are the same after many causes."""

_REJECTED: Final = re.compile(
    r"\[rejected\]|fetch first|non-fast-forward|stale info|failed to update ref|cannot lock ref|"
    r"reference already exists|incorrect old value|failed to lock|shallow update not allowed",
    re.IGNORECASE,
)

_SHOWN: Final = 300
"""characters of git's own words that are passed on"""


def rejected(said: str) -> bool:
    """Whether a push was not taken because somebody else's came first: build it again on theirs."""
    return bool(_REJECTED.search(said))


def meaning(said: str) -> StoreError | None:
    """What it means that git said this of the remote: the advice first, then git's words. None: unknown."""
    rule = next((rule for rule in _RULES if rule.fits(said)), None)
    return rule.kind(f"{rule.advice}. git said: {excerpt(said)}") if rule else None


def excerpt(said: str) -> str:
    """What of git's output tells the cause, on one line: without hints, progress and banners."""
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines()]
    telling = [
        line for line in lines if line and not line.startswith(("hint:", "Pushing to", "To ", "@", "Done"))
    ]
    text = " | ".join(dict.fromkeys(telling)) or "nothing"
    return "".join(c if c.isprintable() else "?" for c in text)[-_SHOWN:]
