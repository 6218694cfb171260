"""What git's complaints about a remote mean: may it pass, or does it need a person? Pure.

git tells causes in English sentences only (its exit codes do not differ), so they are recognised here, one
table, the first match decides. LC_ALL=C keeps them in English.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from artifactd.stores.base import Denied, StoreError, Unacceptable, Unavailable
from artifactd.stores.mends import Cause, Keys, mend


class Declined(Denied):
    """A rule of the server, or what unpacks there, refuses a push: for one file in it, or for all."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What any of these patterns, in git's words, means."""

    kind: Callable[[str], StoreError]
    advice: str
    patterns: tuple[str, ...]

    def cause(self, said: str) -> str | None:
        """The line in which git said any of it; None: it did not."""
        found = (re.search(pattern, said, re.IGNORECASE) for pattern in self.patterns)
        first = next((match for match in found if match), None)
        return None if first is None else _line(said, first)


def _pause(said: str) -> Unavailable:
    return Unavailable(said, retry_after=60.0)


KEYS: Final = Keys("artifacts_git_repo", "ca_file of [git]")
_SILENT: Final = "The server does not answer"
_NO_ROOM: Final = "The server has no room left: make room, or raise its limit"

_WHO_THE_SERVER_IS: Final = (
    _Rule(
        Denied,
        f"The server's certificate is out of date. {mend(Cause.EXPIRED, KEYS)}",
        ("certificate has expired", "certificate is not yet valid"),
    ),
    _Rule(
        Denied,
        f"The server's certificate is of another host. {mend(Cause.OTHER_HOST, KEYS)}",
        ("no alternative certificate subject name", "does not match target host", "hostname mismatch"),
    ),
    _Rule(
        Denied,
        f"The server's certificate is not trusted, or out of date. {mend(Cause.UNKNOWN, KEYS)}",
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

_MAY_NOT_WRITE: Final = _Rule(
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
        f"{_SILENT}. {mend(Cause.REFUSED, KEYS)}",
        ("Connection refused", "Couldn't connect to server"),
    ),
    _Rule(Unavailable, f"{_SILENT}. {mend(Cause.NO_NAME, KEYS)}", ("Could not resolve",)),
    _Rule(
        Unavailable,
        f"{_SILENT}. {mend(Cause.NO_WAY, KEYS)}",
        ("No route to host", "Network is unreachable"),
    ),
    _Rule(
        Unavailable,
        f"{_SILENT}. {mend(Cause.SILENT, KEYS)}",
        ("Connection timed out", "Timeout was reached"),
    ),
    _Rule(Unavailable, _SILENT, ("Connection reset", "Failed to connect")),
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
        "The server is a mirror, which takes no pushes: name the one that it mirrors in artifacts_git_repo",
        (r"\bmirror.*(read[- ]only|cannot|not (accept|allow|support)|push)", r"push.*\bmirror"),
    ),
    _Rule(
        Denied,
        _NO_ROOM,
        (
            "over (its|the) size limit",
            "exceeded its (user|size) limit",
            r"exceed.*\brepository('s)? size limit",
        ),
    ),
    _MAY_NOT_WRITE,
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
        _NO_ROOM,
        (
            "quota",
            "size limit.*(reached|exceeded)",
            "storage limit",
            "remote: .*(No space left|disk full)",
        ),
    ),
    _Rule(
        Unacceptable,
        "The server refuses a file for its size: lower lfs_threshold or max_file_size of [git]",
        (
            "GH001",
            "exceeds? .*(file|size) limit",
            "pack exceeds maximum allowed size",
            "larger than",  # as Gerrit and GitLab say it
            "error: 413",
            "HTTP 413",
            r"too large(?!.*\bto parse)",
        ),
    ),
    _Rule(
        Unacceptable,
        "The server's git refuses a file for its name or for what is in it (receive.fsckObjects): give it"
        " another name with `as` in the policy, or ask the server's owner",
        (
            r"\b(gitmodules|gitattributes|hasDot|fullPathname|largePathname)\w*:",
            "(remote|unpack).*invalid (tree|name|path)",  # JGit's words
        ),
    ),
    _Rule(
        Denied,
        "The server wants commits to name its own account: set [git] committer (and author, if it says so) to"
        " the account's name and address",
        (
            r"\bcommitter('s)? (e-?mail|name|address|must|does|is|should)\b",
            r"(expected|match|verify|verified|invalid|unknown|only push).*\bcommitter\b",
            "push your own commits",
        ),
    ),
    _Rule(
        Denied,
        "No branch of this name can be made there, since another branch has it as a folder, or the reverse:"
        " choose another artifacts_git_branch",
        ("exists; cannot create",),
    ),
    _Rule(
        Denied,
        "A lock lies on the branch: if no git is at work at the server, its owner deletes the file",
        (r"Unable to create .*\.lock'?: File exists",),
    ),
    _Rule(
        Declined,
        "What unpacks at the server refuses what was sent: its owner can say why",
        ("remote unpack failed", "unpacker error"),
    ),
    _Rule(
        Declined,
        "A rule of the server refuses the commit: its owner can say which",
        ("hook declined", r"\[remote rejected\]"),
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

_JUDGED: Final = re.compile(r"hook declined|\[remote rejected\]", re.IGNORECASE)
"""The server has looked at what was pushed: its words may be about one file of it."""

_FULL_HERE: Final = re.compile(
    r"^(?!.*\bremote\b).*(No space left on device|Disk quota exceeded|Out of diskspace)",
    re.IGNORECASE | re.MULTILINE,
)
_HUNG_UP: Final = re.compile(
    r"hung up|unexpected disconnect|early EOF|Empty reply|error: 5\d\d", re.IGNORECASE
)

_SHOWN: Final = 300
"""characters of git's own words that are passed on"""

_HEAD: Final = 180
"""of which so many are from their start, where most servers tell the cause; at the end stands what to do"""

_NO_CAUSE: Final = ("hint:", "Pushing to", "To ", "@", "Done", "error: failed to push some refs")


def rejected(said: str) -> bool:
    """Whether a push may not have been taken because somebody else's came first: build it again on theirs.

    Where nobody else's came, the same words are the server's last.
    """
    return bool(_REJECTED.search(said))


def full_here(said: str) -> bool:
    """Whether it is this host's disk, and not the server's, that has no room."""
    return bool(_FULL_HERE.search(said))


def hung_up(said: str) -> bool:
    """Whether the server broke off without a word, as some do at what they do not know."""
    return bool(_HUNG_UP.search(said))


def last_word(said: str) -> StoreError:
    """What it means that the branch does not take a push, though nobody else's came first."""
    met = meaning(said)
    if met is not None and not isinstance(met, Declined):  # a rule about files has other words
        return met
    standing = "The server does not move the branch, though nobody else pushed: its owner can say why"
    return Denied(f"{standing}. git said: {excerpt(said)}")


def meaning(said: str) -> StoreError | None:
    """What it means that git said this of the remote: the advice first, then git's words. None: unknown."""
    judged = bool(_JUDGED.search(said))
    for rule in _RULES:
        if judged and rule is _MAY_NOT_WRITE:
            continue  # who may push is settled by then: a hook says such words of a file
        if (cause := rule.cause(said)) is not None:
            kind = Declined if judged and rule.advice == _NO_ROOM else rule.kind
            return kind(f"{rule.advice}. git said: {excerpt(said, cause)}")
    return None


def excerpt(said: str, cause: str = "") -> str:
    """What of git's output tells the cause, on one line: without hints, progress and the midst of banners.

    The line that is known to hold the `cause` comes first.
    """
    telling = [_told(line) for line in (cause, *said.replace("\r", "\n").splitlines())]
    text = " | ".join(dict.fromkeys(filter(None, telling))) or "nothing"
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_HEAD]} … {text[_HEAD + 3 - _SHOWN :]}"


def _told(line: str) -> str:
    """What a line says; nothing where it says no cause."""
    line = line.strip()
    if line.startswith("!\t"):  # of --porcelain: the branch is known, the reason is not
        line = line.rpartition("\t")[2]
    bare = line.removeprefix("remote:").strip(" =*#-!")
    return "" if not bare or line.startswith(_NO_CAUSE) else line


def _line(said: str, match: "re.Match[str]") -> str:
    start = said.rfind("\n", 0, match.start()) + 1
    end = said.find("\n", match.end())
    return said[start : end if end >= 0 else len(said)]
