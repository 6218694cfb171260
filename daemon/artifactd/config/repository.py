"""What the Bitbucket store needs of the configuration: its table, its checks, its destination. Pure."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import PlainValidator

from artifactd.artifact import InvalidKey, Key
from artifactd.config import values
from artifactd.config.destination import Bitbucket
from artifactd.config.values import Table
from artifactd.stores.git.address import Address, Protocol
from artifactd.stores.git.message import SUBJECT, Identity, subject_template

if TYPE_CHECKING:
    from artifactd.config.document import Document

_MIB: Final = 1 << 20
_NO_BRANCH: Final = re.compile(
    r"\A[-/.]|\.\.|//|@\{|[\x00-\x20~^:?*\[\\\x7f]|\.lock(?:/|\Z)|/\.|[/.]\Z|\A@?\Z"
)
"""What no branch may be called (git-check-ref-format(1))."""


def _prefix(value: object) -> str:
    try:
        return Key.of(*values.text(value).strip("/").split("/")).text if value else ""
    except InvalidKey as error:
        raise ValueError(f"a folder of the repository: {error}") from None


def _identity(value: object) -> str:
    Identity.parse(values.text(value))
    return values.text(value)


def _subject(value: object) -> str:
    return subject_template(values.text(value))


class GitTable(Table):
    """`[git]`."""

    prefix: Annotated[str, PlainValidator(_prefix)] = ""
    author: Annotated[str, PlainValidator(_identity)] = "artifactd <artifactd@localhost>"
    committer: Annotated[str, PlainValidator(_identity)] = "artifactd <artifactd@localhost>"
    commit_subject: Annotated[str, PlainValidator(_subject)] = SUBJECT
    lfs_threshold: Annotated[int | None, PlainValidator(values.optional(values.size))] = 10 * _MIB
    max_file_size: Annotated[int, PlainValidator(values.size)] = 100 * _MIB
    batch_window_seconds: Annotated[float, PlainValidator(values.seconds(600))] = 1.0
    timeout_seconds: Annotated[float, PlainValidator(values.seconds(24 * 3600))] = 600.0
    ca_file: Annotated[Path | None, PlainValidator(values.optional(values.place))] = None
    known_hosts: Annotated[Path | None, PlainValidator(values.optional(values.place))] = None


def problems(document: "Document") -> Iterator[tuple[str, str]]:
    """What is wrong with the keys of the repository, each with its mend. Their values are not shown."""
    if document.artifacts_git_repo:
        try:
            Address.parse(document.artifacts_git_repo)
        except ValueError as error:
            yield "artifacts_git_repo", f"allowed: {error}"
    if _NO_BRANCH.search(document.artifacts_git_branch):
        yield "artifacts_git_branch", "allowed: the name of a branch, as in `git check-ref-format`"
    relative = Path(document.bitbucket_tmp_relative_dir)
    if relative.is_absolute() or ".." in relative.parts or "\0" in str(relative):
        yield "bitbucket_tmp_relative_dir", "allowed: a path inside the data directory, or nothing"


def doubts(document: "Document") -> Iterator[str]:
    """What is allowed but seldom meant."""
    if document.bitbucket_skip_cert_verification:
        yield (
            "bitbucket_skip_cert_verification: the git server's certificate is NOT checked, so whoever is in "
            "between reads password and artifacts; name its authority's certificate in ca_file of [git]"
        )
    if document.bitbucket_tmp_relative_dir:
        yield (
            "bitbucket_tmp_relative_dir: the clone lies in the data directory, but Driverless AI's support "
            "advises to add nothing there; leave it empty, then it lies in the state directory"
        )


def destination(document: "Document") -> Bitbucket:
    """The branch, as the store takes it. The document has no `problems`."""
    relative, table = document.bitbucket_tmp_relative_dir, document.git
    state = document.artifactd.state_directory
    return Bitbucket(
        repo=document.artifacts_git_repo,
        branch=document.artifacts_git_branch,
        user=document.artifacts_git_user,
        password=document.artifacts_git_password,
        ssh_private_key_file=document.artifacts_git_ssh_private_key_file_location,
        skip_cert_verification=document.bitbucket_skip_cert_verification and _is_https(document),
        clones=document.data_directory / relative if relative else state / "git",
        **table.model_dump(),
    )


def _is_https(document: "Document") -> bool:
    return Address.parse(document.artifacts_git_repo).protocol is Protocol.HTTPS
