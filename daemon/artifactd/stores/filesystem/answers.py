"""What an error of the file system means to whoever asked."""

import errno

from artifactd.linux.room import FULL, no_room
from artifactd.stores.base import Conflict, Denied, StoreError, Unacceptable, Unavailable


def meaning(error: OSError, what: str) -> StoreError:
    """What `error`, met at `what`, means to whoever asked. Of the store as a whole it is the directory."""
    reason = str(error.strerror)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EMFILE | errno.ENFILE:
            full = error.errno in FULL
            return Unavailable(no_room(error.errno, what)) if full else Unavailable(reason, what)
        case errno.ESTALE | errno.ENODEV | errno.ENOTCONN | errno.EHOSTDOWN:
            return Unavailable(f"{reason}. Is it mounted?", what)
        case errno.EACCES | errno.EPERM | errno.EOPNOTSUPP:
            elsewhere = error.errno == errno.EOPNOTSUPP
            advice = (
                "Choose a directory on another" if elsewhere else "The daemon's account needs to write there"
            )
            return Denied(f"{reason}. {advice}", what)
        case errno.ELOOP | errno.ENOTDIR | errno.EXDEV | errno.EISDIR | errno.ENXIO:
            return Conflict(f"{reason}. A link, a file or a mount stands in its way", what)
        case errno.ENAMETOOLONG | errno.EFBIG | errno.EILSEQ:
            return Unacceptable(reason, what)
        case _:
            return StoreError(reason, what)
