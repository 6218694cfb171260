"""The tests' own certificate authority, and certificates good and bad."""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """What a server shows it with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Authority:
    """Certificates that `ca_file` vouches for. All but `good` have to be refused."""

    ca_file: Path
    good: Certificate
    """for 127.0.0.1 and localhost"""
    other_host: Certificate
    expired: Certificate

    def trusting(self) -> ssl.SSLContext:
        """What a client checks them with."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def authority(folder: Path) -> Authority:
    """A new authority, whose files lie in `folder`."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    over = long_ago + dt.timedelta(days=1)
    return Authority(
        ca_file=folder / "ca.pem",
        good=_saved(ca.issue_cert("127.0.0.1", "localhost"), folder, "good"),
        other_host=_saved(ca.issue_cert("elsewhere.example"), folder, "other-host"),
        expired=_saved(
            ca.issue_cert("127.0.0.1", "localhost", not_before=long_ago, not_after=over), folder, "expired"
        ),
    )


def _saved(leaf: trustme.LeafCert, folder: Path, name: str) -> Certificate:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    leaf.private_key_pem.write_to_path(key)
    return Certificate(certificate, key)
