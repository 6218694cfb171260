"""What an error of the file system means to whoever asked."""

import errno

from artifactd.linux.room import FULL, no_room
from artifactd.stores.base import Conflict, Denied, StoreError, Unacceptable, Unavailable
from artifactd.stores.mends import SOMEWHERE, mended


class Full(Unavailable):
    """There is no room for what was to be written."""


def meaning(error: OSError, what: str) -> StoreError:
    """What `error`, met at `what`, means to whoever asked. Of the store as a whole it is the directory."""
    reason = str(error.strerror)
    told = mended(reason, error, SOMEWHERE)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EMFILE | errno.ENFILE:
            full = error.errno in FULL
            return Full(no_room(error.errno, what)) if full else Unavailable(told, what)
        case errno.ESTALE | errno.ENODEV | errno.ENOTCONN | errno.EHOSTDOWN:
            return Unavailable(told, what)
        case errno.EACCES | errno.EPERM | errno.EOPNOTSUPP:
            return Denied(told, what)
        case errno.ELOOP | errno.ENOTDIR | errno.EXDEV | errno.EISDIR | errno.ENXIO:
            return Conflict(f"{reason}. A link, a file or a mount stands in its way", what)
        case errno.ENAMETOOLONG | errno.EFBIG | errno.EILSEQ:
            return Unacceptable(reason, what)
        case _:
            return StoreError(reason, what)
