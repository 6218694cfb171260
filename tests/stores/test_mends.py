"""What to do about a store that cannot be reached or used, cause by cause."""

import errno
import os
import socket
import ssl

import pytest

from artifactd.stores.mends import Cause, Keys, cause, mend, mended

KEYS = Keys("the_address", "the_authorities")


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code = code
    return error


def wrapped(error: Exception) -> Exception:
    """As an SDK does it."""
    middle, outer = LookupError("the library's"), LookupError("the SDK's")
    middle.__context__, outer.__cause__ = error, middle
    return outer


TABLE: list[tuple[Exception, Cause | None, str]] = [
    (certificate(10), Cause.EXPIRED, "Renew the server's certificate, or set this host's clock"),
    (certificate(9), Cause.EARLY, "Set this host's clock"),
    (certificate(62), Cause.OTHER_HOST, "Mend the_address"),
    (certificate(64), Cause.OTHER_HOST, "Mend the_address"),
    (certificate(20), Cause.UNKNOWN, "in the_authorities"),
    (certificate(18), Cause.UNKNOWN, "in the_authorities"),
    (ssl.SSLError(1, "wrong version number"), Cause.NO_TLS, "Mend the_address"),
    (socket.gaierror(-2, "Name or service not known"), Cause.NO_NAME, "DNS"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Cause.REFUSED, "the_address"),
    (OSError(errno.EHOSTUNREACH, "no route"), Cause.NO_WAY, "ip route"),
    (OSError(errno.ENETUNREACH, "unreachable"), Cause.NO_WAY, "ip route"),
    (TimeoutError("timed out"), Cause.SILENT, "firewall"),
    (OSError(errno.ESTALE, "stale"), Cause.UNMOUNTED, "findmnt"),
    (OSError(errno.ENOTCONN, "not connected"), Cause.UNMOUNTED, "findmnt"),
    (OSError(errno.EROFS, "read-only"), Cause.READ_ONLY, "dmesg"),
    (PermissionError(errno.EACCES, "denied"), Cause.FORBIDDEN, "chown"),
    (PermissionError(errno.EPERM, "denied"), Cause.FORBIDDEN, "chown"),
    (OSError(errno.EOPNOTSUPP, "not supported"), Cause.UNSUITABLE, "another file system"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), None, ""),
    (ValueError("no HTTP"), None, ""),
]
NAMES = [f"{type(error).__name__} {error.args[0]}" for error, _, _ in TABLE]


@pytest.mark.parametrize(("error", "of", "told"), TABLE, ids=NAMES)
def test_each_cause_has_its_own_mend_however_deep_it_lies(
    error: Exception, of: Cause | None, told: str
) -> None:
    assert cause(error) is of
    assert cause(wrapped(error)) is of
    assert told in mend(of, KEYS)


def test_no_two_causes_have_one_mend() -> None:
    assert {cause(error) for error, _, _ in TABLE} == {*Cause, None}
    assert len({mend(of, KEYS) for of in Cause}) == len(Cause)


def test_a_reason_without_a_known_cause_stays_as_it_is() -> None:
    assert mended("it fell", ValueError(), KEYS) == "it fell"
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert mended("it fell", refused, KEYS).startswith("it fell. Nobody listens at that port")
