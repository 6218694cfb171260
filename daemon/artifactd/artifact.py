"""The words every other file shares: key, digest, sighting, artifact. Pure."""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType, Self

Digest = NewType("Digest", str)
"""SHA-256 of a file's bytes: 64 lowercase hex digits."""

KEY_BYTES = 1024
"""Longest key in bytes of UTF-8: the limit of Amazon S3 and of Azure Blob Storage."""

NAME_BYTES = 255
"""Longest part of a key in bytes: NAME_MAX of Linux file systems."""


class Kind(StrEnum):
    """What an artifact is, in the names of Driverless AI's own client where it has one."""

    SUMMARY = "summary"
    LOGS = "logs"
    MOJO_PIPELINE = "mojo_pipeline"
    PYTHON_PIPELINE = "python_pipeline"
    TRAIN_PREDICTIONS = "train_predictions"
    VALID_PREDICTIONS = "val_predictions"
    TEST_PREDICTIONS = "test_predictions"
    PREDICTIONS = "predictions"
    TRANSFORMED = "transformed"
    AUTODOC = "autodoc"
    EXPERIMENT = "experiment"
    WORKING = "working"
    """What a running experiment needs for itself: pickles, temporary files, its live log."""
    OTHER = "other"


class InvalidKey(ValueError):
    """A name that cannot become a key without changing it or endangering a store. The message says why."""


