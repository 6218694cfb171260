"""What is kept beside an object's bytes: where they came from, and which try wrote them. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from artifactd import __version__
from artifactd.stores.base import Put

MOST_BYTES: Final = 2_000
"""Amazon S3 keeps 2 KB of user metadata for an object, names included; Azure Blob Storage 8 KB."""

_SAFE: Final = " /!#$&'()*+,:;=?@[]-._~"


def metadata(put: Put, attempt: str) -> dict[str, str]:
    """The metadata of this put, in ASCII: anything else is escaped as in a URL.

    Names have neither "-" nor "_": Azure allows no dash, some proxies drop headers with an underscore. What
    does not fit is left out, the longest first to go: the record has it all.
    """
    described = {
        "sha256": put.digest,
        "attempt": attempt,
        "size": str(put.size),
        "artifactd": __version__,
        "kind": put.about.kind,
        "experiment": put.about.experiment_id,
        "user": put.about.user,
        "source": put.about.source,
    }
    return _fitting({name: kept for name, value in described.items() if (kept := _ascii(value))})


def _ascii(value: str) -> str:
    return quote(value, safe=_SAFE, errors="backslashreplace").strip()


def _fitting(described: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = MOST_BYTES
    for name, value in described.items():
        if len(name) + len(value) <= room:
            kept[name] = value
            room -= len(name) + len(value)
    return kept
