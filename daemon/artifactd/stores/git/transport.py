"""What goes over the network: look at the branch, fetch it, push to it, read blobs of it.

Every function raises a StoreError where the cause is known, and GitFailed where it may be the clone's.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from artifactd.config.destinations.git_address import Protocol
from artifactd.stores.base import Denied
from artifactd.stores.git import answers
from artifactd.stores.git.clone import HEAD, Clone
from artifactd.stores.git.lfs.content import Batch, Take
from artifactd.stores.git.process import GitFailed, NoGit
from artifactd.stores.git.remote import Remote

_QUIET: Final = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
_SHALLOW: Final = ("--depth=1", "--filter=blob:none")
_UP_TO_DATE: Final = b"[up to date]"
_NO_BRANCH: Final = "couldn't find remote ref"
_WHOLE: Final = {"GIT_SHALLOW_FILE": ""}
"""Lets git take the clone for one with all of its history."""
_DURABLE: Final = "--receive-pack=git -c core.fsync=all receive-pack"
"""A server syncs as it was told to; a directory on this machine is synced by us (core.fsync)."""


def tip(clone: Clone, remote: Remote) -> str:
    """The commit that the remote's branch is at; empty: there is no such branch."""
    branch = remote.ref.encode()
    with _answered(clone):
        output = clone.git.run("ls-remote", "origin", remote.ref, env=clone.online(), fds=remote.credential())
    lines = (line.partition(b"\t") for line in output.split(b"\n"))  # other branches may be called anything
    return next((commit.decode("ascii", "replace") for commit, _, ref in lines if ref == branch), "")


def fetch(clone: Clone, remote: Remote) -> bool:
    """Bring the branch's last commit and its folders into the clone: no history, and no files.

    False: there is no such branch.
    """
    with _answered(clone):
        try:
            clone.git.run(
                "fetch", *_QUIET, *_SHALLOW, "origin", f"+{remote.ref}:{HEAD}",
                env=clone.online(), fds=remote.credential(),
            )  # fmt: skip
        except GitFailed as failed:
            if _NO_BRANCH in failed.said:
                return False
            raise
    return True


def push(clone: Clone, remote: Remote, commit: str, base: str) -> str | None:
    """None where the branch took the commit, whose first parent is `base`; else what git said.

    It is not taken where the branch is no longer at `base`; the words alone do not tell whether that is so.

    The lease is stricter than a plain push, which would bring back what others took out by setting the branch
    back. As the commit follows `base`, nothing is ever forced. Where the branch has this very commit already,
    somebody else made it: in the same second, of the same bytes.
    """
    with _answered(clone):
        try:
            said = _pushed(clone, remote, commit, base)
        except GitFailed as failed:
            if not base or clone.shallow is not None or not answers.hung_up(failed.said):
                raise
            said = _unknowing(clone, remote, commit, base)
        else:
            clone.shallow = clone.shallow is not False if base else None
    return said


def _unknowing(clone: Clone, remote: Remote, commit: str, base: str) -> str | None:
    """Push without a word of the history that is missing here: some servers hang up on that (dulwich does).

    They have the history themselves. Where that is not it, the next push is as before.
    """
    clone.shallow = False
    try:
        return _pushed(clone, remote, commit, base)
    except GitFailed:
        clone.shallow = None
        raise


def _pushed(clone: Clone, remote: Remote, commit: str, base: str) -> str | None:
    durable = (_DURABLE,) if remote.address.protocol is Protocol.FILE else ()
    env = clone.online() | (_WHOLE if clone.shallow is False else {})
    try:
        output = clone.git.run(
            "push", "--porcelain", "--no-verify", *durable, f"--force-with-lease={remote.ref}:{base}",
            "origin", f"{commit}:{remote.ref}", env=env, fds=remote.credential(),
        )  # fmt: skip
    except GitFailed as failed:
        if answers.rejected(failed.said):
            return failed.said
        raise
    return "the very same commit is there" if _UP_TO_DATE in output else None


def read(clone: Clone, remote: Remote, blobs: Collection[str], begin: Callable[[str], Take]) -> None:
    """Hand the bytes of each blob to what `begin` returns for it, as the remote gives them now.

    All of them are on this host's disk meanwhile.
    """
    names = "".join(f"{blob}\n" for blob in blobs).encode()
    with clone.scratch() as git:
        env = dict(remote.env)
        try:
            git.run(
                "fetch", *_QUIET, "--filter=blob:none", "--stdin", "origin",
                stdin=names, env=env, fds=remote.credential(),
            )  # fmt: skip
        except GitFailed as failed:
            # Servers that know no filters also give no single blobs: then the whole head, without history.
            met = None if answers.full_here(failed.said) else answers.meaning(failed.said)
            if met is not None and "not our ref" not in failed.said:
                raise met from failed
            with _answered(clone):
                git.run("config", "--unset", "extensions.partialClone", env=env)
                git.run("fetch", *_QUIET, "--depth=1", "origin", remote.ref, env=env, fds=remote.credential())
        batch = Batch(begin)
        git.stream("cat-file", "--batch", take=batch.take, stdin=names, env={"GIT_ALLOW_PROTOCOL": ""})
        if batch.missing:
            raise GitFailed("cat-file", f"the remote did not give {batch.missing}")


@contextmanager
def _answered(clone: Clone) -> Iterator[None]:
    """Git's complaint in the block, as what it means."""
    try:
        yield
    except NoGit as error:
        raise Denied(str(error)) from error
    except GitFailed as failed:
        met = answers.meaning(failed.said)
        if met is None or not clone.intact or answers.full_here(failed.said):
            raise
        raise met from failed
