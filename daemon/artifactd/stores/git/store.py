"""A branch of a git repository: Bitbucket Cloud, Bitbucket Data Center, or any other git server.

Callers that put at the same time share a push; in it, each experiment has a commit of its own. A put counts
when the branch was read back and holds it. Where somebody else pushed meanwhile, the commits are built again
on theirs: nothing is ever forced. Until then nothing is kept that could be lost: an error is the caller's,
who puts again, and what did get there after all is recognised by git's name for the bytes.

That name is proof: git sends bytes without names, and the server gives them theirs, a SHA-1 over all of them
(with the defence against made-up collisions). A commit that holds the name was taken only because the server
has the bytes.
"""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from urllib.parse import quote

from artifactd.artifact import Digest, InvalidKey, Key
from artifactd.linux.room import FULL, no_room
from artifactd.stores.base import (
    Denied,
    Put,
    Result,
    Stat,
    Store,
    StoreError,
    Unacceptable,
    Unavailable,
    no_progress,
)
from artifactd.stores.git import plumbing, transport
from artifactd.stores.git.answers import excerpt, full_here
from artifactd.stores.git.bisect import apart
from artifactd.stores.git.clone import Clone
from artifactd.stores.git.delivery import CommitDelivery, Verdicts, named_blob
from artifactd.stores.git.group_commit import Gathering
from artifactd.stores.git.lfs.content import Content, Take
from artifactd.stores.git.lfs.files import Lfs
from artifactd.stores.git.lfs.pointer import Pointer
from artifactd.stores.git.lfs.server import Gone, LfsServer, NoLfs
from artifactd.stores.git.message import Signature
from artifactd.stores.git.plumbing import Entry
from artifactd.stores.git.process import GitFailed, NoGit, Runner, Running
from artifactd.stores.git.push import Push
from artifactd.stores.git.remote import Remote

T = TypeVar("T")

_LOOK_AFTER: Final = 64
"""Pushes after which it is looked whether the clone has grown too large."""

_ANY: Final = [Key("k")]
"""A key to ask for only to hear whether the server answers."""


