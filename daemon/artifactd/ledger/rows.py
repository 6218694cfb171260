"""A row of the ledger as the columns of its table, with a hash of its own. Pure."""

import hashlib
from typing import Any, Final

from artifactd.artifact import Artifact, Identity, Kind, printable
from artifactd.decisions.lifecycle import Row, State

COLUMNS: Final = (
    "source, store, key, wanted_key, user, experiment_id, inside, kind, rule, state, identity, digest, size,"
    " ours, failures, retry_at, reason, evidence, proof, version, changed_at"
)
"""In the order of `encoded`; the hash follows."""

_KINDS: Final = {
    kind.value: kind for kind in Kind
}  # a tenth of the time that an enumeration takes to find one
_STATES: Final = {state.value: state for state in State}


class Altered(Exception):
    """The columns are not the ones that were written."""


def _text(name: str) -> str:
    """A name that may hold bytes which are no UTF-8, as text."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def encoded(row: Row) -> tuple[Any, ...]:
    """The row as its columns, its hash last.

    A user, an experiment or a reason that is no UTF-8 comes back escaped: no key can be made of such a name,
    so it is there for people only. The path comes back as it is.
    """
    identity = row.identity
    columns = (
        row.artifact.path,
        row.store,
        row.key,
        row.wanted_key,
        _text(row.artifact.user),
        _text(row.artifact.experiment_id),
        row.artifact.inside,
        row.artifact.kind.value,
        row.rule,
        row.state.value,
        # Text, because an inode number may need all 64 bits and SQLite's integers are signed.
        identity and f"{identity.dev}.{identity.ino}.{identity.size}.{identity.mtime_ns}.{identity.ctime_ns}",
        row.digest,
        row.size,
        " ".join(row.ours),
        row.failures,
        None if row.retry_at is None else float(row.retry_at),
        _text(row.reason),
        row.evidence,
        row.proof,
        row.version,
        float(row.changed_at),
    )
    return (*columns, _hash(columns))


def decoded(found: tuple[Any, ...]) -> Row:
    """The row of these columns.

    Raises:
        Altered: its hash is not that of its columns.
    """
    check(found)
    *columns, _ = found
    source, store, key, wanted_key, user, experiment_id, inside, kind, rule, state, identity, digest, size = (
        columns[:13]
    )
    ours, failures, retry_at, reason, evidence, proof, version, changed_at = columns[13:]
    return Row(
        store=store,
        artifact=Artifact(source, user, experiment_id, inside, _KINDS[kind]),
        key=key,
        wanted_key=wanted_key,
        rule=rule,
        state=_STATES[state],
        identity=Identity(*map(int, identity.split("."))) if identity else None,
        digest=digest,
        size=size,
        ours=tuple(ours.split()),
        failures=failures,
        retry_at=retry_at,
        reason=reason,
        evidence=evidence,
        proof=proof,
        version=version,
        changed_at=changed_at,
    )


def shown(source: object) -> str:
    """A path of the table for a person, whatever became of it there."""
    return printable(source) if isinstance(source, bytes) else ascii(source)


def check(found: tuple[Any, ...]) -> None:
    """Compare the columns with their hash, which comes last.

    Raises:
        Altered: it is not theirs.
    """
    if _hash(found[:-1]) != found[-1]:
        raise Altered(f"the row of {shown(found[0])} is not the one that was written")


def _hash(columns: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(repr(columns).encode(), digest_size=16).digest()
