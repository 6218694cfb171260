"""One put of a batch into a directory, step by step: look, write, prove, publish."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from artifactd import checksum
from artifactd.artifact import Identity
from artifactd.linux.durable import rename_create_only
from artifactd.linux.files import identity_of
from artifactd.linux.open_beneath import READ
from artifactd.stores.base import (
    Conflict,
    Corrupt,
    Denied,
    Proof,
    Put,
    Receipt,
    Result,
    StoreError,
    Unavailable,
)
from artifactd.stores.filesystem.answers import meaning
from artifactd.stores.filesystem.copying import copy
from artifactd.stores.filesystem.spelling import demand

_TRIES: Final = 3  # somebody who changes a key faster than this is answered at the next put


@dataclass(slots=True)
class FileDelivery:
    """What is known of one put so far."""

    put: Put
    result: Result | None = None
    """None while it is on its way"""
    folder: int = -1
    """the open folder of the key"""
    folds_case: bool = False
    """whether that may find another artifact's copy at the name"""
    temporary: bytes = b""
    """the name of the new copy while it has no other"""
    replaced: Identity | None = None
    """what the key held when it was recognised as ours; None: the key held nothing"""

    @property
    def name(self) -> bytes:
        """The copy's name in `folder`."""
        return self.put.key.name.encode()

    @property
    def delivered(self) -> bool:
        """Whether the key holds the bytes."""
        return isinstance(self.result, Receipt)

    @property
    def published(self) -> bool:
        """Whether it was this delivery that put them there."""
        return isinstance(self.result, Receipt) and self.result.written

    def look(self, *, flush: bool) -> None:
        """Decide by what the key holds now: nothing, the same bytes, bytes of ours, or somebody else's.

        Raises:
            Conflict: somebody else's, another artifact's, or no file.
            OSError: it cannot be read.
        """
        self.replaced = None
        try:
            fd = os.open(self.name, READ, dir_fd=self.folder)
        except FileNotFoundError:
            return
        try:
            if self.folds_case:
                demand(self.folder, self.name, self.put.key.text)
            self._judge(fd)
            if flush and self.delivered:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _judge(self, fd: int) -> None:
        put = self.put
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Conflict("something that is no file stands in its place", put.key)
        digest, size = checksum.of_file(fd)
        if digest == put.digest:
            self.result = Receipt(digest, size, Proof.READ_BACK, written=False)
        elif digest in put.replaceable:
            self.replaced = identity_of(status)
        else:
            raise Conflict.over(put.key, f"sha256 {digest}")

    def write(self, temporary: int, name: bytes, mode: int, *, flush: bool) -> None:
        """Write and prove the copy as `name` in the folder `temporary`.

        Raises:
            Corrupt: it does not read back as what was to be put.
            StoreError: the source is no file.
            OSError: it cannot be written.
        """
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=temporary)
        try:
            self.temporary = name
            try:
                copy(self.put.source, fd)
            except IsADirectoryError as error:  # of the source: nothing stands in the way of the key
                raise StoreError(f"the source cannot be read: {error.strerror}", self.put.key) from error
            os.fchmod(fd, mode)
            self._prove(fd)
            if flush:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _prove(self, fd: int) -> None:
        put = self.put
        if put.source.content is not None:
            digest = checksum.of_bytes(os.pread(fd, put.size + 1, 0))
        else:
            digest, _ = checksum.of_file(fd)
        if digest != put.digest:
            raise Corrupt(f"what was written reads back as sha256 {digest}, not {put.digest}", put.key)

    def publish(self, temporary: int) -> None:
        """Give the copy its name. Where the key changed hands meanwhile, decide anew by what it holds now.

        Raises:
            StoreError: as `look`, or the key keeps changing hands.
            OSError: it cannot be renamed.
        """
        for _ in range(_TRIES):
            if self._renamed(temporary):
                self.temporary = b""
                self.result = Receipt(self.put.digest, self.put.size, Proof.READ_BACK)
                return
            self.look(flush=True)
            if self.result is not None:
                return
        raise StoreError(f"{self.put.key} is being changed by somebody else")

    def _renamed(self, temporary: int) -> bool:
        """Whether the copy has its name now; not where the key no longer holds what was seen there."""
        if self.replaced is None:
            try:
                rename_create_only(temporary, self.temporary, self.folder, self.name)
            except FileExistsError:
                return False
            return True
        try:
            now = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if identity_of(now) != self.replaced:
            return False
        os.rename(self.temporary, self.name, src_dir_fd=temporary, dst_dir_fd=self.folder)
        return True

    def discard(self, temporary: int) -> None:
        """Remove what was written and not published."""
        if self.temporary:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=temporary)

    def fail(self, error: StoreError) -> None:
        """The whole batch met `error`. Even a receipt is void: what it promised was not flushed."""
        if self.result is None or self.delivered:
            self.result = error

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """An error in the block is this delivery's result and nobody else's.

        Raises:
            OSError: it speaks of the whole store.
        """
        try:
            yield
        except OSError as error:
            met = meaning(error, str(self.put.key))
            if isinstance(met, Unavailable) or error.errno == errno.EOPNOTSUPP:
                raise
            # One folder that does not let us in is that folder's trouble, not the store's.
            self.result = StoreError(met.reason, met.what) if isinstance(met, Denied) else met
        except StoreError as error:
            self.result = error