class GitStore(Store):
    """Copies as files of the branch, below the folder `prefix`.

    `home` is the directory for the clone. Callers are gathered for up to `window` seconds. Files of
    `lfs_threshold` bytes and more go to LFS where the server has it; others of more than `max_file_size`
    bytes are refused.
    """

    def __init__(
        self,
        remote: Remote,
        home: Path,
        signature: Signature,
        *,
        prefix: str = "",
        window: float = 0.0,
        lfs_threshold: int | None = None,
        max_file_size: int = 100 << 20,
        name: str = "bitbucket",
    ) -> None:
        self.name = name
        self._remote, self._home, self._signature = remote, home, signature
        self._prefix = f"{prefix}/" if prefix else ""
        self._lfs_threshold = lfs_threshold
        self._running = Running()
        self._lfs = Lfs(LfsServer(remote, Runner(Path("/"), remote.seconds, self._running)))
        self._max_file_size = max_file_size
        self._gathering = Gathering(self._deliver, window)
        self._turn = Lock()
        self.apart = lfs_threshold if self._lfs.server.possible else None
        self._closed = False
        self._clone: Clone | None = None
        self._pushes = 0

    # --- puts ---

    def _put(self, puts: Sequence[Put]) -> list[Result]:
        prepared = [self._prepared(put) for put in puts]
        on_their_way = [one for one in prepared if isinstance(one, CommitDelivery)]
        if on_their_way:
            self._gathering.join(on_their_way)
        return [
            one if isinstance(one, StoreError) else one.result or StoreError("not reached", one.put.key)
            for one in prepared
        ]

    def _prepared(self, put: Put) -> CommitDelivery | StoreError:
        """The put, its source read and known to be what was announced; or why it cannot be made."""
        path = self._prefix + put.key.text
        try:
            if (pointer := self._in_lfs(put)) is not None:
                return CommitDelivery.of_pointer(put, path, pointer)
            if put.size > self._max_file_size:
                return self._too_large(put)
            return CommitDelivery(put, path, named_blob(put), put.source)
        except StoreError as error:
            return error

    def _in_lfs(self, put: Put) -> Pointer | None:
        """The pointer to the bytes, which are in LFS now; None where they belong into git itself."""
        if self._lfs_threshold is None or put.size < self._lfs_threshold:
            return None
        try:
            return self._lfs.upload(put)
        except NoLfs:
            return None
        except (Unavailable, Denied) as error:  # of LFS alone: what goes into git itself need not wait for it
            raise StoreError(str(error), put.key) from error

    def _too_large(self, put: Put) -> Unacceptable:
        reason = f"{put.key} has {put.size} bytes; max_file_size of [git] allows {self._max_file_size}"
        if self._lfs_threshold is not None and put.size >= self._lfs_threshold:
            reason += ", and the server has no LFS for larger ones"
        return Unacceptable(reason)

    def _deliver(self, deliveries: Sequence[CommitDelivery]) -> None:
        """Give each its result."""
        try:
            verdicts = apart(deliveries, self._pushed, lambda: self._with_clone(self._ask))
        except StoreError as error:
            for one in deliveries:
                one.result = error
            return
        for one in deliveries:
            one.result = verdicts[one]

    def _pushed(self, deliveries: Sequence[CommitDelivery]) -> Verdicts:
        return self._with_clone(lambda clone: self._push(deliveries, clone))

    def _ask(self, clone: Clone) -> None:
        self._push_of((), clone).ask()

    def _push_of(self, deliveries: Sequence[CommitDelivery], clone: Clone) -> Push:
        held, small = partial(self._held, clone), partial(self._small, clone)
        return Push(clone, self._remote, deliveries, self._signature, held, small)

    def _push(self, deliveries: Sequence[CommitDelivery], clone: Clone) -> Verdicts:
        try:
            return self._push_of(deliveries, clone).run()
        finally:
            clone.sweep()
            self._pushes += 1
            if self._pushes % _LOOK_AFTER == 0 and clone.overgrown:
                self._discard()

    # --- the clone ---

    def _with_clone(self, work: Callable[[Clone], T]) -> T:
        """What `work` makes of the clone. One that does not work is thrown away, and a new one tried once.

        Raises:
            StoreError: of `work`; or the new clone does not work either.
        """
        try:
            with self._turn:
                return self._worked(work)
        finally:
            if self._closed:
                self._leave()

    def _worked(self, work: Callable[[Clone], T]) -> T:
        try:
            try:
                return work(self._cloned())
            except (GitFailed, OSError):
                if self._closed:  # it was killed, and so would the next one be
                    raise
                self._discard()
                return work(self._cloned())
        except NoGit as error:
            raise Denied(str(error)) from error
        except GitFailed as failed:
            self._discard()
            if full_here(failed.said):
                raise self._no_room(errno.ENOSPC) from failed
            raise Unavailable(f"git does not do its work: {excerpt(str(failed))}") from failed
        except OSError as error:
            self._discard()
            if error.errno in FULL:
                raise self._no_room(error.errno) from error
            raise Unavailable(f"{self._home}: {error.strerror}. The clone is kept there") from error

    def _no_room(self, number: int) -> Unavailable:
        mend = "The clone is kept there, and what is pushed or read back meanwhile: make room"
        return Unavailable(f"{no_room(number, self._home)}. {mend}")

    def _cloned(self) -> Clone:
        if self._clone is None:
            self._clone = Clone(self._home, self._remote, self._running)
        return self._clone

    def _discard(self, *, in_order: bool = False) -> None:
        if self._clone is not None:
            self._clone.close(in_order=in_order)
            self._clone = None

    def close(self) -> None:
        """Leave the clone for the next time, and forget the password.

        Commands of git that are under way are killed, and not waited for: whose they are leaves the clone.
        """
        self._closed = True
        self._running.end()
        self._leave()

    def _leave(self) -> None:
        """Let go of the clone and the password, unless somebody is at work with them, who does it then."""
        if self._turn.acquire(blocking=False):
            try:
                self._discard(in_order=True)
                self._remote.close()
            finally:
                self._turn.release()

    # --- reads ---

    def uri(self, key: Key) -> str:
        """The repository's address, with branch and path as its fragment."""
        place = quote(f"{self._remote.branch}/{self._prefix}{key.text}")
        return f"{self._remote.address.url}#{place}"

    def stat(self, key: Key) -> Stat | None:
        """As `Store.stat`: the version is git's name for the bytes, or for the pointer to them."""
        return _raised(next(self.stats([key])))

    def stats(self, keys: Sequence[Key]) -> Iterator[Stat | StoreError | None]:
        """As `Store.stats`: one look at the branch."""
        for entry in self._entries(keys):
            yield Stat(None, entry.blob) if isinstance(entry, Entry) else entry

    def digest(self, key: Key, progress: Callable[[int], None] = no_progress) -> Digest | None:
        """As `Store.digest`. The bytes come from the remote, not from the clone."""
        return _raised(next(self.digests([key], progress)))

    def digests(
        self, keys: Sequence[Key], progress: Callable[[int], None] = no_progress
    ) -> Iterator[Digest | StoreError | None]:
        """As `Store.digests`: one fetch of all. The bytes come from the remote, not from the clone."""
        entries = self._entries(keys)
        blobs = dict.fromkeys(entry.blob for entry in entries if isinstance(entry, Entry))
        contents = self._contents(list(blobs), progress)
        for entry in entries:
            content = contents[entry.blob] if isinstance(entry, Entry) else entry
            try:
                yield self._digest(content, progress) if isinstance(content, Content) else content
            except StoreError as error:
                yield error

    def keys(self, prefix: str = "") -> Iterator[Key]:
        """As `Store.keys`."""
        folder = self._prefix + prefix.rpartition("/")[0]
        folder += "/" if folder and not folder.endswith("/") else ""
        for path in self._with_clone(lambda clone: self._files(clone, folder)):
            with suppress(InvalidKey):
                key = Key(path.removeprefix(self._prefix))
                if key.text.startswith(prefix):
                    yield key

    def _files(self, clone: Clone, folder: str) -> list[str]:
        return [path for path, _ in plumbing.files(clone, self._head(clone), folder)]

    def _entries(self, keys: Sequence[Key]) -> Sequence[Entry | StoreError | None]:
        """The files that the remote's branch has at these keys now; or why it cannot be known of any."""
        paths = [self._prefix + key.text for key in keys]
        try:
            there = self._with_clone(lambda clone: plumbing.entries(clone, self._head(clone), paths))
        except StoreError as error:
            return [error] * len(keys)
        found = (there.get(path) for path in paths)
        return [entry if entry is not None and entry.is_file else None for entry in found]

    def _head(self, clone: Clone) -> str:
        """The commit at the remote's branch now, known to the clone; empty: there is no such branch."""
        if (now := transport.tip(clone, self._remote)) and now != plumbing.head(clone):
            transport.fetch(clone, self._remote)
            now = plumbing.head(clone)
        return now

    def _contents(
        self, blobs: Sequence[str], progress: Callable[[int], None]
    ) -> Mapping[str, Content | StoreError]:
        """What the remote has by these names. One that it cannot give keeps nothing from the others."""
        if not blobs:
            return {}
        try:
            return self._with_clone(lambda clone: self._read(clone, blobs, progress))
        except StoreError as error:
            if len(blobs) == 1 or isinstance(self._entries(_ANY)[0], StoreError):
                return dict.fromkeys(blobs, error)
            middle = len(blobs) // 2
            return {**self._contents(blobs[:middle], progress), **self._contents(blobs[middle:], progress)}

    def _read(
        self, clone: Clone, blobs: Sequence[str], progress: Callable[[int], None]
    ) -> dict[str, Content]:
        contents: dict[str, Content] = {}

        def begin(blob: str) -> Take:
            contents[blob] = Content(progress)
            return contents[blob].take

        transport.read(clone, self._remote, blobs, begin)
        return contents

    def _digest(self, content: Content, progress: Callable[[int], None]) -> Digest | None:
        """What a file of the repository holds. None: it points to a large file that is gone."""
        if content.pointer:
            try:
                return self._lfs.digest(content.pointer, progress)
            except Gone:
                return None
            except NoLfs:  # a text that looks like a pointer, and points to nothing
                pass
        content.report()
        return content.digest

    def _held(self, clone: Clone, entry: Entry) -> Digest | StoreError | None:
        """As `_digest`; or what is wrong with LFS, which is this file's trouble and no other's."""
        content = self._read(clone, [entry.blob], no_progress)[entry.blob]
        try:
            return self._digest(content, no_progress)
        except StoreError as error:
            return StoreError(str(error))

    def _small(self, clone: Clone, blob: str) -> bytes:
        pieces: list[bytes] = []
        transport.read(clone, self._remote, [blob], lambda _name: pieces.append)
        return b"".join(pieces)


def _raised(found: T | StoreError) -> T:
    if isinstance(found, StoreError):
        raise found
    return found
