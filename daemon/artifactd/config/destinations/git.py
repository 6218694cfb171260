"""A branch of a git repository: Bitbucket's or any other. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final

from artifactd.artifact import InvalidKey, Key
from artifactd.config import values
from artifactd.config.destinations.git_address import Address, Protocol
from artifactd.config.destinations.kinds import Clash, Missing, Settings, StoreKind
from artifactd.config.values import Hidden, MaybePlace, Secret, Switch, Table, Text, plain

SUBJECT: Final = "Export {count} of {user}'s experiment {experiment_id}"
FIELDS: Final = frozenset({"count", "user", "experiment_id"})
"""What a template of a commit's subject may name."""
FIELD: Final = re.compile(r"\{(\w*)\}")

_MIB: Final = 1 << 20
_NO_BRANCH: Final = re.compile(
    r"\A[-/.]|\.\.|//|@\{|[\x00-\x20~^:?*\[\\\x7f]|\.lock(?:/|\Z)|/\.|[/.]\Z|\A@?\Z"
)
"""What no branch may be called (git-check-ref-format(1))."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A branch of a repository, and how to get there."""

    address: Address
    branch: str
    user: str = ""
    password: Hidden | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ca_file: Path | None = None
    skip_cert_verification: bool = False
    """only over https"""
    seconds: float = 600.0
    """after which one command of git is killed"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or a program, as a commit names it."""

    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """From git's form, `Name <address>`.

        Raises:
            ValueError: it has another form.
        """
        name, _, rest = text.partition("<")
        if not (name.strip() and rest.endswith(">") and text.isprintable()) or set("<>") & set(rest[:-1]):
            raise ValueError('a name and an address, such as "artifactd <artifactd@example.com>"')
        return cls(name.strip(), rest[:-1].strip())


def subject_template(value: object) -> str:
    """The parser of the first line of commits.

    Raises:
        ValueError: it names a field that there is not, or is no single line.
    """
    text = values.text(value)
    if set(FIELD.findall(text)) - FIELDS or not text.strip() or not text.isprintable():
        raise ValueError("one line of text, with {count}, {user} and {experiment_id} where they belong")
    return text


def _prefix(value: object) -> str:
    try:
        return Key.of(*values.text(value).strip("/").split("/")).text if value else ""
    except InvalidKey as error:
        raise ValueError(f"a folder of the repository: {error}") from None


def _identity(value: object) -> str:
    Identity.parse(values.text(value))
    return values.text(value)


@dataclass(frozen=True)
class GitKeys(Table):
    """Driverless AI's."""

    artifacts_git_repo: values.Address = ""
    artifacts_git_branch: Text = "dev"
    artifacts_git_user: Text = "git"
    artifacts_git_password: Secret = None
    artifacts_git_ssh_private_key_file_location: MaybePlace = None
    bitbucket_skip_cert_verification: Switch = False
    bitbucket_tmp_relative_dir: Text = ""


@dataclass(frozen=True)
class GitTable(Table):
    """`[git]`."""

    prefix: Annotated[str, _prefix] = ""
    author: Annotated[str, _identity] = "artifactd <artifactd@localhost>"
    committer: Annotated[str, _identity] = "artifactd <artifactd@localhost>"
    commit_subject: Annotated[str, subject_template] = SUBJECT
    lfs_threshold: Annotated[int | None, values.optional(values.size)] = 10 * _MIB
    max_file_size: Annotated[int, values.size] = 100 * _MIB
    batch_window_seconds: Annotated[float, values.seconds(600)] = 1.0
    timeout_seconds: Annotated[float, values.seconds(24 * 3600)] = 600.0
    ca_file: MaybePlace = None
    known_hosts: MaybePlace = None


@dataclass(frozen=True, slots=True)
class Bitbucket:
    """A branch of a git repository."""

    kind: ClassVar = StoreKind.BITBUCKET
    repository: Repository
    clones: Path
    """the directory of the local clones"""
    table: GitTable


@dataclass(frozen=True, slots=True)
class GitSettings(Settings):
    """What is set for it."""

    keys: GitKeys
    table: GitTable
    data_directory: Path
    state_directory: Path

    def missing(self) -> Iterator[Missing]:
        """As `Settings.missing`."""
        if not self.keys.artifacts_git_repo:
            yield Missing(("artifacts_git_repo",), "a repository")

    def clashes(self) -> Iterator[Clash]:
        """As `Settings.clashes`: what is wrong with each key by itself, but only where the store is used."""
        if self.keys.artifacts_git_repo:
            try:
                Address.parse(self.keys.artifacts_git_repo)
            except ValueError as error:
                yield Clash(("artifacts_git_repo",), f"allowed: {error}")
        if _NO_BRANCH.search(self.keys.artifacts_git_branch):
            mend = "allowed: the name of a branch, as in `git check-ref-format`"
            yield Clash(("artifacts_git_branch",), mend)
        relative = Path(self.keys.bitbucket_tmp_relative_dir)
        if relative.is_absolute() or ".." in relative.parts or "\0" in str(relative):
            mend = "allowed: a path inside the data directory, or nothing"
            yield Clash(("bitbucket_tmp_relative_dir",), mend)

    def doubts(self) -> Iterator[str]:
        """As `Settings.doubts`."""
        if self.keys.bitbucket_skip_cert_verification:
            yield (
                "bitbucket_skip_cert_verification: the git server's certificate is NOT checked, so whoever "
                "is in between reads password and artifacts; name its authority's certificate in ca_file of "
                "[git]"
            )
        if self.keys.bitbucket_tmp_relative_dir:
            yield (
                "bitbucket_tmp_relative_dir: the clone lies in the data directory, but Driverless AI's "
                "support advises to add nothing there; leave it empty, then it lies in the state directory"
            )

    def secrets(self) -> Iterator[str]:
        """As `Settings.secrets`."""
        yield from filter(None, [plain(self.keys.artifacts_git_password)])

    def destination(self) -> Bitbucket:
        """The branch, as its store takes it."""
        keys, table = self.keys, self.table
        address, relative = Address.parse(keys.artifacts_git_repo), keys.bitbucket_tmp_relative_dir
        return Bitbucket(
            Repository(
                address,
                keys.artifacts_git_branch,
                user=keys.artifacts_git_user,
                password=keys.artifacts_git_password,
                ssh_key=keys.artifacts_git_ssh_private_key_file_location,
                known_hosts=table.known_hosts,
                ca_file=table.ca_file,
                skip_cert_verification=(
                    keys.bitbucket_skip_cert_verification and address.protocol is Protocol.HTTPS
                ),
                seconds=table.timeout_seconds,
            ),
            self.data_directory / relative if relative else self.state_directory / "git",
            table,
        )