_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
_INVISIBLE = (
    r"[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_IGNORABLE = (
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What no person can see: Default_Ignorable_Code_Point of the Unicode Character Database, in its file
DerivedCoreProperties.txt (unchanged from version 9 to 16), and the three signs around an annotation."""

_UNPRINTABLE = re.compile(f"{_CONTROL}|{_IGNORABLE}")

_OBJECTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), objection)
    for pattern, objection in (
        (r"\A\Z", "has an empty part"),
        (r"\A\.", "has a part that starts with a dot"),
        (r"\A-", "has a part that starts with a dash"),
        (_CONTROL, "holds a control character"),
        (_INVISIBLE, "holds an invisible character"),
        # The short name that Windows gives to ".git".
        (r"\Agit~\d+\Z", "has a part that git would take for its own folder"),
    )
)


_DECEPTIVE = re.compile(
    rf"(?P<unseen>{_IGNORABLE})|(?P<backslash>\\)|(?P<drive>(?<![^/])[A-Za-z]:)|(?P<end>[\s\u2800.](?![^/]))"
)
_DECEPTIONS = {
    "unseen": "holds a character that no person can see",
    "backslash": "holds a backslash, at which Windows begins another folder",
    "drive": "has a part that starts like a drive of Windows",
    "end": "has a part that ends with a blank or a dot, which no person sees or Windows leaves out",
}
"""What may deceive a person or a client of Windows, who get at a share by SMB."""


_PLAIN = re.compile(r"\w[\w.+=@ -]*(?:/\w[\w.+=@ -]*)*", re.ASCII)
"""What no objection can be made to, told at one look: nearly every key there is."""


def _objection(part: str) -> str | None:
    """Why `part` cannot be one part of a key; None where it can."""
    if len(part.encode()) > NAME_BYTES:
        return f"has a part of more than {NAME_BYTES} bytes"
    return next((objection for pattern, objection in _OBJECTIONS if pattern.search(part)), None)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Where a copy lies in a store: relative, parts joined by "/", in Unicode's NFC, at most 1,024 bytes.

    A key is safe on every store: no part is empty, starts with a dot or a dash, or holds what no person can
    see.

    Raises:
        InvalidKey: the text is no such key.
    """

    text: str

    def __post_init__(self) -> None:
        if len(self.text) <= NAME_BYTES and _PLAIN.fullmatch(self.text):
            return
        try:
            length = len(self.text.encode())
        except UnicodeEncodeError:
            raise InvalidKey(f"{self.text!a} is not valid UTF-8") from None
        if length > KEY_BYTES:
            raise InvalidKey(f"{self.text!a} has {length} bytes, {KEY_BYTES} are allowed")
        if not unicodedata.is_normalized("NFC", self.text):
            raise InvalidKey(f"{self.text!a} is not in Unicode's form NFC")
        for part in self.text.split("/"):
            if objection := _objection(part):
                raise InvalidKey(f"{self.text!a} {objection}")

    @classmethod
    def of(cls, *parts: str) -> Self:
        """The key of these parts, each brought to NFC. A "/" inside a part is an error, never a separator.

        Raises:
            InvalidKey: they make no key.
        """
        for part in parts:
            if "/" in part:
                raise InvalidKey(f"{part!a} has a slash inside a part")
        return cls(unicodedata.normalize("NFC", "/".join(parts)))

    @property
    def deception(self) -> str | None:
        """Why no new copy gets this key, though it is safe on every store; None where one may.

        Copies that have such a key from earlier keep it: with another they would be exported twice.
        """
        found = _DECEPTIVE.search(self.text)
        return None if found is None else f"{self.text!a} {_DECEPTIONS[str(found.lastgroup)]}"

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rsplit("/", 1)[-1]

    def renamed(self, name: str) -> "Key":
        """This key with another last part.

        Raises:
            InvalidKey: `name` cannot be a part of a key.
        """
        return Key.of(*self.text.split("/")[:-1], name)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Identity:
    """What the kernel says of a file without reading it.

    Compared for inequality, never for "newer than": tar and cp -p date back.
    """

    dev: int = field(compare=False)
    """of the data directory in which it was seen. A file's own may be another one (overlayfs, btrfs), and any
    may change with a reboot (NFS, LVM): it tells which tree was looked at, and nothing of the file"""
    ino: int
    size: int
    """bytes"""
    mtime_ns: int
    ctime_ns: int

    def unwritten(self, before: Self) -> bool:
        """Whether nobody wrote the file since it was seen `before`, by its inode and times, not its size."""
        return replace(self, size=before.size) == before


@dataclass(frozen=True, slots=True)
class Sighting:
    """One lstat of anything but a directory, below the data directory."""

    path: bytes
    """relative to the data directory"""
    identity: Identity
    mode: int
    """st_mode: what kind of file it is, and its permissions"""
    names: int = 1
    """st_nlink: how many names it has, one of which may lie elsewhere"""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that an experiment wrote, as its place tells it."""

    path: bytes
    """relative to the data directory"""
    user: str
    experiment_id: str
    inside: bytes
    """path inside the experiment's folder"""
    kind: Kind

    @property
    def name(self) -> bytes:
        """The file's own name."""
        return self.inside.rsplit(b"/", 1)[-1]

    @property
    def folder(self) -> bytes:
        """The experiment's folder, relative to the data directory."""
        return self.path[: len(self.path) - len(self.inside) - 1]


def printable(name: bytes | str) -> str:
    """`name` in bytes, as the kernel has it, or any text, for a person or a log. Never parsed back.

    Bytes that are no UTF-8, control characters and invisible characters are escaped; so are, in a text, the
    lone surrogates that stand for such bytes. In a name a backslash is, too, else two names would look alike;
    in a text it may stand for what was escaped already.

    Raises:
        UnicodeEncodeError: a lone surrogate stands for no byte.
    """
    if isinstance(name, str):
        if name.isascii() and name.isprintable():  # nearly every text is
            return name
        name = name.encode("utf-8", "surrogateescape")
    else:
        name = name.replace(b"\\", rb"\\")
    text = name.decode("utf-8", "backslashreplace")
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    # A lone byte, which is no UTF-8, has two digits from 80 on.
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0x7F else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the lengths of escapes


def count_of(count: int, what: str, plural: str = "") -> str:
    """So many of `what`, for a person: "1 copy", "2 copies"."""
    regular = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count} {what if count == 1 else plural or regular}"


def size_of(count: int) -> str:
    """Bytes for a person."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - the unit's own base
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
