"""What an error of the file system means to whoever asked. Pure."""

import errno

from artifactd.stores.base import Conflict, Denied, StoreError, Unacceptable, Unavailable


def meaning(error: OSError, what: str) -> StoreError:
    """What `error`, met at `what`, means to whoever asked."""
    sentence = f"{what}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EMFILE | errno.ENFILE:
            return Unavailable(sentence)
        case errno.ESTALE | errno.ENODEV | errno.ENOTCONN | errno.EHOSTDOWN:
            return Unavailable(f"{sentence}. Is it mounted?")
        case errno.EACCES | errno.EPERM:
            return Denied(f"{sentence}. The daemon's account needs to write there")
        case errno.ELOOP | errno.ENOTDIR | errno.EXDEV | errno.EISDIR | errno.ENXIO:
            return Conflict(f"{sentence}. A link, a file or a mount stands in its way")
        case errno.ENAMETOOLONG | errno.EFBIG | errno.EILSEQ:
            return Unacceptable(sentence)
        case _:
            return StoreError(sentence)
