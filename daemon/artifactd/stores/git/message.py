"""What a commit says: a subject for people, trailers for machines. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from artifactd import __version__
from artifactd.artifact import Digest, printable
from artifactd.config.destinations.git import FIELD, Identity

_SUBJECT_CHARACTERS: Final = 200
_PLAIN: Final = re.compile(r"[\w.+=@/-][\w.+=@/ -]*[\w.+=@/-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signature:
    """How commits are signed and titled."""

    author: Identity
    committer: Identity
    subject: str
    """the template of the first line"""


@dataclass(frozen=True, slots=True)
class Line:
    """One artifact of a commit."""

    path: str
    """in the repository"""
    digest: Digest
    size: int
    """bytes"""


QUESTION: Final = f"""\
Ask whether the branch takes a commit

The server refused each file that was pushed to it. This changes none.

Artifactd-Version: {__version__}
"""


def message(template: str, user: str, experiment_id: str, lines: Sequence[Line]) -> str:
    """The message of the commit that carries these artifacts of one experiment.

    The trailers read with git-interpret-trailers(1). `Artifactd-Copy` holds sha256, size in bytes and path;
    a path with anything unusual in it is a JSON string.
    """
    count = f"{len(lines)} artifact{'' if len(lines) == 1 else 's'}"
    user, experiment_id = _one_line(user), _one_line(experiment_id)
    if not experiment_id:
        template = "Write {count}"
    values = {"count": count, "user": user or "an unknown user", "experiment_id": experiment_id}
    subject = FIELD.sub(lambda field: values[field[1]], template)[:_SUBJECT_CHARACTERS]
    trailers = [
        *([f"Artifactd-User: {user}"] if user else ()),
        *([f"Artifactd-Experiment: {experiment_id}"] if experiment_id else ()),
        *(f"Artifactd-Copy: {line.digest} {line.size} {_path(line.path)}" for line in lines),
        f"Artifactd-Version: {__version__}",
    ]
    return "\n".join([subject, "", *trailers, ""])


def _one_line(text: str) -> str:
    return printable(text.encode()).strip()


def _path(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)
