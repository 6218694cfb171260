"""What to do about a store that cannot be reached or used, by its cause. Pure.

What a server itself answers has its mend where the answer is read.
"""

import errno
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """Why it is out, where that is known."""

    EXPIRED = "the certificate is out of date"
    EARLY = "the certificate is not valid yet"
    OTHER_HOST = "the certificate is another host's"
    UNKNOWN = "nobody here knows who signed the certificate"
    NO_TLS = "no TLS is spoken there"
    NO_NAME = "the name has no address"
    REFUSED = "nobody listens"
    NO_WAY = "there is no way to the host"
    SILENT = "nothing comes back"
    UNMOUNTED = "the mount is dead"
    READ_ONLY = "the file system is read-only"
    FORBIDDEN = "the account may not write"
    UNSUITABLE = "the file system cannot do what is needed"


@dataclass(frozen=True, slots=True)
class Keys:
    """What of the configuration says where a server is and whom to believe it."""

    address: str = "its address"
    authorities: str = "the file of certificates"


SOMEWHERE: Final = Keys()
"""Where nothing in the configuration says it."""


_EXPIRED: Final = 10
_EARLY: Final = 9
_OTHER_HOST: Final = (62, 64)
"""X509_V_ERR_… of openssl's x509_vfy.h: out of date, not valid yet, of another name or address."""


def cause(error: BaseException | None) -> Cause | None:
    """Why this happened, or what it was caused by; None: that is not known."""
    if error is None:
        return None
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error.verify_code)
    for kind, known in _BY_KIND.items():
        if isinstance(error, kind):
            return known
    number = error.errno if isinstance(error, OSError) else None
    return _BY_NUMBER.get(number) or cause(error.__cause__ or error.__context__)


def _of_certificate(code: int) -> Cause:
    if code == _EXPIRED:
        return Cause.EXPIRED
    if code == _EARLY:
        return Cause.EARLY
    return Cause.OTHER_HOST if code in _OTHER_HOST else Cause.UNKNOWN


_BY_KIND: Final = {
    ssl.SSLError: Cause.NO_TLS,
    socket.gaierror: Cause.NO_NAME,
    TimeoutError: Cause.SILENT,
}
_BY_NUMBER: Final[dict[int | None, Cause]] = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.EHOSTUNREACH: Cause.NO_WAY,
    errno.ENETUNREACH: Cause.NO_WAY,
    **dict.fromkeys((errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EHOSTDOWN), Cause.UNMOUNTED),
    errno.EROFS: Cause.READ_ONLY,
    errno.EACCES: Cause.FORBIDDEN,
    errno.EPERM: Cause.FORBIDDEN,
    errno.EOPNOTSUPP: Cause.UNSUITABLE,
}

_MENDS: Final = {
    Cause.EXPIRED: "Renew the server's certificate, or set this host's clock: timedatectl",
    Cause.EARLY: "Set this host's clock: timedatectl set-ntp true",
    Cause.OTHER_HOST: "Mend {address}: it has to name the host as its certificate does",
    Cause.UNKNOWN: "Name the certificate of who signed it in {authorities}",
    Cause.NO_TLS: "Is it https that is spoken there? Mend {address}",
    Cause.NO_NAME: "Mend {address}, or this host's DNS: getent hosts NAME",
    Cause.REFUSED: "Nobody listens at that port: start the server, or mend {address}",
    Cause.NO_WAY: "Look at this host's network: ip route get ADDRESS",
    Cause.SILENT: "Let this host through to it: a firewall that drops looks like this. Else the server hangs",
    Cause.UNMOUNTED: "Is it mounted? findmnt says",
    Cause.READ_ONLY: "Mount it writable. Where it was, the kernel's log says why it is no longer: dmesg",
    Cause.FORBIDDEN: "Let the daemon's account write there: chown, or setfacl -m u:ACCOUNT:rwx",
    Cause.UNSUITABLE: "Choose a directory on another file system",
}


def mend(of: Cause | None, keys: Keys) -> str:
    """What a person can do about it, as a sentence; empty where nothing is known."""
    return "" if of is None else _MENDS[of].format(address=keys.address, authorities=keys.authorities)


def mended(reason: str, error: BaseException, keys: Keys) -> str:
    """The reason with what to do about it."""
    return ". ".join(filter(None, (reason, mend(cause(error), keys))))
