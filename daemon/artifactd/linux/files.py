"""What the kernel says of files and of whoever owns them."""

import os
import pwd

from artifactd.artifact import Identity


def identity_of(status: os.stat_result, tree: int | None = None) -> Identity:
    """The identity in what stat(2) says; `tree` is the device of the data directory that the file lies in."""
    dev = status.st_dev if tree is None else tree
    return Identity(dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def account(uid: int | None = None, nameless: str = "uid ") -> str:
    """The account with this user id; None: the one that this process runs as.

    One without a name is told as `nameless` and its number.
    """
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"{nameless}{uid}"


def in_command(uid: int | None = None) -> str:
    """The account as chown(1), install(1) and setfacl(1) take it: of one without a name its number."""
    return account(uid, nameless="")


def as_account(uid: int) -> str:
    """What runs a command as the account with this user id, which may have no name."""
    name = account(uid, nameless="#")
    return f"sudo -u '{name}'" if name.startswith("#") else f"sudo -u {name}"
