"""A certificate authority of the tests' own, and certificates good and bad."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trustme

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
AFTER_THAT = datetime(2020, 2, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Contexts for servers, all signed by the authority in `authority`."""

    authority: Path
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext


def certificates(directory: Path) -> Certificates:
    ca = trustme.CA()
    authority = directory / "authority.pem"
    ca.cert_pem.write_to_path(str(authority))
    return Certificates(
        authority,
        _context(ca.issue_cert("127.0.0.1")),
        _context(ca.issue_cert("elsewhere.example")),
        _context(ca.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=AFTER_THAT)),
    )


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
