"""The columns of a row as they lie in the ledger's tables: what another one tells is not kept twice. Pure.

The folder is kept once for all copies below it, digests as bytes, and of what is nearly always the same as
something else only that it differs. A row's hash is of the columns as `rows` has them: it covers its folder.
"""

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from artifactd.ledger.rows import Altered, shown

PLACE: Final = "user, experiment_id, folder"
FIXED: Final = "path, inside, source_hash, store, key, wanted_key, key_hash"
CHANGING: Final = (
    "kind, rule, state, identity, digest, size, ours, failures, retry_at, reason, evidence, proof, version,"
    " changed_at, hash"
)

_DIGEST_BYTES: Final = 32
_ON_THE_WAY: Final = (
    2048  # a copy is looked up when its file was read, when its put begins, and when it ended
)
_IDENTITY: Final = struct.Struct("<5Q")

Place = tuple[str, str, bytes]
"""A user, an experiment, and the folder that the paths below it do not repeat."""


class Stored(NamedTuple):
    """A row in the order of PLACE, FIXED and CHANGING."""

    place: Place
    fixed: tuple[Any, ...]
    changing: tuple[Any, ...]


def compact(columns: tuple[Any, ...]) -> Stored:
    """The columns of `rows.encoded` as they are kept."""
    return Stored(place_of(columns), fixed_of(columns), changing_of(columns))


def place_of(columns: tuple[Any, ...]) -> Place:
    """Of the columns of `rows.encoded` those that the table of places has."""
    source, inside = columns[0], columns[6]
    return columns[4], columns[5], source.removesuffix(inside)


def fixed_of(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of the columns of `rows.encoded` those that stay what they are, but when the file has another place."""
    source, store, key, wanted_key, _, _, inside = columns[:7]
    path = inside if source.endswith(inside) else b""  # then the folder has all of it
    return (
        path,
        None if inside == path else inside,
        source_hash(source),
        store,
        key,
        None if wanted_key == key else wanted_key,
        key_hash(store, key),
    )


def changing_of(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of the columns of `rows.encoded` the others."""
    kind, rule, state, identity, digest, size, ours, *others = columns[7:]
    return (
        kind,
        rule,
        state,
        identity and _packed(identity),
        digest and bytes.fromhex(digest),
        size,
        None if ours == (digest or "") else bytes.fromhex(ours),
        *others,
    )


def expanded(place: tuple[Any, ...], fixed: tuple[Any, ...], changing: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns for `rows.decoded`, which compares them with their hash.

    Raises:
        Altered: they cannot be what was written.
    """
    user, experiment_id, folder = place
    path, inside, _, store, key, wanted_key, _ = fixed
    kind, rule, state, identity, digest, size, ours, *others = changing
    try:
        digest = digest and digest.hex()
        return (
            folder + path,
            store,
            key,
            key if wanted_key is None else wanted_key,
            user,
            experiment_id,
            path if inside is None else inside,
            kind,
            rule,
            state,
            ".".join(map(str, _IDENTITY.unpack(identity))) if isinstance(identity, bytes) else identity,
            digest,
            size,
            digest or "" if ours is None else ours.hex(" ", _DIGEST_BYTES),
            *others,
        )
    except (AttributeError, TypeError, ValueError, struct.error) as error:
        raise Altered(f"the row of {shown(path)} is not the one that was written") from error


def digests(digest: bytes | None, ours: bytes | None) -> str:
    """The digests of `ours` as `rows` writes them."""
    found = digest or b"" if ours is None else ours
    return found.hex(" ", _DIGEST_BYTES)


def _packed(identity: str) -> bytes | str:
    """Forty bytes; the text itself where a time is before 1970 or far beyond what most file systems keep."""
    try:
        return _IDENTITY.pack(*map(int, identity.split(".")))
    except struct.error:
        return identity


@lru_cache(maxsize=_ON_THE_WAY)
def source_hash(source: bytes) -> int:
    """Where an index has the path."""
    return _near(source, source)


@lru_cache(maxsize=_ON_THE_WAY)
def key_hash(store: str, key: str) -> int:
    """Where an index has the key of that store."""
    return _near(key.encode(), f"{store}\0{key}".encode())


def _near(path: bytes, whole: bytes) -> int:
    """64 bits for `whole`, near those of its neighbours: one commit then touches few pages of the index.

    They find the rows to look at; which of those is meant, their own columns say.
    """
    folder = b"/".join(path.split(b"/", 2)[:2])
    bits = blake2b(folder, digest_size=3).digest() + blake2b(whole, digest_size=5).digest()
    return int.from_bytes(bits, "big", signed=True)
