"""Servers that honour some conditions and not others, made of one that verifies no signatures."""

import math
import re
from typing import Final

from tests.servers.faults import Fault, Misheard, Seen, of
from tests.servers.proxy import Proxy

_CONDITION: Final = re.compile(rb"^if-(none-)?match: *(\S*)\r\n", re.IGNORECASE | re.MULTILINE)


def like_ceph(proxy: Proxy) -> None:
    """As Ceph RGW 16, of which test_servers.py proves it.

    It puts the parts of an object together whatever the condition, and compares If-Match with a bare ETag.
    """
    ignoring_completion(proxy)
    proxy.faults.append(Fault(Misheard(_bare), of("PutObject"), math.inf))


def ignoring_completion(proxy: Proxy) -> None:
    """The parts of an object are put together whatever the condition."""
    proxy.faults.append(Fault(Misheard(_unconditional), of("CompleteMultipartUpload"), math.inf))


def knowing_no_version(proxy: Proxy) -> None:
    """If-Match is refused, whatever it says."""
    proxy.faults.append(Fault(Misheard(_nobodys), _matching, math.inf))


def _matching(seen: Seen) -> bool:
    return "if-match" in seen.headers


def _unconditional(head: bytes) -> bytes:
    return _CONDITION.sub(b"", head)


def _nobodys(head: bytes) -> bytes:
    return _CONDITION.sub(b'if-match: "00000000000000000000000000000000"\r\n', head)


def _bare(head: bytes) -> bytes:
    """The version is known by its bare name alone."""
    found = _CONDITION.search(head)
    if found is None or found.group(1):
        return head
    version = found.group(2)
    return (
        _nobodys(head) if version.startswith(b'"') else _CONDITION.sub(b'if-match: "%b"\r\n' % version, head)
    )
